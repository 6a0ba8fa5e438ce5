//! Whole jobs: a real runner, real supervisors and real sandboxes against a control side in memory.
//!
//! These need root, because sandboxes do; without it they say so and pass.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

#[path = "jobs/abuse.rs"]
mod abuse;
#[path = "jobs/assign.rs"]
mod assign;
#[path = "jobs/control.rs"]
mod control;
#[path = "jobs/kernel.rs"]
mod kernel;
#[path = "jobs/measure.rs"]
mod measure;
#[path = "jobs/next.rs"]
mod next;
#[path = "jobs/output.rs"]
mod output;
#[path = "jobs/pace.rs"]
mod pace;
#[path = "jobs/restart.rs"]
mod restart;
#[path = "jobs/task.rs"]
mod task;
#[path = "jobs/telling.rs"]
mod telling;

use assign::{assignment, command_of, run};
use base::{
    plan::{Action, Step, When},
    protocol::Progress,
    state::{StepState, TaskOutcome},
};
use control::Control;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};
use task::Task;

const RUNNER: &str = env!("CARGO_BIN_EXE_runner-alone");

/// A runner process with its control side; killed and cleaned away when dropped.
struct Bench {
    folder: tempfile::TempDir,
    control: Arc<Control>,
    runner: Child,
    more: Vec<&'static str>,
}

impl Bench {
    fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same with more words for the runner: what a job may keep on disk, in MiB.
    fn start_with(more: &[&'static str]) -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: sandboxes need root");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let control = Control::listen(folder.path());
        let runner = start_runner(folder.path(), &control.socket, more);
        Some(Self { folder, control, runner, more: more.to_vec() })
    }

    fn kill_runner(&mut self) {
        self.runner.kill().unwrap();
        self.runner.wait().unwrap();
    }

    fn restart_runner(&mut self) {
        self.runner = start_runner(self.folder.path(), &self.control.socket, &self.more);
    }

    fn jobs(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path().join("data/jobs"));
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
    }

    async fn finish(&self, steps: &[Step]) -> Task {
        self.control.finished(self.control.assign(assignment(steps))).await
    }
}

