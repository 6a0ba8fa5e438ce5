//! Runners, supervisors, links and leases that are lost in the middle of a job.

use crate::{
    Bench, RUNNER,
    assign::{assignment, run},
    named, setting, until, until_no_jobs,
};
use base::{
    plan::{Action, When},
    state::TaskOutcome,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

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

/// Nobody else knows that it is over, so that its supervisor would wait for the next runner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_end_is_being_told_when_the_runner_stops_leaves_nothing() {
    let Some(mut bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("echo up; sleep 0.5")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    bench.control.state.lock().unwrap().slow = Some(("/report", Duration::from_millis(500)));
    bench.control.finished(task).await;
    let pid = i32::try_from(bench.runner.id()).ok().and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.unwrap(), rustix::process::Signal::TERM).unwrap();
    let runner = &mut bench.runner;
    tokio::task::block_in_place(|| runner.wait()).unwrap();
    // Spares end by themselves after a while.
    let gone = |jobs: &[PathBuf]| jobs.iter().all(|job| supervisors(job).is_empty());
    until(&bench, gone).await;
}

/// Somebody removed the data directory: nobody will ever take up what still runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_without_runner_and_folder_ends_its_job() {
    let Some(mut bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("echo up; sleep 1000")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    let job = bench.jobs().into_iter().find(|job| job.join("assignment.json").exists()).unwrap();
    bench.kill_runner();
    assert!(!supervisors(&job).is_empty());
    std::fs::rename(bench.folder.path().join("data"), bench.folder.path().join("lost")).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !supervisors(&job).is_empty() {
        assert!(std::time::Instant::now() < deadline, "it goes on for nobody");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Its next attempt would begin beside it, with the ids that it has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_whose_journal_cannot_be_read_is_ended_and_told_of() {
    let Some(mut bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("echo up; sleep 1000")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    let job = bench.jobs().into_iter().find(|job| job.join("assignment.json").exists()).unwrap();
    bench.kill_runner();
    std::fs::remove_file(job.join("journal")).unwrap();
    std::fs::create_dir(job.join("journal")).unwrap();
    bench.restart_runner();
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::InfrastructureFail));
    assert!(done.message().contains("journal"), "{}", done.message());
    assert!(!job.join("sandbox").exists(), "it was ended before anybody could begin it anew");
    until_no_jobs(&bench).await;
    let after = bench.finish(&[run("echo fine")]).await;
    assert_eq!(after.outcome(), Some(TaskOutcome::Success));
}

/// Waits for the registration with that number; before it, what a killed runner still asks may be
/// answered with the next task.
async fn until_registered(bench: &Bench, number: u32) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while bench.control.state.lock().unwrap().registrations < number {
        assert!(std::time::Instant::now() < deadline, "the runner does not register");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Kills the process that serves the folder `job`.
fn kill_supervisor(job: &Path) {
    signal_supervisor(job, rustix::process::Signal::KILL);
}

fn signal_supervisor(job: &Path, signal: rustix::process::Signal) {
    for pid in supervisors(job) {
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

/// The processes that serve the folder `job`: one, or none any more.
pub(crate) fn supervisors(job: &Path) -> Vec<rustix::process::Pid> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let serves = |pid: &i32| {
        let args = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let args = String::from_utf8_lossy(&args).into_owned();
        args.starts_with(RUNNER)
            && args.contains("supervise")
            && args.contains(job.to_str().unwrap())
    };
    pids.filter(serves).filter_map(rustix::process::Pid::from_raw).collect()
}

/// Else one job could keep a runner from every other, at each of its starts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_does_not_answer_holds_up_nothing() {
    let Some(mut bench) = Bench::start() else { return };
    let stuck = bench.control.assign(assignment(&[run("echo up; sleep 100")]));
    bench.control.until(stuck, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    let job = bench.jobs().into_iter().find(|job| job.join("assignment.json").exists()).unwrap();
    bench.kill_runner();
    signal_supervisor(&job, rustix::process::Signal::STOP);
    bench.restart_runner();
    until_registered(&bench, 2).await;
    let other = bench.control.assign(assignment(&[run("echo fine")]));
    assert_eq!(bench.control.finished(other).await.outcome(), Some(TaskOutcome::Success));
    // A busy one may need longer than its sandbox may for an answer, and is not killed for that.
    let lost =
        bench.control.until(stuck, Duration::from_secs(90), |task| task.outcome().is_some()).await;
    assert_eq!(lost.outcome(), Some(TaskOutcome::InfrastructureFail));
    until_no_jobs(&bench).await;
}

/// It may be starting a program, which its sandbox has half a minute for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_is_only_busy_keeps_its_job() {
    let Some(mut bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("echo up; sleep 1; echo down")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    let job = bench.jobs().into_iter().find(|job| job.join("assignment.json").exists()).unwrap();
    bench.kill_runner();
    signal_supervisor(&job, rustix::process::Signal::STOP);
    bench.restart_runner();
    until_registered(&bench, 2).await;
    tokio::time::sleep(Duration::from_secs(8)).await;
    signal_supervisor(&job, rustix::process::Signal::CONT);
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{}", done.message());
    assert_eq!(done.text(2), "up\ndown\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_supervisor_that_does_not_end_is_killed_and_its_folder_cleared() {
    let Some(bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("echo up; sleep 1000")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    let job = bench.jobs().into_iter().find(|job| job.join("assignment.json").exists()).unwrap();
    signal_supervisor(&job, rustix::process::Signal::STOP);
    bench.control.state.lock().unwrap().tasks.get_mut(&task).unwrap().fence =
        Some(base::ids::Fence(8));
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while job.exists() {
        assert!(std::time::Instant::now() < deadline, "it is waited for without end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(supervisors(&job).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_runner_waits_for_the_first() {
    let Some(mut bench) = Bench::start() else { return };
    let task = bench.control.assign(assignment(&[run("echo up; sleep 1; echo down")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("up")).await;
    let mut second = crate::start_runner(bench.folder.path(), &bench.control.socket, &[]);
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success));
    assert_eq!(bench.control.state.lock().unwrap().registrations, 1, "the second does not work");
    bench.kill_runner();
    std::mem::swap(&mut bench.runner, &mut second);
    until_registered(&bench, 2).await;
    let after = bench.finish(&[run("echo fine")]).await;
    assert_eq!(after.outcome(), Some(TaskOutcome::Success), "it goes on in the first's place");
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

/// Neither the journal nor the output of a step waits for the disk, and one may have come further.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_that_a_power_cut_took_is_not_waited_for() {
    let Some(mut bench) = Bench::start() else { return };
    let task =
        bench.control.assign(assignment(&[run("echo one; sleep 0.5; echo two"), run("sleep 100")]));
    bench.control.until(task, Duration::from_secs(20), |task| task.text(2).contains("one")).await;
    bench.control.state.lock().unwrap().down = true;
    let job = bench.jobs().into_iter().find(|job| job.join("assignment.json").exists()).unwrap();
    let told = |_: &[PathBuf]| {
        let journal = std::fs::read_to_string(job.join("journal")).unwrap_or_default();
        journal.contains(r#""output_bytes":8"#)
    };
    until(&bench, told).await;
    bench.kill_runner();
    kill_supervisor(&job);
    std::fs::write(job.join("step-2.out"), "one\n").unwrap();
    bench.control.state.lock().unwrap().down = false;
    bench.restart_runner();
    let done = bench.control.finished(task).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::InfrastructureFail));
    assert_eq!(done.text(2), "one\n");
    until_no_jobs(&bench).await;
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
        let before = bench.control.state.lock().unwrap().registrations;
        bench.restart_runner();
        until(&bench, |_| bench.control.state.lock().unwrap().registrations > before).await;
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
