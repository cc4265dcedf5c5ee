"""Failures of the machine, the image and the files, whatever sorter met them."""

from __future__ import annotations

from spikefleet.core.failures.codes import FailureCode
from spikefleet.core.failures.rules.base import Rule, Source

_MEMORY = "The sorter ran out of memory."
_DISK = "The scratch disk filled up."
_PLUGIN = "The vendor's HDF5 decompression plugin is missing or broken, so traces cannot be read."
_DAMAGED = "The recording's file is damaged: its data cannot be read back."
_DOCKER = "The container runtime is not available."
_MISSING = "The recording is not where the submission says."

_MEMORY_TEXT = (
    r"Unable to allocate|DefaultCPUAllocator: (?:can't|not enough)|std::bad_alloc|"
    r"Cannot allocate memory|java\.lang\.OutOfMemoryError|\bOut of memory\. Type HELP MEMORY|"
    r"^Out of memory\.$|-Out of memory\."
)
_PLUGIN_TEXT = (
    r"(?i)(?:can't|unable to) (?:synchronously )?(?:read|open)[^\n]*can't open directory|"
    r"HDF5_PLUGIN_PATH|can't find plugin|can't dlopen[^\n]*(?:compression|plugin)|"
    r"required filter [^\n]*not registered|libcompression"
)
_DAMAGED_TEXT = (
    r"(?i)inflate\(\) failed|truncated file|file signature not found|bad object header|"
    r"fletcher32 checksum|filter returned failure during read|wrong (?:local heap|B-tree) sig|"
    r"addr overflow"
)

MEMORY_RULES = (
    Rule(
        "host.memory_error",
        Source.TYPE,
        FailureCode.HOST_OUT_OF_MEMORY,
        _MEMORY,
        exception=r"(^|\.)_?(Array)?MemoryError$",
        pattern=r"(?s)(?:.*Unable to allocate (?P<requested_size>[\d.]+ \w+))?",
        priority=10,
        example="Unable to allocate 3.20 GiB for an array with shape (858993459,) and data type f4",
        example_type="numpy._core._exceptions._ArrayMemoryError",
    ),
    Rule(
        "host.errno_memory",
        Source.TYPE,
        FailureCode.HOST_OUT_OF_MEMORY,
        _MEMORY,
        errno=(12,),
        priority=10,
        example="[Errno 12] Cannot allocate memory",
        example_type="OSError",
    ),
    Rule(
        "host.allocation",
        Source.MESSAGE,
        FailureCode.HOST_OUT_OF_MEMORY,
        _MEMORY,
        pattern=rf"(?m){_MEMORY_TEXT}",
        unless=r"CUDA|Out of memory on device",
        priority=12,
        example="[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate "
        "memory: you tried to allocate 68719476736 bytes.",
        example_type="RuntimeError",
    ),
    Rule(
        "host.allocation.log",
        Source.LOG,
        FailureCode.HOST_OUT_OF_MEMORY,
        _MEMORY,
        pattern=_MEMORY_TEXT,
        unless=r"CUDA|on device",
        priority=12,
        marks=(
            "Unable to allocate",
            "DefaultCPUAllocator",
            "bad_alloc",
            "Cannot allocate memory",
            "java.lang.OutOfMemoryError",
            "Out of memory.",
        ),
        last_lines=60,
        example="terminate called after throwing an instance of 'std::bad_alloc'",
    ),
    Rule(
        "host.killed.log",
        Source.LOG,
        FailureCode.HOST_OUT_OF_MEMORY,
        "The kernel killed the sorter for memory, as the log says.",
        pattern=r"Out of memory: Kill(?:ed)? process|oom-kill:",
        priority=13,
        marks=("Out of memory: Kill", "oom-kill:"),
        last_lines=20,
        example="Out of memory: Killed process 4711 (MATLAB) total-vm:68000000kB",
    ),
    Rule(
        "host.worker_died",
        Source.TYPE,
        FailureCode.SORTER_CRASH,
        "One of the sorter's worker processes died.",
        exception=r"(^|\.)(BrokenProcessPool|TerminatedWorkerError)$",
        evidence={"reason": "worker_died"},
        example="A process in the process pool was terminated abruptly while the future ran",
        example_type="concurrent.futures.process.BrokenProcessPool",
    ),
)