#[expect(clippy::disallowed_methods, reason = "the test starts the runner as the server does")]
fn start_runner(folder: &Path, socket: &Path, more: &[&str]) -> Child {
    // With the mask of the shipped unit.
    Command::new("sh")
        .args(["-c", "umask 077; exec \"$0\" \"$@\"", RUNNER])
        .args(["run".as_ref(), socket.as_os_str(), folder.join("data").as_os_str(), "2".as_ref()])
        .args(more)
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
            run("printf 'a\\nb\\nslow\\nc\\n' | circleci tests split --split-by=timings"),
            run("echo $GREETING $CIRCLE_JOB $CIRCLE_NODE_TOTAL token=$TOKEN"),
            run("exit 3"),
            run("echo never"),
            named("after", When::Always, Action::Run(command_of("echo always"))),
        ])
        .await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{:#?}", done.progress);
    assert_eq!(done.text(2), "hello\n/home/circleci/project\nroot\n/home/circleci\n");
    assert_eq!(done.text(4), "slow\n", "the other copy has the three fast ones");
    assert_eq!(done.text(5), "hi build 2 token=****\n");
    assert!(
        done.text_of("exit 3").contains("Exited with code exit status 3\n"),
        "{}",
        done.text_of("exit 3")
    );
    assert_eq!(done.text_of("after"), "always\n");
    let names: Vec<_> = done.steps().into_iter().map(|step| step.0).collect();
    assert_eq!(names[..2], ["Spin up environment", "Preparing environment variables"]);
    assert!(!names.contains(&"echo never".to_owned()));
    assert!(done.text(1).contains("  TOKEN=**REDACTED**\n"), "{}", done.text(1));
    assert!(!done.sent.contains(&1), "what an ended step left goes with the report of its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_can_halt_itself_without_failing() {
    let Some(bench) = Bench::start() else { return };
    let done =
        bench.finish(&[run("circleci-agent step halt; echo still here"), run("echo never")]).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success));
    assert_eq!(done.steps().len(), 3, "{:?}", done.steps());
    assert_eq!(done.text(2), "still here\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_background_reruns_and_signals_have_their_ends() {
    let Some(bench) = Bench::start() else { return };
    let step = |name: &str, when, change: fn(&mut base::plan::RunCommand), command: &str| {
        let mut run = command_of(command);
        change(&mut run);
        named(name, when, Action::Run(run))
    };
    let done = bench
        .finish(&[
            step("server", When::OnSuccess, |run| run.background = true, "echo up; sleep 100"),
            step(
                "flaky",
                When::OnSuccess,
                |run| run.max_auto_reruns = 2,
                "echo try; test -e /tmp/x || { touch /tmp/x; exit 1; }",
            ),
            step("pipe", When::OnSuccess, |_| (), "yes | head -n 1 || true"),
            step(
                "silent",
                When::OnSuccess,
                |run| run.no_output_timeout = Duration::from_millis(300),
                "echo a; sleep 100",
            ),
            step("signal", When::Always, |_| (), "kill -9 $$"),
            step(
                "python",
                When::Always,
                |run| run.shell = Some("/bin/sh".into()),
                "sudo echo $0; exit 0",
            ),
            step("dash c", When::Always, |run| run.shell = Some("/bin/bash -c".into()), "echo run"),
            named(
                "keys",
                When::Always,
                Action::RestoreCache { keys: vec!["{{ checksum \"no\" }}".into()] },
            ),
        ])
        .await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed));
    assert_eq!(done.text_of("server"), "up\n");
    assert!(
        done.text_of("flaky").contains("Running the step again (try 2 of 3)"),
        "{}",
        done.text_of("flaky")
    );
    assert_eq!(done.text_of("pipe"), "y\n");
    assert_eq!(done.text_of("dash c"), "run\n");
    assert_eq!(done.message(), "", "what failed after the first failure is not why");
    let silent = done.text_of("silent");
    assert!(
        silent.contains("Too long with no output (exceeded 300ms): context deadline exceeded\n"),
        "{silent}"
    );
    assert!(
        done.text_of("signal").contains("Exited with code exit status 137"),
        "{}",
        done.text_of("signal")
    );
    let states: Vec<_> = done.steps().into_iter().map(|step| step.1.unwrap()).collect();
    use StepState::{Failed, Success, TimedOut};
    let ends = [Success, Success, Success, Success, Success, TimedOut, Failed];
    assert_eq!(states, [&ends[..], &[Success, Success, Failed]].concat());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_kept_comes_back() {
    let Some(bench) = Bench::start() else { return };
    bench.control.state.lock().unwrap().checkout = commit();
    let paths = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let save = Action::SaveCache {
        key: "v1-{{ .Branch }}-{{ checksum \"Cargo.lock\" }}".into(),
        paths: paths(&["deps", "~/.tool"]),
    };
    let first = bench
        .finish(&[
            named("Checkout code", When::OnSuccess, Action::Checkout { path: ".".into() }),
            named("miss", When::OnSuccess, Action::RestoreCache { keys: paths(&["v1-main-", "v0"]) }),
            run("cat Cargo.lock; mkdir -p deps ~/.tool out/deep; echo dep > deps/a; echo tool > ~/.tool/t; echo art > out/deep/x.txt"),
            named("save", When::OnSuccess, save.clone()),
            named("again", When::OnSuccess, save),
            named("nothing", When::OnSuccess, Action::SaveCache { key: "empty".into(), paths: paths(&["/nowhere"]) }),
            named("over it", When::OnSuccess, Action::Checkout { path: ".".into() }),
            named("persist", When::OnSuccess, Action::PersistToWorkspace { root: "out".into(), paths: paths(&["*"]) }),
            named("artifacts", When::OnSuccess, Action::StoreArtifacts { path: "out".into(), destination: Some("results".into()) }),
            named("no results", When::OnSuccess, Action::StoreTestResults { path: "out".into() }),
            run("mkdir junit; echo '<testsuite><testcase name=\"a\" time=\"0.5\"/><testcase name=\"b\"><failure message=\"no\"/></testcase></testsuite>' > junit/r.xml"),
            named("tests", When::OnSuccess, Action::StoreTestResults { path: "junit".into() }),
            named("bad checkout", When::OnSuccess, Action::Checkout { path: "out".into() }),
        ])
        .await;
    let told = format!("{:#?}", first.progress);
    assert_eq!(
        first.text_of("miss"),
        "No cache is found for key: v1-main-\nNo cache is found for key: v0\n",
        "{told}"
    );
    assert!(
        first.text_of("save").contains("Stored Cache to v1-main-"),
        "{}",
        first.text_of("save")
    );
    assert!(
        first
            .text_of("again")
            .contains("Skipping cache generation, cache already exists for key: v1-main-")
    );
    let nothing = first.text_of("nothing");
    assert!(nothing.contains("Warning: could not archive /nowhere - Not found\n"), "{nothing}");
    assert!(nothing.contains("no cache is stored for key: empty\n"), "{nothing}");
    assert!(first.text_of("no results").contains("No test results were found in"), "{told}");
    let reason = first.message();
    assert!(reason.contains("already exists and is not an empty directory"), "{reason}");
    assert!(first.progress.iter().any(|p| matches!(p, Progress::Artifact { path, size: 4, .. } if path == "results/deep/x.txt")), "{told}");
    assert!(
        first.progress.iter().any(|p| matches!(p, Progress::Tests { tests } if tests.len() == 2)),
        "{told}"
    );
    assert!(
        first.text_of("bad checkout").contains("already exists and is not an empty directory"),
        "{}",
        first.text_of("bad checkout")
    );

    let second = bench
        .finish(&[
            named(
                "restore",
                When::OnSuccess,
                Action::RestoreCache { keys: paths(&["v1-{{ .Branch }}-"]) },
            ),
            run("mkdir -p /tmp/ws /tmp/elsewhere; ln -s /tmp/elsewhere /tmp/ws/deep"),
            named("attach", When::OnSuccess, Action::AttachWorkspace { at: "/tmp/ws".into() }),
            run("cat deps/a ~/.tool/t /tmp/ws/deep/x.txt"),
        ])
        .await;
    assert_eq!(
        second.outcome(),
        Some(TaskOutcome::Success),
        "{:#?} {}",
        second.progress,
        second.text(2)
    );
    let restored = second.text_of("restore");
    assert!(restored.starts_with("Found a cache from build 43 at v1-main-"), "{restored}");
    assert!(restored.contains("\nCached paths:\n  * deps\n  * ~/.tool\n\n"), "{restored}");
    assert_eq!(second.text(5), "dep\ntool\nart\n");
}

