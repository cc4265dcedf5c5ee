"""Every setting of a deployment, and the only place that reads the environment.

A setting comes from, in order: an argument, an environment variable ``SPIKEFLEET_<NAME>``, the
user's configuration file, the default below. Unknown ``SPIKEFLEET_`` variables and unknown names in
the file are an error: a typo must not pass in silence.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from spikefleet.core.failures.errors import InvalidConfigurationError
from spikefleet.deploy.config_file import SubmitDefaults, config_file, read_config_file
from spikefleet.infra.rpc.addresses import ServiceAddress

PREFIX = "SPIKEFLEET_"
# Where an attempt finds the warm process that its launcher left it; no setting.
WARM_CHILD = "_SPIKEFLEET_WARM_CHILD"
_IMAGE_DIGEST = PREFIX + "IMAGE_DIGEST"
_S3_CREDENTIALS = PREFIX + "S3_CREDENTIALS"
DEFAULT_ADDRESS = "127.0.0.1:7311"
_DATABASES = ("sqlite:", "sqlite+pysqlite:", "postgresql:", "postgresql+psycopg:", "postgres:")

# What a confined process may know of this machine: where programs are, how to count and to compute.
_CONFINED_NAMES = frozenset(
    {
        "PATH", "HOME", "LANG", "LANGUAGE", "TZ", "PYTHONPATH", "PYTHONHASHSEED", "LD_LIBRARY_PATH",
        "HDF5_PLUGIN_PATH", "GPU_DEVICE_ORDINAL", "NVIDIA_VISIBLE_DEVICES", "_SPIKEFLEET_ATTEMPT",
        "KILOSORT_LOCAL_DOWNLOADS_PATH",
    }
)  # fmt: skip
_CONFINED_PREFIXES = (
    "LC_", "OMP_", "MKL_", "OPENBLAS_", "BLIS_", "NUMBA_", "NUMEXPR_", "CUDA_", "PYTORCH_",
    "TORCH_", "KMP_", "MALLOC_",
)  # fmt: skip


class Settings(BaseModel):
    """Settings of one service process."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    address: str = Field(
        DEFAULT_ADDRESS,
        description="host:port of the gRPC server and of its clients; port 0 picks a free one. "
        "Clients take https://HOST[:PORT], too, where a proxy or gateway speaks TLS",
    )
    ca_file: Path | None = Field(
        None,
        description="file of certificates (PEM) that clients trust at an https:// address and at "
        "that of a bucket, for an institute's own authority; none: the public ones",
    )
    data_dir: Path = Field(
        Path.home() / ".local" / "share" / "spikefleet",
        description="folder of the database, the artifacts and the scratch of running attempts",
    )
    database_url: str = Field(
        "", description="SQLAlchemy URL of the run database; empty: SQLite inside data_dir"
    )
    database_password_file: Path | None = Field(
        None,
        description="file that holds the password of the run database, as a mounted secret shows "
        "it; none: the URL holds it, or there is none",
    )
    artifacts_url: str = Field(
        "",
        description="where recordings and results are kept: file:///folder, or a bucket, "
        "s3://BUCKET/PREFIX?endpoint=https://HOST&region=NAME; empty: a folder inside data_dir",
    )
    s3_credentials: Path | None = Field(
        None,
        description="folder with the files access-key and secret-key of the bucket, as a mounted "
        "secret shows them, and ca.crt (PEM) where its certificate is of a private authority",
    )
    ingest_address: str = Field(
        "", description="host:port where the other rooms reach ingest; empty: in this process"
    )
    preflight_address: str = Field("", description="as ingest_address, of preflight")
    curation_address: str = Field("", description="as ingest_address, of curation")
    reporter_address: str = Field("", description="as ingest_address, of the reporter")
    controller_address: str = Field("", description="as ingest_address, of the controller")
    room_secret_file: Path | None = Field(
        None,
        description="file with the secret by which rooms in several processes know each other; "
        "none: all rooms are in this process",
    )
    runners_file: Path | None = Field(
        None,
        description="JSON file that says how sorts are run on Kubernetes: image, memory, GPU and "
        "scratch by sorter; none: sorts are processes of this machine",
    )
    kubeconfig: Path | None = Field(
        None,
        description="how the cluster is reached; none: as the pod of this process is told",
    )
    cpu_slots: int = Field(
        0,
        ge=0,
        description="sorts that may run at once without a GPU; 0: half the cores; on a cluster "
        "any number",
    )
    gpu_slots: int = Field(
        -1,
        ge=-1,
        description="sorts that may run at once on a GPU each; -1: one per visible GPU; on a "
        "cluster any number",
    )
    metrics_port: int = Field(
        0, ge=0, le=65535, description="TCP port of /metrics; 0 picks a free one"
    )
    metrics_targets: Path | None = Field(
        None,
        description="file that lists the metrics of the service and of every running sort for "
        "Prometheus (file_sd_configs); none: metrics_targets.json in data_dir",
    )
    attempt_memory_bytes: int = Field(
        0, ge=0, description="memory limit of one attempt; 0: the machine's or container's"
    )
    attempt_scratch_bytes: int = Field(
        0,
        ge=0,
        description="size limit of one attempt's scratch that its file system does not show, such "
        "as an emptyDir's; 0: none",
    )
    recording_root: tuple[Path, ...] = Field(
        (),
        description="folders in which every user of this machine may register recordings where "
        "they are, separated by colons; none: only the user who runs the service may, anywhere",
    )
    image_digest: str = Field(
        "", description="digest of the container's image; empty: not known, or no container"
    )
    expected_image_digest: str = Field(
        "", description="digest that the image of every sort must have; empty: any"
    )
    attempt_deadline_s: float = Field(
        0.0, ge=0, description="seconds after which an attempt is stopped; 0: none"
    )
    upload_idle_s: float = Field(
        7 * 86_400.0,
        ge=0,
        description="seconds after which an unfinished upload that receives nothing is dropped; "
        "0: never",
    )
    direct_part_bytes: int = Field(
        64 << 20,
        ge=5 << 20,
        description="length of the parts in which rigs put recordings straight into a bucket; a "
        "rig holds four of them in memory",
    )
    direct_open_bytes: int = Field(
        16 << 40,
        ge=0,
        description="bytes that one user's unfinished uploads straight into a bucket may announce; "
        "0: any number",
    )
    warm_s: float = Field(
        600.0,
        ge=0,
        description="seconds for which a warm process is kept after the last sort of a sorter "
        "without a GPU, for two sorters at most; each holds about 300 MB and saves a sort its "
        "imports, 3 to 5 seconds of CPU; 0: none",
    )
    drain_s: float = Field(
        0.0,
        ge=0,
        description="seconds between the word that a room is about to leave and its last call, "
        "which those who choose where calls go need to hear it; 5 on Kubernetes",
    )
    reconcile_interval_s: float = Field(
        1.0, gt=0, description="seconds between two looks at everything"
    )
    stop_attempts_on_exit: bool = Field(
        False,
        description="stop running sorts when the service ends; otherwise they continue and the "
        "next start adopts them",
    )
    until_input_ends: bool = Field(
        False,
        description="end when standard input does: a service that another program started for "
        "itself does not outlive it",
    )
    opening_memory_bytes: int = Field(
        4 << 30,
        gt=0,
        description="memory one opening of a recording, curation or report may use; more ends it",
    )
    opening_limit_s: float = Field(
        180.0,
        gt=0,
        description="seconds one opening of a small recording may take; large ones get more",
    )
    log_format: Literal["text", "json"] = Field(
        "text", description="text for people, json for logs"
    )
    reflection: bool = Field(True, description="serve gRPC reflection")
    insecure: bool = Field(
        False,
        description="serve at an address that other machines reach: everybody there can use the "
        "service without a password; only for a network in which all are trusted. Rooms of a "
        "cluster do not ask for it: their network policy says who reaches them",
    )

    @field_validator(
        "address", "ingest_address", "preflight_address", "curation_address", "reporter_address",
        "controller_address",
    )  # fmt: skip
    @classmethod
    def _check_address(cls, address: str, field: ValidationInfo) -> str:
        if not address and field.field_name != "address":
            return address
        if ServiceAddress.parse(address).is_url and field.field_name != "address":
            raise ValueError("rooms reach each other at HOST:PORT")
        return address

    @field_validator("recording_root", mode="before")
    @classmethod
    def _split_roots(cls, value: object) -> object:
        return tuple(filter(None, value.split(os.pathsep))) if isinstance(value, str) else value

    @field_validator("recording_root")
    @classmethod
    def _check_roots(cls, roots: tuple[Path, ...]) -> tuple[Path, ...]:
        for root in roots:
            if not root.expanduser().is_dir():
                raise ValueError(f"there is no folder at {root}")
        return tuple(root.expanduser().resolve() for root in roots)

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: str) -> str:
        if url and not url.startswith(_DATABASES):
            raise ValueError("use sqlite:////path/to/state.db or postgresql://user@host/name")
        return url

    @property
    def resolved_artifacts_url(self) -> str:
        """The URL of the artifact store, with the default filled in."""
        return self.artifacts_url or (self.data_dir / "artifacts").absolute().as_uri()

    @property
    def resolved_database_url(self) -> str:
        """The database URL, with the default filled in."""
        return self.database_url or f"sqlite:///{self.data_dir / 'spikefleet.db'}"

    @property
    def database_password(self) -> str:
        """The password in ``database_password_file``; "" without one.

        Raises InvalidConfigurationError.
        """
        return _read_secret(self.database_password_file, "database_password_file")

    @property
    def room_secret(self) -> str:
        """The secret in ``room_secret_file``; "" without one. Raises InvalidConfigurationError."""
        return _read_secret(self.room_secret_file, "room_secret_file")


