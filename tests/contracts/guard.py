"""What every guard must do. Each guard's test subclasses this and gives both of its worlds."""

import math

from spikefleet.core.failures.codes import FailureCategory
from spikefleet.core.guards.base import Guard


class GuardContract:
    """Subclasses make a guard whose signal is fine, one in trouble, and one that sees nothing."""

    def calm(self) -> Guard:
        raise NotImplementedError

    def in_trouble(self) -> Guard:
        raise NotImplementedError

    def blind(self) -> Guard:
        raise NotImplementedError

    def test_it_has_a_name_and_a_pace(self) -> None:
        guard = self.calm()
        assert guard.name.isidentifier()
        assert guard.interval_s > 0

    def test_a_calm_signal_is_measured_and_nothing_is_said(self) -> None:
        guard = self.calm()
        for now_s in (0.0, 0.1, 0.2):
            reading = guard.read(now_s)
            assert (reading.guard, reading.warning, reading.trip) == (guard.name, "", None)
            assert reading.values
            assert all(math.isfinite(value) for value in reading.values.values())

    def test_it_says_what_it_trips_at(self) -> None:
        thresholds = self.in_trouble().thresholds
        assert thresholds
        assert all(math.isfinite(value) for value in thresholds.values())

    def test_no_single_reading_trips(self) -> None:
        assert self.in_trouble().read(0.0).trip is None

    def test_trouble_trips_within_a_few_readings_with_evidence(self) -> None:
        guard = self.in_trouble()
        trips = [guard.read(1000.0 * number).trip for number in range(5)]
        trip = next(found for found in trips if found is not None)
        assert trip.category is FailureCategory.RESOURCE
        assert trip.rule_id.startswith("guard.")
        assert trip.evidence
        assert any(character.isdigit() for character in trip.message)

    def test_a_signal_that_cannot_be_read_is_no_verdict(self) -> None:
        guard = self.blind()
        for now_s in (0.0, 0.1):
            reading = guard.read(now_s)
            assert reading.trip is None
            assert reading.advisory or reading.values, "a blind guard must say so"
