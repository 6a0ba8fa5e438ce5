//! One hook, run and ended.
//!
//! Invariants: the child leads a process group of its own, so that what it started ends with it;
//! it is told to end after its seconds and killed [`GRACE`] later; its outputs are heard for [`GRACE`]
//! after its end at most, and then closed, whoever still holds them. The spawning thread has `no_new_privs` set, which its children inherit: no setuid program and no
//! file capability gives them more than their user has.

use super::{Happening, Hook, Refusal, ears::Ears};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use std::{
    ffi::OsStr,
    io::{self, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::process::{CommandExt, ExitStatusExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

/// After being told to end; a hook only has to let go of a bus.
const GRACE: Duration = Duration::from_secs(2);
/// What a hook finds its programs by; `sbin` holds ipmitool and the like.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// A hook says so when the event does not concern this machine.
const NOT_FOR_ME: i32 = 10;

/// How a hook ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Exit code 0.
    Done,
    /// Exit code 10: nothing to do here.
    NotForMe,
    /// Any other exit code.
    Failed(i32),
    /// Ended by a signal.
    Killed(i32),
    /// It ran for longer than it may.
    TimedOut(Duration),
    /// It could not be started.
    NotStarted(String),
    /// It may not run.
    Refused(String),
}

/// What became of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The hook; empty for one that was refused, whose verdict names it.
    pub path: PathBuf,
    /// How it ended.
    pub verdict: Verdict,
    /// How long it ran.
    pub took: Duration,
    /// What it said on both outputs.
    pub output: String,
}

impl Outcome {
    pub(super) fn refused(refusal: &Refusal) -> Self {
        Self {
            path: PathBuf::new(),
            verdict: Verdict::Refused(refusal.to_string()),
            took: Duration::ZERO,
            output: String::new(),
        }
    }

    /// Whether it did what it should.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        matches!(self.verdict, Verdict::Done | Verdict::NotForMe)
    }

    /// Tells the journal.
    pub(super) fn log(&self) {
        let hook = self.path.display();
        for line in self.output.lines() {
            tracing::info!(%hook, "{line}");
        }
        let took_ms = self.took.as_millis();
        match self.is_ok() {
            true => tracing::debug!(%hook, took_ms, "hook {}", self.verdict),
            false => tracing::warn!(%hook, took_ms, "hook {}", self.verdict),
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::NotForMe => f.write_str("had nothing to do"),
            Self::Failed(code) => write!(f, "failed with exit code {code}"),
            Self::Killed(signal) => write!(f, "was ended by signal {signal}"),
            Self::TimedOut(allowed) => {
                write!(f, "was ended: it ran for longer than its {} s", allowed.as_secs())
            }
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
            Self::Refused(why) => write!(f, "not run: {why}"),
        }
    }
}

pub(super) fn run(hook: &Hook, happening: &Happening) -> Outcome {
    let begun = Instant::now();
    let (verdict, output) = match start(hook, happening) {
        Ok(child) => attend(child, hook.allowed),
        Err(error) => (Verdict::NotStarted(error.to_string()), String::new()),
    };
    Outcome { path: hook.path.clone(), verdict, took: begun.elapsed(), output }
}

#[expect(clippy::disallowed_methods, reason = "this is the door through which hooks are started")]
fn start(hook: &Hook, happening: &Happening) -> io::Result<Child> {
    rustix::thread::set_no_new_privs(true)?;
    let mut command = Command::new(&hook.path);
    command
        .arg(happening.event.as_str())
        .env_clear()
        .env("PATH", std::env::var_os("APPLIANCE_HOOK_PATH").unwrap_or_else(|| PATH.into()))
        .env("LANG", "C.UTF-8")
        .envs(happening.environment())
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some((user, group)) = hook.ids {
        // The standard library drops the other groups, too, when it changes the user.
        command.gid(group).uid(user);
    }
    let mut child = command.spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A hook that does not read its input is in its right; the text fits into the pipe.
        let _ = input.write_all(happening.input(hook.allowed).as_bytes());
    }
    Ok(child)
}

/// Asks a program of the system, bounded as a hook is but as this process; what it prints on its
/// standard output.
#[expect(clippy::disallowed_methods, reason = "the one program of the system that is asked")]
pub(crate) fn ask<'a>(
    program: &Path,
    arguments: impl IntoIterator<Item = &'a OsStr>,
    allowed: Duration,
) -> (Verdict, String) {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    match command.spawn() {
        Ok(child) => attend(child, allowed),
        Err(error) => (Verdict::NotStarted(error.to_string()), String::new()),
    }
}

fn attend(mut child: Child, allowed: Duration) -> (Verdict, String) {
    let Some(pid) = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0)) else {
        return (Verdict::NotStarted("it has no number".into()), String::new());
    };
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Ok(process) => process,
        Err(error) => {
            kill(pid, Signal::KILL);
            return (Verdict::NotStarted(format!("it cannot be watched: {error}")), String::new());
        }
    };
    let mut ears = Ears::of(&mut child);
    let in_time = ears.hear_out(process.as_fd(), Instant::now() + allowed);
    let has_ended = in_time || stop(pid, &process, &mut ears);
    // What the hook left behind in its group would hold its outputs open. It is ended before the
    // hook is waited for: until then the group's number is nobody else's.
    kill(pid, Signal::KILL);
    let status = if has_ended { child.wait() } else { leave(child) };
    let verdict = if in_time { verdict(status) } else { Verdict::TimedOut(allowed) };
    (verdict, ears.rest(Instant::now() + GRACE))
}

/// Ends a hook that runs for too long; whether it has ended.
fn stop(pid: Pid, process: &OwnedFd, ears: &mut Ears) -> bool {
    [Signal::TERM, Signal::KILL].into_iter().any(|signal| {
        kill(pid, signal);
        ears.hear_out(process.as_fd(), Instant::now() + GRACE)
    })
}

/// A process that hangs in the kernel ends when that lets go of it; somebody has to be told then.
fn leave(mut child: Child) -> io::Result<ExitStatus> {
    thread::Builder::new().name("hook-wait".into()).spawn(move || child.wait())?;
    Err(io::ErrorKind::TimedOut.into())
}

fn kill(group: Pid, signal: Signal) {
    let _ = kill_process_group(group, signal);
}

fn verdict(status: io::Result<ExitStatus>) -> Verdict {
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(0), _) => Verdict::Done,
            (Some(NOT_FOR_ME), _) => Verdict::NotForMe,
            (Some(code), _) => Verdict::Failed(code),
            (None, signal) => Verdict::Killed(signal.unwrap_or(0)),
        },
        Err(error) => Verdict::NotStarted(error.to_string()),
    }
}
