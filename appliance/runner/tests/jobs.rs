//! Whole jobs: a real runner, real supervisors and real sandboxes against a control side in memory.
//!
//! These need root, because sandboxes do; without it they say so and pass.

#[path = "jobs/control.rs"]
mod control;

use base::{
    plan::{Action, Step, When},
    protocol::{Progress, Verdict},
    state::{StepState, TaskOutcome},
};
use control::{Control, Task, assignment, command_of, run};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

const RUNNER: &str = env!("CARGO_BIN_EXE_runner-alone");

/// A runner process with its control side; killed and cleaned away when dropped.
struct Bench {
    folder: tempfile::TempDir,
    control: Arc<Control>,
    runner: Child,
}

impl Bench {
    fn start() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: sandboxes need root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let control = Control::listen(folder.path());
        let runner = start_runner(folder.path(), &control.socket);
        Some(Self { folder, control, runner })
    }

    fn kill_runner(&mut self) {
        self.runner.kill().unwrap();
        self.runner.wait().unwrap();
    }

    fn restart_runner(&mut self) {
        self.runner = start_runner(self.folder.path(), &self.control.socket);
    }

    fn jobs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("data/jobs")).unwrap();
        entries.flatten().map(|entry| entry.path()).collect()
    }

    async fn finish(&self, steps: &[Step]) -> Task {
        self.control.finished(self.control.assign(assignment(steps))).await
    }
}

#[expect(clippy::disallowed_methods, reason = "the test starts the runner as the server does")]
fn start_runner(folder: &Path, socket: &Path) -> Child {
    Command::new(RUNNER)
        .args(["run".as_ref(), socket.as_os_str(), folder.join("data").as_os_str(), "2".as_ref()])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.runner.kill();
        let _ = self.runner.wait();
        for job in self.jobs() {
            let log = std::fs::read_to_string(job.join("supervisor.log")).unwrap_or_default();
            if !log.is_empty() {
                println!("supervisor: {log}");
            }
        }
    }
}

fn named(name: &str, when: When, action: Action) -> Step {
    Step { name: name.into(), when, action }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_run_in_order_and_tell_what_they_print() {
    let Some(bench) = Bench::start() else { return };
    let done = bench
        .finish(&[
            run("echo hello; pwd; whoami; echo $HOME >&2"),
            run("echo 'export GREETING=hi' >> $BASH_ENV"),
            run("echo $GREETING $CIRCLE_JOB $CIRCLE_NODE_TOTAL token=$TOKEN"),
            run("exit 3"),
            run("echo never"),
            named("after", When::Always, Action::Run(command_of("echo always"))),
        ])
        .await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{:#?}", done.progress);
    assert_eq!(done.text(2), "hello\n/home/circleci/project\nroot\n/home/circleci\n");
    assert_eq!(done.text(4), "hi build 2 token=****\n");
    assert!(done.text_of("exit 3").contains("Exited with code exit status 3\n"), "{}", done.text_of("exit 3"));
    assert_eq!(done.text_of("after"), "always\n");
    let names: Vec<_> = done.steps().into_iter().map(|step| step.0).collect();
    assert_eq!(names[..2], ["Spin up environment", "Preparing environment variables"]);
    assert!(!names.contains(&"echo never".to_owned()));
    assert!(done.text(1).contains("  TOKEN=**REDACTED**\n"), "{}", done.text(1));
}
