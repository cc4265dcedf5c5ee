"""What can be asked of the simulator, and what it gives back. Plain data; generates nothing."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from spikefleet.core.failures.errors import InvalidConfigurationError

FORMATS = ("maxwell", "spikeglx", "nwb", "binary")
ARRAYS = ("maxwell", "nwb", "binary")  # can hold electrodes in rows and columns
MAXWELL_PITCH_UM = 17.5
_LEAST_PROPAGATION_CHANNELS = 16
_MAX_CHANNELS = {"maxwell": 1020, "spikeglx": 384}
_RATES_HZ = {"maxwell": 20000.0}
_DEFAULT_RATE_HZ = 30000.0


class Condition(StrEnum):
    """What state the simulated recording is in; each but the first has one right verdict."""

    HEALTHY = "healthy"
    SILENT = "silent"  # digital zeros
    FLAT = "flat"  # every channel stuck at its own value
    SATURATED = "saturated"  # the amplifier at its rail for four fifths of the time
    NOISE = "noise"  # Gaussian noise, no spikes
    NAN_BURST = "nan_burst"  # 100 NaN samples on one channel of a float32 file
    TRUNCATED = "truncated"  # a healthy file cut off in the middle of a frame
    EMPTY = "empty"  # files with no bytes


@dataclass(frozen=True)
class SimulationRequest:
    """One recording to write.

    ``path`` is the file or folder to create; ".raw.h5" or ".nwb" is added where it is missing.
    ``silent_wells`` are the wells (from 0) of a MaxTwo plate that hold digital zeros.
    ``sampling_rate_hz`` None means 20 kHz for MaxWell and 30 kHz otherwise. ``propagation`` gives
    units axons along which their action potentials travel. ``pitch_um`` makes a square array of
    what is a probe of two columns otherwise; None with ``propagation`` means MaxWell's 17.5 µm.
    """

    format: str  #: maxwell, spikeglx, nwb or binary
    path: Path
    n_channels: int = 16  #: channels
    duration_s: float = 60.0  #: length
    n_units: int = 6  #: neurons
    seed: int = 0  #: equal seeds give equal files
    sampling_rate_hz: float | None = None
    n_wells: int = 1  #: of a MaxTwo plate
    silent_wells: tuple[int, ...] = ()
    condition: Condition = Condition.HEALTHY  #: what is wrong with it
    propagation: bool = False  #: units with axons, over a square array of electrodes
    pitch_um: float | None = None  #: from electrode to electrode of a square array, nwb and binary

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))
        try:
            object.__setattr__(self, "condition", Condition(self.condition))
        except ValueError:
            _refuse("condition", str(self.condition), "one of " + ", ".join(Condition))
        if self.format not in FORMATS:
            _refuse("format", self.format, "one of " + ", ".join(FORMATS))
        most = _MAX_CHANNELS.get(self.format, 4096)
        if not 1 <= self.n_channels <= most:
            _refuse("n_channels", self.n_channels, f"between 1 and {most}")
        if self.duration_s <= 0:
            _refuse("duration_s", self.duration_s, "more than 0")
        if self.n_units < 0:
            _refuse("n_units", self.n_units, "0 or more")
        if self.n_wells < 1 or (self.n_wells > 1 and self.format != "maxwell"):
            _refuse("n_wells", self.n_wells, "1; only MaxWell plates have more wells")
        if any(not 0 <= well < self.n_wells for well in self.silent_wells):
            _refuse("silent_wells", list(self.silent_wells), f"below {self.n_wells}")
        if self.condition is Condition.NAN_BURST and self.format not in ("binary", "nwb"):
            _refuse("condition", "nan_burst", "used with binary or nwb, which can hold floats")
        self._check_array()

    def _check_array(self) -> None:
        if self.pitch_um is not None:
            if not self.pitch_um > 0 or self.pitch_um == float("inf"):
                _refuse("pitch_um", self.pitch_um, "more than 0")
            if self.format not in ("nwb", "binary"):
                _refuse(
                    "pitch_um", self.pitch_um, "left to nwb and binary; other devices have theirs"
                )
        if self.propagation and self.format not in ARRAYS:
            _refuse("propagation", True, f"used with {', '.join(ARRAYS)}, which can hold an array")
        if self.propagation and self.n_channels < _LEAST_PROPAGATION_CHANNELS:
            least = f"{_LEAST_PROPAGATION_CHANNELS} or more with propagation"
            _refuse("n_channels", self.n_channels, least)

    @property
    def rate_hz(self) -> float:
        """The sampling rate, with the format's default filled in."""
        return self.sampling_rate_hz or _RATES_HZ.get(self.format, _DEFAULT_RATE_HZ)

    @property
    def array_pitch_um(self) -> float | None:
        """From electrode to electrode of the square array; None: a probe of two columns."""
        return MAXWELL_PITCH_UM if self.propagation and self.pitch_um is None else self.pitch_um

    @property
    def n_samples(self) -> int:
        """Samples per channel."""
        return round(self.duration_s * self.rate_hz)


@dataclass(frozen=True)
class SimulatedRecording:
    """What was written: ``paths[0]`` is what a rig submits, ``truth_path`` the known spikes."""

    paths: tuple[Path, ...]
    truth_path: Path

    @property
    def path(self) -> Path:
        """The file or folder to submit."""
        return self.paths[0]


def _refuse(field: str, value: object, allowed: str) -> None:
    raise InvalidConfigurationError(
        f"{field} must be {allowed}, not {value}.",
        field=field,
        value=value if isinstance(value, int | float | str | list) else str(value),
    )