def _read_secret(path: Path | None, setting: str) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() if path is not None else ""
    except (OSError, ValueError) as error:
        raise unreadable(setting, error) from error


def unreadable(setting: str, error: Exception) -> InvalidConfigurationError:
    """What is wrong with the file that a setting names, for whoever has set it."""
    return InvalidConfigurationError(
        f"The file of the setting {setting} ({PREFIX}{setting.upper()}) cannot be read: {error}",
        field=setting,
    )


def submit_defaults(environ: Mapping[str, str] | None = None) -> SubmitDefaults:
    """Return the defaults of ``submit`` in the user's file. Raises ValueError naming the file."""
    environment = os.environ if environ is None else environ
    return read_config_file(environment, Settings.model_fields)[1]


def file_of(name: str, **arguments: Any) -> str:
    """The user's file when it is what gave a setting its value; "" when something else did."""
    is_elsewhere = arguments.get(name) is not None or PREFIX + name.upper() in os.environ
    return "" if is_elsewhere else str(config_file(os.environ) or "")


def load_settings(environ: Mapping[str, str] | None = None, **arguments: Any) -> Settings:
    """Build the settings: arguments over environment over file. ``None`` arguments are not given.

    Raises pydantic.ValidationError for a bad value, ValueError for an unknown name.
    """
    environment = os.environ if environ is None else environ
    values, _ = read_config_file(environment, Settings.model_fields)
    for name, value in environment.items():
        if not name.startswith(PREFIX):
            continue
        field = name.removeprefix(PREFIX).lower()
        if field not in Settings.model_fields:
            known = ", ".join(PREFIX + key.upper() for key in Settings.model_fields)
            raise ValueError(f"{name} is not a setting of spikefleet; known: {known}")
        values[field] = value
    values.update({key: value for key, value in arguments.items() if value is not None})
    return Settings(**values)


