//! Whole jobs: a real runner, real supervisors and real sandboxes against a control side in memory.
//!
//! These need root, because sandboxes do; without it they say so and pass.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

#[path = "jobs/control.rs"]
mod control;

use base::{
    plan::{Action, Step, When},
    protocol::Progress,
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
        let entries = std::fs::read_dir(self.folder.path().join("data/jobs"));
        entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect()
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
    assert_eq!(states, [Success, Success, Success, Success, Success, TimedOut, Failed, Success]);
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
            named("persist", When::OnSuccess, Action::PersistToWorkspace { root: "out".into(), paths: paths(&["*"]) }),
            named("artifacts", When::OnSuccess, Action::StoreArtifacts { path: "out".into(), destination: Some("results".into()) }),
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
    assert!(second.text_of("restore").starts_with("Found a cache from build 43 at v1-main-"));
    assert_eq!(second.text(4), "dep\ntool\nart\n");
}

/// A commit of one file, as an archive.
fn commit() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(5);
    archive.append_data(&mut header, "Cargo.lock", &b"lock\n"[..]).unwrap();
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
async fn a_restarted_runner_goes_on_where_the_job_stands() {
    let Some(mut bench) = Bench::start() else { return };
    let steps = [
        run("for i in $(seq 1 40); do echo line $i; sleep 0.02; done"),
        run("echo second >> /tmp/ran; cat /tmp/ran"),
        run("for i in $(seq 1 20); do echo more $i; sleep 0.02; done"),
    ];
    let task = bench.control.assign(assignment(&steps));
    for moment in 0..6 {
        bench
            .control
            .until(task, Duration::from_secs(20), |task| {
                task.outcome().is_some()
                    || task.output.values().map(Vec::len).sum::<usize>() > 900 + moment * 40
            })
            .await;
        bench.kill_runner();
        bench.restart_runner();
    }
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{:#?}", done.progress);
    let expected: String = (1..=40).map(|i| format!("line {i}\n")).collect();
    assert_eq!(done.text(2), expected);
    assert_eq!(done.text(3), "second\n", "a step that ended is not run again");
    until_no_jobs(&bench).await;
}

/// Waits until the folders of ended jobs are gone; the spare's stays.
async fn until_no_jobs(bench: &Bench) {
    until(bench, |jobs| !jobs.iter().any(|job| job.join("assignment.json").exists())).await;
}

/// Waits until the folders of jobs are as wanted.
async fn until(bench: &Bench, wanted: impl Fn(&[PathBuf]) -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    while !wanted(&bench.jobs()) {
        assert!(std::time::Instant::now() < deadline, "{:?}", bench.jobs());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_supervisor_is_an_infrastructure_failure() {
    let Some(bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("echo up; sleep 100")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    let job = bench.jobs().into_iter().find(|job| job.join("assignment.json").exists()).unwrap();
    kill_supervisor(&job);
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::InfrastructureFail));
    assert!(done.message().contains("supervisor"), "{}", done.message());
    until_no_jobs(&bench).await;
    let after = bench.finish(&[run("echo fine")]).await;
    assert_eq!(after.outcome(), Some(TaskOutcome::Success));
}

/// Kills the process that serves the folder `job`.
fn kill_supervisor(job: &Path) {
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let args = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let args = String::from_utf8_lossy(&args).into_owned();
        if args.starts_with(RUNNER)
            && args.contains("supervise")
            && args.contains(job.to_str().unwrap())
        {
            let pid = rustix::process::Pid::from_raw(pid).unwrap();
            rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_link_stops_nothing() {
    let Some(bench) = Bench::start() else { return };
    let task = bench
        .control
        .assign(assignment(&[run("echo one; sleep 0.5; echo two"), run("echo three")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("one")).await;
    bench.control.state.lock().unwrap().down = true;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.control.state.lock().unwrap().down = false;
    let done = bench.control.finished(task).await;
    assert_eq!((done.text(2), done.text(3)), ("one\ntwo\n".to_owned(), "three\n".to_owned()));
    assert_eq!(done.outcome(), Some(TaskOutcome::Success));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fenced_job_is_killed_and_forgotten() {
    let Some(bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("while :; do echo x; sleep 0.05; done")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains('x')).await;
    bench.control.state.lock().unwrap().tasks.get_mut(&task).unwrap().fence =
        Some(base::ids::Fence(8));
    until_no_jobs(&bench).await;
    assert_eq!(bench.control.task(task).outcome(), None);
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

/// The same lines through a job and through a plain pipe; the times are printed, not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_output_arrives_whole() {
    let Some(bench) = Bench::start() else { return };
    let lines = setting("RUNNER_FLOOD_LINES", 20_000);
    let line = "x".repeat(99);
    let script = format!("for ((i = 0; i < {lines}; i++)); do echo {line}; done");
    let begun = std::time::Instant::now();
    let floor = plain_pipe(&script);
    let plain = begun.elapsed();
    assert_eq!(floor, u64::from(lines) * 100);
    let begun = std::time::Instant::now();
    let done = bench.finish(&[run(&script)]).await;
    println!("{lines} lines: job {:?}, plain pipe {plain:?}", begun.elapsed());
    assert_eq!(done.outcome(), Some(TaskOutcome::Success));
    assert_eq!(done.output[&2].len() as u64, floor);
    let whole = line + "\n";
    assert!(done.output[&2].chunks(100).all(|chunk| chunk == whole.as_bytes()));
}

#[expect(clippy::disallowed_methods, reason = "the floor that a job is compared with")]
fn plain_pipe(script: &str) -> u64 {
    let mut bash =
        Command::new("bash").args(["-c", script]).stdout(Stdio::piped()).spawn().unwrap();
    let count = std::io::copy(&mut bash.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    assert!(bash.wait().unwrap().success());
    count
}

/// A number from the environment, for measuring.
fn setting(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// Assignment to the first line of the job's own step, with a pause between jobs; printed, not
/// judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trivial_jobs_in_a_row() {
    let Some(bench) = Bench::start() else { return };
    let count = setting("RUNNER_BENCH_JOBS", 5);
    let gap = Duration::from_millis(setting("RUNNER_BENCH_GAP_MS", 20).into());
    let mut first_lines = Vec::new();
    for _ in 0..count {
        tokio::time::sleep(gap).await;
        let begun = std::time::Instant::now();
        let task = bench.control.assign(assignment(&[run("echo hi")]));
        let limit = Duration::from_secs(20);
        bench.control.until(task, limit, |task| task.text(2).contains("hi")).await;
        first_lines.push(begun.elapsed());
        bench.control.finished(task).await;
    }
    first_lines.sort();
    let at = |percent: usize| first_lines[first_lines.len() * percent / 100];
    println!("first line: p5 {:?}, p50 {:?}, p95 {:?}", at(5), at(50), at(95));
}

/// Many jobs at one time; printed, not judged.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_trivial_jobs_at_once() {
    let Some(bench) = Bench::start() else { return };
    let count = setting("RUNNER_BENCH_JOBS", 8);
    let begun = std::time::Instant::now();
    let tasks: Vec<_> =
        (0..count).map(|_| bench.control.assign(assignment(&[run("echo hi")]))).collect();
    for task in tasks {
        let done = bench.control.finished(task).await;
        assert_eq!(done.outcome(), Some(TaskOutcome::Success));
    }
    println!("{:.1} jobs a second", f64::from(count) / begun.elapsed().as_secs_f64());
}

/// Kills the runner, and sometimes the supervisor, again and again at moments of any kind: the job
/// ends as it must, and its log is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_any_moment_lose_nothing() {
    let Some(mut bench) = Bench::start() else { return };
    let rounds = setting("RUNNER_KILL_ROUNDS", 6);
    let steps = [
        run("for i in $(seq 1 30); do echo line $i; done; sleep 0.03"),
        named(
            "save",
            When::OnSuccess,
            Action::PersistToWorkspace { root: "/etc".into(), paths: vec!["passwd".into()] },
        ),
        run("echo last"),
    ];
    for round in 0..rounds {
        let task = bench.control.assign(assignment(&steps));
        // Spread over the whole life of the job, never twice at the same moment.
        let pause = Duration::from_millis(u64::from(round * 37 % 150));
        // A runner that dies before it wrote down what it claimed has run nothing: the lease runs
        // out, which this control side does not play.
        let name = task.to_string();
        let is_this = |job: &PathBuf| {
            std::fs::read_to_string(job.join("assignment.json"))
                .is_ok_and(|text| text.contains(&name))
        };
        let ended = || bench.control.task(task).outcome().is_some();
        until(&bench, |jobs| jobs.iter().any(is_this) || ended()).await;
        tokio::time::sleep(pause).await;
        let lost = round % 4 == 3;
        if lost {
            for job in bench.jobs().iter().filter(|job| job.join("assignment.json").exists()) {
                kill_supervisor(job);
            }
        }
        bench.kill_runner();
        bench.restart_runner();
        let done = bench.control.finished(task).await;
        let whole: String = (1..=30).map(|i| format!("line {i}\n")).collect();
        match done.outcome() {
            Some(TaskOutcome::Success) => {
                assert_eq!((done.text(2), done.text(4)), (whole, "last\n".into()), "round {round}");
                assert_eq!(done.steps().len(), 5);
            }
            Some(TaskOutcome::InfrastructureFail) if lost => {}
            other => panic!("round {round}: {other:?} {:#?}", done.progress),
        }
    }
    until_no_jobs(&bench).await;
}
