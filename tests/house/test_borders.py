"""Things that may happen in few named places: catching everything, reading the environment,
printing, importing late."""

import ast
from pathlib import Path

from tests.house.source import PACKAGE, calls_in, functions, in_package, parse, python_files, where

CATCH_EVERYTHING = {
    "infra/rpc/interceptors.py",
    "runner/child.py",
    "controller/reconcile.py",
    "signal/formats/reader_errors.py",
}
READ_THE_ENVIRONMENT = {"deploy/settings.py"}
# Import late, each for a reason: one adapter by name, or a command that must not slow the others.
SWITCHBOARDS = {
    "__init__.py": "the notebook's verbs start a service; `import spikefleet` stays light",
    "rt_sort/__init__.py": "sequences are looked at without torch",
    "signal/sorters/base.py": "imports the one sorter that was asked for",
    "cli/archive.py": "reads and writes recordings; the other commands need no numpy",
    "cli/curations.py": "reads what was curated by hand; the other commands need no numpy",
    "cli/consensus.py": "reads spikes; the other commands need no numpy",
    "cli/compare.py": "reads spikes; the other commands need no numpy",
    "cli/demo.py": "starts an embedded service, with the whole science stack",
    "cli/doctor.py": "looks at the machine as an attempt does; a rig has no psutil",
    "cli/exports.py": "writes results for other tools; a rig that only fetches needs no numpy",
    "cli/inspect.py": "opens recordings; the other commands need no numpy",
    "cli/main.py": "help and version load no command",
    "cli/serve.py": "starts an embedded service",
    "client/uploads.py": "only bytes that go into a bucket need HTTP and TLS",
    "deploy/cluster.py": "only the controller's image has what starts sorts",
    "deploy/pod.py": "listens for stop signals before anything of weight is imported",
    "deploy/rooms/serving.py": "a room's image holds only what its own rooms import",
    "infra/stores/bytes/artifacts_open.py": "a store in a folder needs no S3 client",
    "infra/system/syscalls.py": "its library is looked for on import and may be absent",
    "infra/system/zygote.py": "imports what its confined copies will call, named by the service",
    "signal/units/merge_presets.py": "its library takes a second; few curations ask for a preset",
    "runner/child.py": "readers and sorters come in only after the child is confined",
}


def _package_files() -> list[Path]:
    return python_files("services/spikefleet")


def _catches_everything(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(ast.unparse(name) in ("Exception", "BaseException") for name in caught)


def test_everything_is_caught_at_four_borders_only() -> None:
    found = [
        where(path, node)
        for path in _package_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.ExceptHandler)
        and _catches_everything(node)
        and in_package(path) not in CATCH_EVERYTHING
    ]
    assert found == []


def test_the_environment_is_read_in_the_settings_only() -> None:
    found = [
        where(path, node)
        for path in _package_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute)
        and ast.unparse(node) in ("os.environ", "os.environb", "os.getenv", "os.putenv")
        and in_package(path) not in READ_THE_ENVIRONMENT
    ]
    assert found == []


def test_only_the_command_line_prints() -> None:
    found = [
        where(path, call)
        for path in _package_files()
        for name, call in calls_in(parse(path))
        if name in ("print", "rich.print", "click.echo") and not in_package(path).startswith("cli/")
    ]
    assert found == []


def test_no_exit_path_skips_its_recorded_end() -> None:
    found = [
        where(path, node)
        for path in _package_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "os._exit"
    ]
    # A forked copy must not run its original's clean-up; its answer has been sent by then. A pod's
    # process has said its last word, and an output that nobody reads must not hold its end. Rooms
    # have ended in order, and a thread that hangs in a call must not choose their exit code.
    assert [at.partition(":")[0] for at in found] == [
        "services/spikefleet/deploy/cluster.py",
        "services/spikefleet/deploy/pod.py",
        "services/spikefleet/deploy/template.py",
        "services/spikefleet/infra/system/zygote.py",
    ]


def _late_imports(path: Path) -> list[str]:
    tree = parse(path)
    inside = {
        id(node): node
        for function in functions(tree)
        for node in ast.walk(function)
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    called = [
        call
        for name, call in calls_in(tree)
        if name in ("import_module", "importlib.import_module", "__import__")
    ]
    return [where(path, node) for node in [*inside.values(), *called]]


def test_imports_stand_at_the_top_but_for_the_named_switchboards() -> None:
    found = [
        at
        for path in _package_files()
        if in_package(path) not in SWITCHBOARDS
        for at in _late_imports(path)
    ]
    assert found == []


def test_every_named_switchboard_still_imports_late() -> None:
    idle = [
        name
        for name in SWITCHBOARDS
        if not (PACKAGE / name).is_file() or not _late_imports(PACKAGE / name)
    ]
    assert idle == []
