//! One job after another in one slot.

use super::{
    Bench,
    assign::{assignment, run},
    until_no_jobs,
};
use base::state::TaskOutcome;

/// Three of five tasks come with the answer to the end of another, in its slot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ended_job_hands_its_slot_to_the_next() {
    let Some(bench) = Bench::start() else { return };
    let tasks: Vec<_> =
        (0..5).map(|_| bench.control.assign(assignment(&[run("sleep 0.2")]))).collect();
    for task in tasks {
        let ended = bench.control.finished(task).await;
        assert_eq!(ended.outcome(), Some(TaskOutcome::Success));
    }
    assert_eq!(bench.control.state.lock().unwrap().handed_over, 3);
    until_no_jobs(&bench).await;
}
