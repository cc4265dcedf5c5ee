"""A failure holds those whom it will meet as well, and nobody else."""

import pytest

from spikefleet.core.failures.codes import FAILURES, Disposition, FailureCode
from spikefleet.core.failures.errors import Failure
from spikefleet.core.policy.lanes import PLUGIN_LANE, lane_of_hold

HOLDING = [row.code for row in FAILURES if row.disposition is Disposition.HOLD]
OF_SORTERS = [code for code in HOLDING if code is not FailureCode.HDF5_PLUGIN_MISSING]
ABSURD = {"sorter": {"sorter_params": {"Th_universal": 1e30, "Th_learned": 1e-30}}}


@pytest.mark.parametrize("code", OF_SORTERS)
def test_absurd_thresholds_of_one_client_never_hold_the_lane_of_others(code):
    failure = Failure(code, "It broke.", rule_id="gpu.not_usable")
    assert lane_of_hold("kilosort4", failure, ABSURD) == "kilosort4/own-parameters"


@pytest.mark.parametrize("config", [{}, {"sorter": {"sorter_params": {}}}, {"sorter": None}])
@pytest.mark.parametrize("code", OF_SORTERS)
def test_a_sorter_that_fails_as_everybody_uses_it_holds_its_lane(code, config):
    assert lane_of_hold("kilosort4", Failure(code, "It broke."), config) == "kilosort4"


def test_what_the_machines_own_checks_found_holds_the_lane_whatever_a_client_asked_for():
    failure = Failure(FailureCode.MODEL_LOADING, "Gone.", rule_id="preflight.sorter_dependency")
    assert lane_of_hold("kilosort4", failure, ABSURD) == "kilosort4"


def test_files_that_need_a_vendors_plugin_wait_in_a_lane_of_their_own():
    for rule in ("preflight.hdf5_plugin_missing", "hdf5.plugin"):
        failure = Failure(FailureCode.HDF5_PLUGIN_MISSING, "No plugin.", rule_id=rule)
        assert lane_of_hold("kilosort4", failure, ABSURD) == PLUGIN_LANE
