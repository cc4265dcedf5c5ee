"""SpikeLab from its published package, in an environment of its own, for ``bench.units``."""

from __future__ import annotations

import site
import subprocess
import sys
import venv
from pathlib import Path

VERSION = "0.1.2"
SPIKELAB_SIDES = ("spikelab, filtered", "spikelab, copy", "spikelab, copy, waveforms not kept")


def install(folder: Path, also: tuple[str, ...] = ()) -> tuple[str, str]:
    """Return the Python that has SpikeLab, and why there is none ("" where there is one).

    The environment borrows everything but ``also`` from this one, so that both measure with the
    same numpy and SpikeInterface.
    """
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    places = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    own = Path(places.stdout.strip())
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(own)]
    done = subprocess.run([*command, f"spikelab=={VERSION}", *also], capture_output=True, text=True)
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"SKIPPED: spikelab {VERSION} cannot be installed here: {reason}", file=sys.stderr)
        return "", reason
    (own / "borrowed.pth").write_text("\n".join([*site.getsitepackages(), *sys.path[1:]]) + "\n")
    return str(python), ""
