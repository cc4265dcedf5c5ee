"""What a controller of Jobs, its runners and its rooms must keep, and the tests that hold each."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Requirement:
    """One promise. ``elsewhere`` says where it is kept, when no test of ours can hold it."""

    says: str
    tests: tuple[str, ...] = ()
    elsewhere: str = ""


REQUIREMENTS: Mapping[int, Requirement] = {
    1: Requirement(
        "One Job for an attempt, whatever is cut off, killed or not answered.",
        (
            "test_any_one_request_may_be_cut",
            "test_any_of_them_may_be_cut",
            "test_a_start_without_an_answer_makes_one_job_in_the_end",
            "test_a_controller_killed_at_random_moments_ends_every_run_once",
        ),
    ),
    2: Requirement(
        "A Job's name follows from its attempt; one of that name that is not ours is left alone.",
        (
            "test_every_name_becomes_one_that_a_job_may_have",
            "test_two_attempts_never_share_a_name",
            "test_a_job_of_a_stranger_holds_its_run_alone_and_is_not_touched",
        ),
    ),
    3: Requirement(
        "A sort has succeeded when its manifest is complete and verified, and only then.",
        (
            "test_a_complete_result_is_success_whatever_became_of_its_pod",
            "test_exit_zero_without_a_result_is_tried_once_more_and_then_fails",
            "test_a_code_of_the_table_beside_a_complete_result_is_that_class_and_is_flagged",
        ),
    ),
    4: Requirement(
        "Every way a pod dies has its class and evidence, by a table of recorded deaths.",
        (
            "test_a_recorded_death_is_what_the_table_says",
            "test_a_death_that_could_not_be_recorded_is_what_the_table_says",
        ),
    ),
    5: Requirement(
        "Budgets are of causes: a disruption between two of them resets and spends nothing.",
        (
            "test_a_cause_keeps_its_budget_across_other_causes",
            "test_disruptions_between_out_of_memory_failures_neither_reset_nor_spend_anything",
        ),
    ),
    6: Requirement(
        "Disruptions are bounded, though the cluster would go on for ever.",
        ("test_disruptions_are_bounded_by_a_budget_of_their_own",),
    ),
    7: Requirement(
        "A step that can change spikes needs leave, and is stamped where it was given.",
        (
            "test_a_step_that_can_change_spikes_is_refused_without_leave_and_named",
            "test_an_allowed_retry_that_can_change_spikes_is_stamped",
        ),
    ),
    8: Requirement(
        "A fault of the environment stops its own lane and no other, until it is released, or one "
        "of its runs that is tried now and then gets through.",
        (
            "test_a_held_lane_stops_its_other_sorts_and_no_one_elses",
            "test_a_missing_plugin_holds_those_who_need_it_until_it_is_released",
            "test_before_an_hour_nobody_is_tried_and_then_one_run_of_each_lane_is",
            "test_a_probe_that_fails_is_held_again_and_the_next_one_waits_longer",
            "test_a_probe_that_gets_through_opens_its_lane_and_no_other",
        ),
    ),
    9: Requirement(
        "A Job expires only after its outcome is on record.",
        (
            "test_an_ended_job_stays_until_it_is_recorded_and_then_expires",
            "test_nothing_is_repeated_by_the_cluster_and_nothing_expires_before_its_outcome",
        ),
    ),
    10: Requirement(
        "What a lost node held is sorted elsewhere; its late writer changes nothing.",
        (
            "test_after_a_lost_node_the_next_job_avoids_it_and_the_old_one_is_taken_away",
            "test_a_pod_on_a_lost_node_is_given_up_ten_minutes_after_it_was_due",
            "test_a_stopped_holder_that_wakes_late_cannot_overwrite_the_winner",
        ),
    ),
    11: Requirement(
        "A server in trouble is asked seldom, and a stream that falls silent is noticed.",
        (
            "test_server_in_trouble_is_asked_less_than_once_a_second_after_half_a_minute",
            "test_empty_streams_after_good_lists_are_asked_for_just_as_seldom",
            "test_stream_that_falls_silent_is_left_and_opened_anew",
        ),
    ),
    12: Requirement(
        "One controller acts; one that was superseded changes no row.",
        (
            "test_leader_whose_api_hangs_stops_before_another_can_take_its_lease",
            "test_stale_controller_changes_no_row_by_any_write",
        ),
    ),
    13: Requirement(
        "The record of runs can be had back after its loss.",
        elsewhere="The run database is the one record, and is backed up and restored as "
        "docs/howto/backup.md says; there is no second journal that could differ from it.",
    ),
    14: Requirement(
        "What a queue does is told in its own words, and spends no budget of another cause.",
        (
            "test_a_queue_says_by_its_own_words_why_it_lets_an_attempt_wait",
            "test_a_queue_that_takes_a_place_back_spends_nothing_of_other_causes",
            "test_a_queue_that_has_given_up_is_no_silent_dead_end",
            "test_a_queue_that_is_not_installed_or_not_shown_has_no_words",
        ),
    ),
    15: Requirement(
        "Every decision carries class, evidence, rule and what it changes.",
        (
            "test_every_decision_explains_itself",
            "test_every_row_of_the_table_gets_a_decision_with_a_rule_and_a_reason",
        ),
    ),
    16: Requirement(
        "The exit code is the class, the last word fits, and a stop is never a success.",
        (
            "test_a_child_that_fails_by_itself_ends_in_its_own_row",
            "test_the_message_fits_whatever_the_evidence",
            "test_sigterm_to_the_parent_ends_the_child_and_is_never_zero",
            "test_a_pod_told_to_stop_stores_its_evidence_and_never_ends_with_success",
        ),
    ),
    17: Requirement(
        "Memory is judged as a container has it; cache at the limit is no danger.",
        (
            "test_page_cache_at_the_limit_never_trips",
            "test_a_hybrid_machine_is_read_where_its_memory_controller_is",
            "test_without_a_limit_the_node_counts",
            "test_a_kernel_kill_trips_at_once_as_out_of_memory",
        ),
    ),
    18: Requirement(
        "GPU memory of a neighbour is not ours, and what cannot be read is advisory.",
        (
            "test_a_neighbours_memory_is_not_ours_to_judge",
            "test_memory_that_cannot_be_told_apart_makes_the_guard_advisory",
            "test_an_absent_driver_makes_the_guard_advisory",
        ),
    ),
    19: Requirement(
        "A sort that computes in silence goes on, one that hangs is stopped.",
        (
            "test_the_same_sort_with_hours_of_quiet_computing_runs_through",
            "test_a_sort_that_hangs_is_stopped_within_its_bound_wherever_it_hangs",
        ),
    ),
    20: Requirement(
        "The runner's parent outlives its sorter and writes its end, on a full disk too.",
        (
            "test_a_child_that_ignores_sigterm_dies_with_all_its_descendants",
            "test_a_disk_that_takes_nothing_does_not_hide_the_exit_code",
            "test_a_killed_parent_leaves_a_heartbeat_of_its_last_reading",
        ),
    ),
    21: Requirement(
        "An upload goes on after any death, and hardly a part is sent again.",
        (
            "test_what_is_killed_while_it_uploads_costs_time_and_nothing_else",
            "test_an_upload_that_was_cut_off_is_resumed_with_what_the_store_has",
        ),
    ),
    22: Requirement(
        "A changed bit is found, and its part is named.",
        (
            "test_a_part_that_was_changed_on_its_way_is_named_and_may_be_put_again",
            "test_bytes_that_differ_from_the_submitted_ones_are_refused",
        ),
    ),
    23: Requirement(
        "A room that leaves ends its streams with a hint and finishes its calls.",
        (
            "test_draining_ends_streams_with_a_hint_and_lets_calls_finish",
            "test_draining_under_fifty_streams_and_a_hundred_calls_a_second_loses_none",
        ),
    ),
    24: Requirement(
        "The contract of the wire is linted and compared, and every refusal is in one table.",
        (
            "test_every_exception_with_a_reason_exists_and_means_it",
            "test_every_reason_survives_the_wire",
            "test_every_reason_is_given_by_somebody",
            "test_the_page_of_refusals_is_what_the_table_says",
            "test_a_made_up_page_token_is_refused",
            "test_a_key_that_opened_an_upload_of_other_files_is_upload_conflict",
            "test_a_part_that_ends_without_its_digest_is_upload_stalled",
            "test_a_file_that_grows_while_it_is_digested_is_source_changed",
            "test_a_sorted_run_is_redone_when_asked_and_refused_while_it_goes",
        ),
        elsewhere="`make check` lints the protos and compares them with the last release's.",
    ),
    25: Requirement(
        "The chart's objects are Kubernetes' own, restricted, with exactly the rights in use.",
        (
            "test_every_object_is_accepted_by_the_typed_client",
            "test_every_pod_keeps_to_restricted",
            "test_the_controller_works_with_the_rights_of_the_chart_and_none_is_idle",
            "test_every_alert_fires_when_it_should_and_keeps_calm_otherwise",
            "test_every_query_of_a_panel_is_answered",
        ),
    ),
}
