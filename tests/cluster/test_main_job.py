"""The scenarios of the main job, the same as embedded, through the chart's rooms and Jobs."""

from tests.e2e.test_main_job import (
    test_a_fetched_folder_is_read_as_values,
    test_an_uploaded_recording_ends_in_units_and_a_report,
    test_another_threshold_is_a_second_run_that_reuses_the_sort,
    test_another_threshold_needs_the_stored_sort_alone,
    test_every_transition_of_a_run_is_an_event_in_order,
    test_the_same_submission_twice_is_one_run,
)

__all__ = [
    "test_a_fetched_folder_is_read_as_values",
    "test_an_uploaded_recording_ends_in_units_and_a_report",
    "test_another_threshold_is_a_second_run_that_reuses_the_sort",
    "test_another_threshold_needs_the_stored_sort_alone",
    "test_every_transition_of_a_run_is_an_event_in_order",
    "test_the_same_submission_twice_is_one_run",
]
