//! Runs the models. Which orders each covers is said where it stands.

macro_rules! models {
    ($($module:ident: $($model:ident)*;)*) => {
        $($(#[test] fn $model() { front_proxy_interleavings::$module::$model(); })*)*
    };
}

models! {
    breakers:
        never_more_than_there_are
        a_refusal_disturbs_nobody
        what_goes_over_the_limit_comes_back
        a_new_limit_leaves_the_gauges_right;
    ends:
        an_end_counts_once_whoever_sees_it_first
        nothing_is_left_of_who_reads_on;
    pool:
        a_connection_serves_one_request_at_a_time
        what_a_leaving_request_was_handed_is_the_next_ones
        a_place_that_is_free_wakes_who_waits
        whoever_looks_again_keeps_its_turn
        what_was_begun_and_left_is_for_those_who_come
        a_look_at_an_idle_connection_keeps_nobody_waiting;
    shared:
        one_connection_is_made_for_all_who_want_it
        whoever_gets_no_stream_is_told
        a_failure_is_everybodys
        a_request_that_leaves_takes_no_stream_with_it;
    wakes:
        no_wake_of_a_request_is_lost
        a_wake_goes_to_the_task_that_polled_last
        no_end_of_an_idle_connection_is_missed
        no_end_is_missed_where_nobody_looks_again
        what_comes_is_read_or_told
        the_watcher_sleeps_beside_no_end
        the_watcher_ends_with_its_endpoint
        no_wake_is_lost_on_the_way_out_of_the_pool;
}
