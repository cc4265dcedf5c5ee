"""A rig as a process: ``uploading_rig.py ADDRESS PATH NAME JOURNAL``.

Uploads PATH and prints the recording's id. The journal gets a line when a part is about to be sent,
and one when the store has acknowledged it.
"""

import os
import sys
from pathlib import Path

from spikefleet.client.direct_sending import DirectSender
from spikefleet.client.sorting import SortingClient
from spikefleet.core.submissions import RecordingName


def main(address: str, path: str, name: str, journal: str) -> None:
    handle = os.open(journal, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    put = DirectSender._put_once

    def noted(self, part) -> None:
        where = f"{name} {part.path} {part.offset_bytes}\n"
        os.write(handle, f"sent {where}".encode())
        put(self, part)
        os.write(handle, f"acknowledged {where}".encode())

    DirectSender._put_once = noted
    with SortingClient(address, patience_s=120.0) as client:
        recording = client.add_recording(Path(path), name=RecordingName.parse(name), in_place=False)
    print(recording.recording_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
