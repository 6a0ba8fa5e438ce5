//! A supervisor whose sandbox never stood, or stands no more.

use super::*;
use std::io::{BufRead as _, BufReader};
use wire::{Exec, How, Request, RunId};

/// A supervisor, and what its runner hears.
fn supervisor(folder: &tempfile::TempDir) -> (Supervisor, BufReader<UnixStream>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let served = Supervisor::serving(Folder::at(folder.path().to_owned()), Some(ours)).unwrap();
    let mut heard = BufReader::new(theirs);
    assert!(matches!(next(&mut heard), Event::Hello(_)));
    (served, heard)
}

fn next(heard: &mut BufReader<UnixStream>) -> Event {
    let mut line = String::new();
    heard.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

fn exec(run: RunId) -> Request {
    Request::Exec(Box::new(Exec { run, ..exec_of() }))
}

/// A program that reads and writes nothing.
pub(super) fn exec_of() -> Exec {
    Exec {
        run: RUN,
        container: 0,
        program: "true".into(),
        otherwise: None,
        args: Vec::new(),
        env: Vec::new(),
        cwd: "/".into(),
        create_file: None,
        user: sandbox::User::default(),
        stdin: None,
        stdout: None,
        idle_ms: None,
    }
}

const RUN: RunId = RunId { step: 2, nth: 0 };

#[test]
fn a_sandbox_that_is_lost_in_a_pause_ends_the_pause_and_what_waits_for_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut served, mut heard) = supervisor(&folder);
    served.frozen_since = Some(Instant::now());
    served.carry_out(exec(RUN));
    served.carry_out(Request::Stop { run: RUN, grace: Duration::ZERO });
    served.lost(0);
    assert_eq!(next(&mut heard), Event::Sandbox(wire::Sandbox::Lost));
    assert_eq!(next(&mut heard), Event::Frozen(false));
    let Event::Ended(RUN, end) = next(&mut heard) else { panic!("the run's end is told") };
    assert_eq!(end.how, How::Lost);
    served.deadline = Some(Instant::now());
    served.keep_time(Instant::now());
    assert!(served.overtime, "its time goes on");
}

#[test]
fn a_companion_that_stays_lost_takes_no_count_from_the_runs_that_end() {
    let folder = tempfile::tempdir().unwrap();
    let (mut served, mut heard) = supervisor(&folder);
    served.view.used = Some(sandbox::Usage { oom_kills: 3, ..sandbox::Usage::default() });
    served.lost(1);
    served.lost(1);
    served.overtime = true;
    served.carry_out(exec(RUN));
    let Event::Ended(RUN, end) = next(&mut heard) else { panic!("the run's end is told") };
    assert_eq!((end.how, end.oom_kills), (How::Overtime, 3));
}

#[test]
fn a_job_that_nobody_else_takes_up_ends_with_its_runner() {
    for ends_with_runner in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (mut served, heard) = supervisor(&folder);
        let (secrets, runtime_max) = (Vec::new(), Duration::from_secs(60));
        let begin = wire::Begin { secrets, runtime_max, ends_with_runner };
        served.carry_out(Request::Begin(begin));
        drop(heard);
        served.hear_requests();
        assert_eq!(served.finished, ends_with_runner);
    }
}
