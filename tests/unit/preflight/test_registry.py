"""Every code that preflight can find is found where the catalogue says, and nothing else is."""

from spikefleet.core.findings.catalogue import FINDINGS, FindingPlace
from spikefleet.preflight import examine
from spikefleet.preflight.checks_recording import READ_CODES
from spikefleet.preflight.registry import CHECKS
from spikefleet.runner.node_checks.checks import NODE_CHECKS

OF_THE_SERVICE = (FindingPlace.RECORDING, FindingPlace.SERVICE, FindingPlace.BOTH)
OF_THE_NODE = (FindingPlace.NODE, FindingPlace.BOTH)


def catalogued(places):
    return {row.code for row in FINDINGS if row.place in places and row.levels != "note"}


def test_every_finding_of_the_service_has_its_check():
    assert examine.CHECK_MODULES
    assert set(CHECKS.codes) | set(READ_CODES.values()) == catalogued(OF_THE_SERVICE)


def test_every_finding_of_the_machine_that_sorts_has_its_check():
    assert set(NODE_CHECKS.codes) == catalogued(OF_THE_NODE)