FILE_RULES = (
    Rule(
        "disk.errno",
        Source.TYPE,
        FailureCode.DISK_EXHAUSTION,
        _DISK,
        errno=(28, 122),
        priority=5,
        example="[Errno 28] No space left on device",
        example_type="OSError",
    ),
    Rule(
        "disk.text",
        Source.MESSAGE,
        FailureCode.DISK_EXHAUSTION,
        _DISK,
        pattern=r"No space left on device|errno = 28|Disk quota exceeded",
        priority=5,
        example="Unable to synchronously write data (file write failed: errno = 28, error message ="
        " 'No space left on device')",
        example_type="OSError",
    ),
    Rule(
        "disk.log",
        Source.LOG,
        FailureCode.DISK_EXHAUSTION,
        _DISK,
        pattern=r"\[Errno 28\]|No space left on device",
        priority=5,
        marks=("[Errno 28]", "No space left on device"),
        last_lines=60,
        example="OSError: [Errno 28] No space left on device",
    ),
    Rule(
        "hdf5.damaged",
        Source.MESSAGE,
        FailureCode.INPUT_CORRUPT,
        _DAMAGED,
        exception=r"(^|\.)(OSError|RuntimeError|KeyError|ValueError|BadZipFile)$",
        pattern=_DAMAGED_TEXT,
        priority=20,
        evidence={"reason": "unreadable"},
        example="Can't synchronously read data (inflate() failed)",
        example_type="OSError",
    ),
    Rule(
        "hdf5.plugin",
        Source.MESSAGE,
        FailureCode.HDF5_PLUGIN_MISSING,
        _PLUGIN,
        pattern=_PLUGIN_TEXT,
        unless=r"inflate\(\) failed|preprocessing/filter\.py",
        priority=21,
        example="Can't synchronously read data (can't open directory (/usr/local/lib/plugin). "
        "Please verify its existence)",
        example_type="OSError",
    ),
    Rule(
        "hdf5.not_there",
        Source.MESSAGE,
        FailureCode.INPUT_MISSING,
        _MISSING,
        pattern=r"(?i)unable to (?:synchronously )?open file[^\n]*errno = 2\b",
        step="load",
        priority=22,
        example="Unable to synchronously open file (unable to open file: name = 'x.raw.h5', "
        "errno = 2, error message = 'No such file or directory')",
        example_type="OSError",
    ),
    Rule(
        "file.named_missing",
        Source.MESSAGE,
        FailureCode.INPUT_MISSING,
        _MISSING,
        exception=r"^FileExistsError$",
        pattern=r"(?:filename|data_dir) '(?P<path>[^\n]*)' does not exist",
        example="filename '[PosixPath('/data/x.bin')]' does not exist",
        example_type="FileExistsError",
    ),
    Rule(
        "file.missing_on_load",
        Source.TYPE,
        FailureCode.INPUT_MISSING,
        _MISSING,
        exception=r"^FileNotFoundError$",
        step="load",
        priority=60,
        only_at_the_end=True,
        example="[Errno 2] No such file or directory: 'x.bin'",
        example_type="FileNotFoundError",
    ),
    Rule(
        "file.folder_missing",
        Source.TYPE,
        FailureCode.ENVIRONMENT_OTHER,
        "A file or folder the sorter needs is not there.",
        exception=r"^FileNotFoundError$",
        # What a sorter loses of its own scratch is its own fault, and holds nobody else up.
        unless=r"(?i)docker|/(?:sorter|prepared|result)/|/tmp",
        priority=61,
        evidence={"reason": "folder_not_writable"},
        only_at_the_end=True,
        example="[Errno 2] No such file or directory: '/results/kilosort4.log'",
        example_type="FileNotFoundError",
    ),
    Rule(
        "file.not_permitted",
        Source.TYPE,
        FailureCode.ENVIRONMENT_OTHER,
        "A file or folder the sorter needs cannot be read or written.",
        exception=r"^(PermissionError|NotADirectoryError)$",
        unless=r"(?i)docker",
        priority=61,
        evidence={"reason": "folder_not_writable"},
        only_at_the_end=True,
        example="[Errno 13] Permission denied: '/results'",
        example_type="PermissionError",
    ),
    Rule(
        "file.io_error",
        Source.TYPE,
        FailureCode.ENVIRONMENT_OTHER,
        "The storage under the sorter returned an error.",
        errno=(5, 24, 30, 116, 121),
        priority=40,
        evidence={"reason": "storage_error"},
        example="[Errno 5] Input/output error",
        example_type="OSError",
    ),
    Rule(
        "file.empty",
        Source.MESSAGE,
        FailureCode.INPUT_CORRUPT,
        "The recording's file is empty.",
        pattern=r"cannot mmap an empty file",
        evidence={"reason": "empty"},
        example="cannot mmap an empty file",
        example_type="ValueError",
    ),
)