/// A commit of one file, as an archive.
fn commit() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(5);
    archive.append_data(&mut header, "Cargo.lock", &b"lock\n"[..]).unwrap();
    header.set_size(0);
    archive.append_data(&mut header, ".git/HEAD", &b""[..]).unwrap();
    archive.into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_canceled_job_is_asked_and_then_ended() {
    let Some(bench) = Bench::start() else { return };
    let steps = [
        run("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"),
        run("echo never"),
    ];
    let task = bench.control.assign(assignment(&steps));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    bench.control.cancel(task);
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Canceled));
    assert!(done.text(2).contains("bye"), "{}", done.text(2));
    assert_eq!(done.steps().len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory_is_told_as_such() {
    let Some(bench) = Bench::start() else { return };
    // Without a line in it, tail keeps all that it reads.
    let mut job = assignment(&[run("head -c 3000000000 /dev/zero | tail | wc -c")]);
    Arc::make_mut(&mut job.spec).resource_class = Some("small".into());
    let done = bench.control.finished(bench.control.assign(job)).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{:#?}", done.progress);
    assert!(
        done.message().contains("Out of memory") && done.message().contains("2 GiB"),
        "{}",
        done.message()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_here_fails_with_the_remedy() {
    let Some(bench) = Bench::start() else { return };
    let mut job = assignment(&[run("echo never")]);
    let spec = Arc::make_mut(&mut job.spec);
    spec.executor = serde_json::from_value(
        serde_json::json!({ "kind": "docker", "images": [{ "image": "cimg/base" }] }),
    )
    .unwrap();
    let done = bench.control.finished(bench.control.assign(job)).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed));
    assert!(done.message().contains("appliance registry import"), "{}", done.message());
    assert_eq!(done.steps().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_supervisors_wait_while_jobs_follow_each_other_closely_and_go_when_calm() {
    let Some(bench) = Bench::start() else { return };
    for _ in 0..3 {
        bench.finish(&[run("true")]).await;
    }
    until_no_jobs(&bench).await;
    until(&bench, |jobs| jobs.len() == 4).await;
    until(&bench, |jobs| jobs.len() == 2).await;
}

/// Waits until the folders of ended jobs are gone; the spares' stay.
pub(crate) async fn until_no_jobs(bench: &Bench) {
    until(bench, |jobs| !jobs.iter().any(|job| job.join("assignment.json").exists())).await;
}

/// Waits until the folders of jobs are as wanted.
pub(crate) async fn until(bench: &Bench, wanted: impl Fn(&[PathBuf]) -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !wanted(&bench.jobs()) {
        assert!(std::time::Instant::now() < deadline, "{:?}", bench.jobs());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// A number from the environment, for measuring.
pub(crate) fn setting(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}
