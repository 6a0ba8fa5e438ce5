//! What a step may do with its output.

use crate::{Bench, assign::run};
use base::state::TaskOutcome;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_may_open_its_output_by_name() {
    let Some(bench) = Bench::start() else { return };
    let script = "echo one > /dev/stderr; echo two | tee /dev/stderr
        setpriv --reuid=1000 --regid=1000 --clear-groups sh -c 'echo three > /proc/self/fd/1'
        ! cat < /dev/stdout";
    let done = bench.finish(&[run(script)]).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{:#?}", done.progress);
    let text = done.text(2);
    for line in ["one\n", "two\n", "three\n"] {
        assert!(text.contains(line), "{line}: {text}");
    }
}
