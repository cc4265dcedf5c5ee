"""Runs to make survive the way to a message and back."""

from spikefleet.core.config.sorting import SortingConfig
from spikefleet.core.rooms.wishes import BatchWish
from spikefleet.infra.rpc.convert.batches import from_batch_wish, to_batch_wish


def test_runs_to_make_survive():
    config = SortingConfig().override(snr_min=6.0)
    wish = BatchWish((("rec-1", "w0"), ("rec-2", "")), config, "k", "anna", "day", "uid:7")
    assert from_batch_wish(to_batch_wish(wish)) == wish