IMAGE_RULES = (
    Rule(
        "storage.unreachable",
        Source.MESSAGE,
        FailureCode.STORAGE_UNAVAILABLE,
        "A store on the network could not be reached.",
        pattern=r"dial tcp: lookup (?P<host>\S+?):? |Could not connect to the endpoint URL|"
        r"EndpointConnectionError|S3 operation failed",
        unless=r"(?i)docker|manifest|pull",
        priority=4,
        example="dial tcp: lookup s3.example.org: no such host",
        example_type="RuntimeError",
    ),
    Rule(
        "docker.client_missing",
        Source.TYPE,
        FailureCode.DOCKER_ENVIRONMENT,
        _DOCKER,
        exception=r"(^|\.)(ModuleNotFoundError|ImportError)$",
        pattern=r"No module named ['\"]docker['\"]",
        priority=5,
        evidence={"reason": "client_missing"},
        example="No module named 'docker'",
        example_type="ModuleNotFoundError",
    ),
    Rule(
        "docker.permission_denied",
        Source.MESSAGE,
        FailureCode.DOCKER_ENVIRONMENT,
        _DOCKER,
        pattern=r"permission denied while trying to connect to the Docker daemon|"
        r"docker: Got permission denied",
        priority=5,
        evidence={"reason": "permission_denied"},
        example="permission denied while trying to connect to the Docker daemon socket",
        example_type="docker.errors.DockerException",
    ),
    Rule(
        "docker.daemon_down",
        Source.MESSAGE,
        FailureCode.DOCKER_ENVIRONMENT,
        _DOCKER,
        pattern=r"Cannot connect to the Docker daemon|Is the docker daemon running",
        priority=5,
        evidence={"reason": "daemon_down"},
        example="Cannot connect to the Docker daemon at unix:///var/run/docker.sock.",
        example_type="docker.errors.DockerException",
    ),
    Rule(
        "docker.image_pull_failed",
        Source.MESSAGE,
        FailureCode.DOCKER_ENVIRONMENT,
        "The sorter's image could not be pulled.",
        pattern=r"manifest unknown|pull access denied|failed to resolve reference|"
        r"failed to pull and unpack image|docker\.errors\.ImageNotFound|error pulling image",
        priority=6,
        evidence={"reason": "image_pull_failed"},
        example="manifest unknown: manifest unknown",
        example_type="docker.errors.NotFound",
    ),
    Rule(
        "image.shared_library",
        Source.MESSAGE,
        FailureCode.ENVIRONMENT_OTHER,
        "A library the sorter needs is missing on this machine or in its image.",
        pattern=r"(?P<library>[^\s:/]+\.so[\w.]*): cannot open shared object file|"
        r"error while loading shared libraries(?!: \S+\.so)|cannot open shared object file",
        priority=8,
        evidence={"reason": "shared_library"},
        example="libcublas.so.12: cannot open shared object file: No such file or directory",
        example_type="ImportError",
    ),
    Rule(
        "image.shared_library.log",
        Source.LOG,
        FailureCode.ENVIRONMENT_OTHER,
        "A library the sorter needs is missing on this machine or in its image.",
        pattern=r"error while loading shared libraries: (?P<library>\S+?):",
        priority=8,
        marks=("error while loading shared libraries",),
        last_lines=20,
        evidence={"reason": "shared_library"},
        example="ks2: error while loading shared libraries: libmwmclmcrrt.so.9.14: cannot open "
        "shared object file: No such file or directory",
    ),
    Rule(
        "image.module_missing",
        Source.TYPE,
        FailureCode.MODEL_LOADING,
        "One of the sorter's Python packages cannot be imported.",
        exception=r"(^|\.)(ModuleNotFoundError|ImportError)$",
        pattern=r"(?s)(?:No module named '(?P<module>[^']+)')?",
        unless=r"cannot open shared object|shared libraries|libcuda",
        priority=30,
        only_at_the_end=True,
        example="No module named 'hdbscan'",
        example_type="ModuleNotFoundError",
    ),
    Rule(
        "image.no_download",
        Source.TYPE,
        FailureCode.MODEL_LOADING,
        "The sorter tried to download one of its files and could not reach the network.",
        exception=r"(^|\.)(URLError|HTTPError|gaierror|ConnectionError|ConnectTimeout)$",
        unless=r"dial tcp|endpoint URL",
        priority=30,
        evidence={"reason": "download_failed"},
        only_at_the_end=True,
        example="<urlopen error [Errno -2] Name or service not known>",
        example_type="urllib.error.URLError",
    ),
    Rule(
        "licence.checkout",
        Source.LOG,
        FailureCode.LICENSE_UNAVAILABLE,
        "The sorter's licence could not be checked out.",
        pattern=r"^\W*License checkout failed"
        r"(?:.*License Manager Error (?P<license_manager_error>-?\d+))?",
        marks=("License checkout failed",),
        last_lines=40,
        example="License checkout failed. License Manager Error -15",
    ),
    Rule(
        "stopped.keyboard",
        Source.TYPE,
        FailureCode.ATTEMPT_INTERRUPTED,
        "The attempt was told to stop before it had finished.",
        exception=r"^(KeyboardInterrupt|SystemExit)$",
        priority=1,
        example="",
        example_type="KeyboardInterrupt",
    ),
)

RULES = (*MEMORY_RULES, *FILE_RULES, *IMAGE_RULES)