def visible_gpus() -> tuple[str, ...]:
    """The GPUs this process was given, as CUDA or the container runtime names them."""
    for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        if name in os.environ:
            return tuple(part for part in os.environ[name].split(",") if part)
    return ("all",)


def image_digest() -> str:
    """The digest of the image this process runs in; "" where it is not known."""
    return os.environ.get(_IMAGE_DIGEST, "").strip()


def has_screen() -> bool:
    """Whether a window can open where this process runs."""
    is_x11 = sys.platform not in ("darwin", "win32")
    return not is_x11 or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def hdf5_plugin_path() -> str:
    """Where HDF5 looks for vendors' plugins; "" for its own places only."""
    return os.environ.get("HDF5_PLUGIN_PATH", "")


def quiet_grpc() -> None:
    """Keep gRPC's own lines off the terminal: what went wrong is said once, in our words.

    To be called before it is imported. Somebody who looks for a fault sets the variable.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def warm_child() -> str:
    """Where the warm process of this attempt is, told once; "" where there is none."""
    return os.environ.pop(WARM_CHILD, "")


def own_environment() -> dict[str, str]:
    """The whole environment of this process as it is now."""
    return dict(os.environ)


def become(environment: Mapping[str, str]) -> None:
    """Replace the environment of this process."""
    os.environ.clear()
    os.environ.update(environment)


def s3_credentials() -> Path | None:
    """The folder of the bucket's credentials that this process was given; None without."""
    folder = os.environ.get(_S3_CREDENTIALS, "")
    return Path(folder) if folder else None


def base_environment(s3_credentials: Path | None = None) -> dict[str, str]:
    """The environment handed to attempts, without our own settings but what an attempt needs.

    That is the image's name, and the folder of the bucket's credentials where there is a bucket.
    """
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(PREFIX) or key == _IMAGE_DIGEST
    }
    return kept | ({_S3_CREDENTIALS: str(s3_credentials.absolute())} if s3_credentials else {})


def confined_environment(kernels: Path | None = None) -> dict[str, str]:
    """What a process that opens recordings sees of our environment: no setting, no credential.

    ``kernels`` is the folder of compiled kernels; None: as the environment says.
    """
    known = {
        key: value
        for key, value in os.environ.items()
        if key in _CONFINED_NAMES or key.startswith(_CONFINED_PREFIXES)
    }
    return known | ({"NUMBA_CACHE_DIR": str(kernels)} if kernels else {})


def exporting_environment() -> dict[str, str]:
    """What a process that exports fetched runs sees: as confined ones, and nothing cached.

    pynwb would unpickle what it keeps in the person's home.
    """
    return confined_environment() | {"PYNWB_NO_CACHE_DIR": "1"}
