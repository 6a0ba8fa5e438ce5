//! Tests that make sandboxes, in a process with one thread: the usual harness has several.
//!
//! Speaks as much of the harness's language as its callers use: `--list`, names, `--exact`.
#![expect(clippy::print_stdout, reason = "a test harness talks to its caller")]

mod bounds;
mod life;
mod links;
mod probes;
mod roots;
mod support;

use std::time::Instant;
use support::Place;

type Test = (&'static str, fn(&mut Place));

const TESTS: &[Test] = &[
    (
        "programs_run_as_told_and_their_ends_are_told",
        life::programs_run_as_told_and_their_ends_are_told,
    ),
    ("a_failed_start_names_its_step", life::a_failed_start_names_its_step),
    (
        "a_program_that_is_stopped_before_its_exec_holds_nothing_up",
        life::a_program_that_is_stopped_before_its_exec_holds_nothing_up,
    ),
    ("an_init_that_does_not_answer_is_given_up", life::an_init_that_does_not_answer_is_given_up),
    ("an_init_that_does_not_end_is_left_behind", life::an_init_that_does_not_end_is_left_behind),
    ("nothing_is_left_on_the_host", life::nothing_is_left_on_the_host),
    (
        "a_killed_supervisor_takes_everything_with_it",
        life::a_killed_supervisor_takes_everything_with_it,
    ),
    (
        "a_supervisor_killed_at_the_birth_of_its_init_takes_it_along",
        life::a_supervisor_killed_at_the_birth_of_its_init_takes_it_along,
    ),
    ("a_stopped_step_spares_daemons", life::a_stopped_step_spares_daemons),
    ("memory_is_bounded_and_told", bounds::memory_is_bounded_and_told),
    ("a_fork_bomb_is_bounded_and_killed", bounds::a_fork_bomb_is_bounded_and_killed),
    ("disk_is_bounded_or_measured", bounds::disk_is_bounded_or_measured),
    (
        "a_job_that_could_not_be_frozen_is_not_taken_for_frozen",
        bounds::a_job_that_could_not_be_frozen_is_not_taken_for_frozen,
    ),
    ("a_frozen_job_stands_still", bounds::a_frozen_job_stands_still),
    ("a_busy_job_keeps_to_its_quota", bounds::a_busy_job_keeps_to_its_quota),
    ("a_trivial_job_is_cheap", bounds::a_trivial_job_is_cheap),
    ("an_image_root_belongs_to_the_job", roots::an_image_root_belongs_to_the_job),
    ("binds_are_as_writable_as_told", roots::binds_are_as_writable_as_told),
    ("files_are_looked_at_within_the_root", roots::files_are_looked_at_within_the_root),
    ("a_link_reaches_what_it_may", links::a_link_reaches_what_it_may),
    ("no_two_jobs_have_one_address", links::no_two_jobs_have_one_address),
    ("rules_without_a_link_are_swept", links::rules_without_a_link_are_swept),
    ("a_job_is_let_out_to_what_is_allowed_alone", links::a_job_is_let_out_to_what_is_allowed_alone),
    (
        "a_job_begins_no_more_connections_than_its_share",
        links::a_job_begins_no_more_connections_than_its_share,
    ),
    ("every_probe_holds", probes::every_probe_holds),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |name: &str| arguments.iter().any(|argument| argument == name);
    if let [first, folder, ..] = arguments.as_slice()
        && first == life::SUPERVISE
    {
        return life::supervise(folder);
    }
    if has("--list") {
        TESTS.iter().filter(|_| !has("--ignored")).for_each(|(name, _)| println!("{name}: test"));
        return;
    }
    if let Some(reason) = support::reason_to_skip() {
        return println!("skipped: {reason}");
    }
    support::own_network();
    let wanted: Vec<&String> =
        arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let chosen = |name: &str| {
        let matches = |one: &&String| {
            if has("--exact") { name == one.as_str() } else { name.contains(one.as_str()) }
        };
        wanted.is_empty() || wanted.iter().any(matches)
    };
    let mut place = Place::new();
    for (name, test) in TESTS.iter().filter(|(name, _)| chosen(name)) {
        let started = Instant::now();
        test(&mut place);
        println!("ok {name} ({} ms)", started.elapsed().as_millis());
    }
}
