"""The main job with recordings and results in a bucket instead of a folder."""

import pytest
from tests.e2e.conftest import SORTER
from tests.support.recordings import make_recording
from tests.support.s3_servers import ENGINES, S3Server
from tests.support.service import Service

from spikefleet.core.runs import RunState

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("engine", ENGINES)
def test_an_uploaded_recording_is_sorted_from_a_bucket_and_curated_again(tmp_path, engine):
    server = S3Server(engine, tmp_path / "s3")
    server.start()
    place = server.make_bucket()
    secret = server.write_credentials(tmp_path / "secret")
    url = f"s3://{place.bucket}/lab?endpoint={server.endpoint}"
    recording = make_recording(tmp_path, seconds=20.0, channels=16, units=4, seed=11)
    service = Service(
        tmp_path / "data", "--artifacts-url", url, "--s3-credentials", str(secret)
    ).start()
    try:
        with service.client() as client:
            (run_id,) = client.submit(recording.path, SORTER, in_place=False).run_ids
            (run,) = client.wait([run_id], timeout_s=400)
            assert run.state is RunState.SUCCEEDED, run.failure
            assert {file.path.name for file in client.fetch(run_id, tmp_path / "results")} >= {
                "report.html",
                "units.csv",
                "curated.npz",
            }
            (again,) = client.submit(recording.path, SORTER, in_place=False, snr_min=100.0).run_ids
            (strict,) = client.wait([again], timeout_s=400)
            assert strict.result["sort_reused_from"] == run_id
            assert strict.result["n_units_curated"] == 0
        assert not (service.data_dir / "artifacts").exists()
    finally:
        service.close()
        server.end()
