"""Values and messages meet in one place: ``infra/rpc/convert``."""

import ast

from tests.house.source import PACKAGE, parse, python_files, where

CONVERT = PACKAGE / "infra" / "rpc" / "convert"
# Bytes on their way are no values: a part is the message that carries it.
BYTES = {"SmallPart"}
# Errors are Google's messages.
FOREIGN = {PACKAGE / "infra" / "rpc" / "errors.py"}


def messages_made():
    """Every message of ours that the code makes: the file, the call and the message's name."""
    for path in python_files("services"):
        for node in ast.walk(parse(path)):
            if not isinstance(node, ast.Call):
                continue
            parts = ast.unparse(node.func).split(".")
            if len(parts) > 1 and parts[0].endswith("_pb2"):
                yield path, node, parts[1]


def test_outside_convert_code_makes_requests_and_answers_and_no_message_within_them():
    made = [each for each in messages_made() if each[0] not in FOREIGN]
    assert len(made) > 40
    astray = [
        f"{where(path, node)} makes {name}"
        for path, node, name in made
        if not path.is_relative_to(CONVERT)
        and not name.endswith(("Request", "Response"))
        and name not in BYTES
    ]
    assert astray == []


def test_what_calls_between_rooms_and_what_people_see_know_no_message_at_all():
    for name in ("rooms.py", "views.py"):
        imported = [
            alias.name
            for node in ast.walk(parse(PACKAGE / "client" / name))
            if isinstance(node, ast.ImportFrom) and node.module == "spikefleet.api.v1"
            for alias in node.names
        ]
        assert [each for each in imported if not each.endswith("_pb2_grpc")] == []
