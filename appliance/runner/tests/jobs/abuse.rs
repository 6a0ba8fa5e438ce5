//! Jobs that ask for too much, or work against what holds them: each has its own end, and no other
//! job notices.

use crate::{
    Bench,
    assign::{assignment, command_of, run},
    named,
    restart::supervisors,
    task::Task,
};
use base::{
    plan::{Action, Step, When},
    protocol::Progress,
    state::TaskOutcome,
};
use http::StatusCode;
use std::{sync::Arc, time::Duration};

/// Failures of four kilobytes each.
fn failures(count: usize) -> [Step; 3] {
    let script = format!(
        r#"m=$(head -c 4000 /dev/zero | tr '\0' x)
{{ echo '<testsuite>'
seq {count} | sed "s|.*|<testcase name='&'><failure message='$m'/></testcase>|"
echo '</testsuite>'; }} > /tmp/r.xml"#
    );
    let store = Action::StoreTestResults { path: "/tmp/r.xml".into() };
    [run(&script), named("tests", When::OnSuccess, store), run("exit 1")]
}

fn results(progress: &[Progress]) -> usize {
    let count = |progress: &Progress| match progress {
        Progress::Tests { tests } => tests.len(),
        _ => 0,
    };
    progress.iter().map(count).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_long_failures_are_told_and_the_job_ends_once() {
    let Some(bench) = Bench::start() else { return };
    // Twenty megabytes: more than one request may carry.
    let done = bench.finish(&failures(5000)).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{}", done.message());
    assert_eq!(results(&done.progress), 5000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_that_nobody_takes_do_not_cost_the_job() {
    let Some(bench) = Bench::start() else { return };
    bench.control.state.lock().unwrap().rejects_tests = true;
    let done = bench.finish(&failures(20)).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{}", done.message());
    assert_eq!(results(&done.progress), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_starts_after_the_job_s_time() {
    let Some(bench) = Bench::start() else { return };
    // The time ends between two tries, when nothing runs that could be killed.
    let mut twice = command_of("echo try; exit 1");
    (twice.max_auto_reruns, twice.auto_rerun_delay) = (1, Duration::from_secs(3));
    let steps = [named("twice", When::OnSuccess, Action::Run(twice)), run("echo never")];
    let mut job = assignment(&steps);
    job.runtime_max = Duration::from_secs(2);
    let done = bench.control.finished(bench.control.assign(job)).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::TimedOut), "{:#?}", done.progress);
    assert_eq!(done.text_of("twice").matches("try\n").count(), 1, "{}", done.text_of("twice"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bash_env_of_one_s_own_is_nobody_s_business() {
    let Some(bench) = Bench::start() else { return };
    bench.control.state.lock().unwrap().checkout = crate::commit();
    for own in ["/etc/profile", "~/.bashrc", "", "/home/circleci/project/env.sh", "/nowhere/env"] {
        let checkout = Action::Checkout { path: ".".into() };
        let steps = [named("Checkout code", When::OnSuccess, checkout), run("echo ran")];
        let mut job = assignment(&steps);
        let environment = [("BASH_ENV".to_owned(), own.to_owned())];
        Arc::make_mut(&mut job.spec).environment = environment.into_iter().collect();
        let done = bench.control.finished(bench.control.assign(job)).await;
        assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{own}: {:#?}", done.progress);
        assert!(done.text_of("echo ran").contains("ran\n"), "{own}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn artifacts_are_bounded_as_the_disk_is() {
    let Some(bench) = Bench::start_with(&["64"]) else { return };
    let store = Action::StoreArtifacts { path: "/tmp/hole".into(), destination: None };
    let done = bench
        .finish(&[run("truncate -s 1T /tmp/hole"), named("artifacts", When::OnSuccess, store)])
        .await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{:#?}", done.progress);
    let told = done.text_of("artifacts");
    assert!(told.contains("may store 64 MiB"), "{told}");
}

fn checkout() -> Step {
    named("Checkout code", When::OnSuccess, Action::Checkout { path: ".".into() })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_that_can_never_succeed_fails_and_says_why() {
    let Some(bench) = Bench::start() else { return };
    let answer = (StatusCode::UNPROCESSABLE_ENTITY, "the working tree is too deep\n");
    bench.control.state.lock().unwrap().no_checkout = Some(answer);
    let done = bench.finish(&[checkout()]).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{:#?}", done.progress);
    let told = done.text_of("Checkout code");
    let reason = "could not check out the commit: the working tree is too deep\n";
    assert!(told.ends_with(reason), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkout_that_waits_tells_what_for_and_goes_on() {
    let Some(bench) = Bench::start() else { return };
    let answer = (StatusCode::INSUFFICIENT_STORAGE, "the disk of the server is full\n");
    bench.control.state.lock().unwrap().no_checkout = Some(answer);
    bench.control.state.lock().unwrap().checkout = crate::commit();
    let task = bench.control.assign(assignment(&[checkout()]));
    let reason = "Still trying: could not check out the commit: HTTP status 507: the disk of the server is full\n";
    let says_so = |task: &Task| task.output.keys().any(|step| task.text(*step).contains(reason));
    bench.control.until(task, Duration::from_secs(30), says_so).await;
    bench.control.state.lock().unwrap().no_checkout = None;
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{:#?}", done.progress);
    assert_eq!(done.text_of("Checkout code").matches("Still trying").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_archive_of_a_checkout_is_bounded_as_the_disk_is() {
    let Some(bench) = Bench::start_with(&["64"]) else { return };
    bench.control.state.lock().unwrap().checkout = vec![1; 65 << 20];
    let done = bench.finish(&[checkout(), run("echo never")]).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{:#?}", done.progress);
    let told = done.text_of("Checkout code");
    assert!(told.contains("Out of disk: the job kept 65 MiB and may keep 64 MiB"), "{told}");
    assert!(done.steps().iter().all(|step| step.0 != "echo never"));
}

/// Paths of the artifacts that were stored.
fn stored(progress: &[Progress]) -> Vec<&str> {
    let artifacts = progress.iter().filter_map(|one| match one {
        Progress::Artifact { path, .. } => Some(path.as_str()),
        _ => None,
    });
    artifacts.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_cannot_be_kept_costs_no_other_file() {
    let Some(bench) = Bench::start() else { return };
    let make = "mkdir /tmp/out && cd /tmp/out && echo 1 > a && echo 22 > \"$(printf 'b\\nb')\" && echo 333 > c";
    let store = Action::StoreArtifacts { path: "/tmp/out".into(), destination: Some("r".into()) };
    let done = bench.finish(&[run(make), named("artifacts", When::OnSuccess, store)]).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{:#?}", done.progress);
    assert_eq!(stored(&done.progress), ["r/a", "r/c"]);
    let told = done.text_of("artifacts");
    assert!(told.contains("r/b\\nb passed over") && told.contains("r/c (4 B)"), "{told}");
    assert!(done.message().contains("1 file(s) could not be stored"), "{}", done.message());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn artifacts_go_nowhere_from_where_nobody_could_fetch_them() {
    let Some(bench) = Bench::start() else { return };
    let destination = Some("../r".to_owned());
    let store = Action::StoreArtifacts { path: "/tmp/a".into(), destination };
    let beside = Action::StoreArtifacts { path: "../reports".into(), destination: None };
    let steps = [
        run("echo 1 > /tmp/a; mkdir ../reports; echo 2 > ../reports/b"),
        named("beside", When::OnSuccess, beside),
        named("artifacts", When::OnSuccess, store),
    ];
    let done = bench.finish(&steps).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Failed), "{:#?}", done.progress);
    assert_eq!(stored(&done.progress), ["reports/b"]);
    let told = done.text_of("artifacts");
    assert!(told.contains("use a `destination` without `..`"), "{told}");
}

/// CPU time of the supervisors of all jobs, as far as they live.
fn supervising(bench: &Bench) -> Duration {
    let pids = bench.jobs().into_iter().flat_map(|job| supervisors(&job));
    let used = |pid: rustix::process::Pid| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/schedstat", pid.as_raw_nonzero()));
        text.ok()?.split_whitespace().next()?.parse().ok()
    };
    Duration::from_nanos(pids.filter_map(used).sum())
}

/// A pipe whose writers are gone is readable for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_has_closed_its_output_keeps_no_processor_busy() {
    let Some(bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("echo up; exec >&- 2>&-; sleep 2")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    let before = supervising(&bench);
    let mut most = before;
    let mut done = std::pin::pin!(bench.control.finished(task));
    let done = loop {
        match tokio::time::timeout(Duration::from_millis(50), &mut done).await {
            Ok(done) => break done,
            Err(_) => most = most.max(supervising(&bench)),
        }
    };
    assert_eq!(done.outcome(), Some(TaskOutcome::Success));
    assert!(most - before < Duration::from_millis(300), "{:?} for nothing", most - before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_limits_the_sandbox_s_first_process_still_ends() {
    let Some(bench) = Bench::start() else { return };
    let mut beside = command_of("sleep 1000");
    beside.background = true;
    let limit = "prlimit --pid 1 --nofile=3:3 || true; prlimit --pid 1 --as=1:1 || true";
    let steps = [named("beside", When::OnSuccess, Action::Run(beside)), run(limit), run("echo on")];
    let done = bench.finish(&steps).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{:#?}", done.progress);
    assert_eq!(done.text_of("echo on"), "on\n");
}

/// Traces the process whose number is in `/tmp/pid`: its end is then told to the tracer alone.
const TRACE: &str = r#"setsid perl -e '
    my $trace = `uname -m` =~ /aarch64/ ? 117 : 101;
    my $pid = `cat /tmp/pid` + 0;
    syscall($trace, 0x4206, $pid, 0, 0) == 0 or die "not traced: $!";
    print "traced\n";
    sleep 1000' &
sleep 1"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_whose_end_the_job_holds_back_does_not_hold_up_the_job() {
    let Some(bench) = Bench::start() else { return };
    let mut beside = command_of("echo $$ >/tmp/pid; exec sleep 1000");
    beside.background = true;
    let steps = [
        named("beside", When::OnSuccess, Action::Run(beside)),
        run("until [ -s /tmp/pid ]; do sleep 0.1; done"),
        named("trace", When::OnSuccess, Action::Run(command_of(TRACE))),
    ];
    let done = bench.finish(&steps).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{:#?}", done.progress);
    assert!(done.steps().iter().all(|step| step.1.is_some()), "{:?}", done.steps());
}
