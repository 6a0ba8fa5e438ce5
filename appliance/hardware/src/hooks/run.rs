//! One hook, run and ended.
//!
//! Invariants: the child leads a process group of its own, so that what it started ends with it;
//! it is told to end after its seconds and killed [`GRACE`] later; of its output [`OUTPUT_MAX`] is
//! kept and the rest read and thrown away, so that a chatty hook neither blocks nor fills memory.
//! The spawning thread has `no_new_privs` set, which its children inherit: no setuid program and no
//! file capability gives them more than their user has.

use super::{Happening, Hook, Refusal};
use rustix::process::{Pid, Signal, kill_process_group};
use std::{
    ffi::OsStr,
    io::{self, Read, Write},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// After being told to end; a hook only has to let go of a bus.
const GRACE: Duration = Duration::from_secs(2);
const OUTPUT_MAX: usize = 64 << 10;
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
    let group = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
    let output = listen([
        child.stdout.take().map(|out| Box::new(out) as Box<dyn Read + Send>),
        child.stderr.take().map(|out| Box::new(out) as Box<dyn Read + Send>),
    ]);
    let (ended, end) = channel();
    // The wait needs the child, the killing only its group.
    let waiter = thread::Builder::new().name("hook-wait".into()).spawn(move || {
        let _ = ended.send(child.wait());
    });
    if waiter.is_err() {
        return (Verdict::NotStarted("no thread left to wait for it".into()), String::new());
    }
    let verdict = match end.recv_timeout(allowed) {
        Ok(status) => verdict(status),
        Err(RecvTimeoutError::Disconnected) => Verdict::NotStarted("its waiter is gone".into()),
        Err(RecvTimeoutError::Timeout) => {
            kill(group, Signal::TERM);
            if end.recv_timeout(GRACE).is_err() {
                kill(group, Signal::KILL);
                let _ = end.recv_timeout(GRACE);
            }
            Verdict::TimedOut(allowed)
        }
    };
    // What the hook left behind in its group would hold its outputs open.
    kill(group, Signal::KILL);
    (verdict, gather(&output))
}

fn kill(group: Option<Pid>, signal: Signal) {
    if let Some(group) = group {
        let _ = kill_process_group(group, signal);
    }
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

/// Reads both outputs to their ends; what does not fit is thrown away.
fn listen(pipes: [Option<Box<dyn Read + Send>>; 2]) -> Receiver<Vec<u8>> {
    let (told, heard) = channel();
    for pipe in pipes.into_iter().flatten() {
        let told = told.clone();
        // Without a thread the output is lost, and the hook still runs.
        let _ = thread::Builder::new().name("hook-output".into()).spawn(move || read(pipe, &told));
    }
    heard
}

fn read(mut pipe: Box<dyn Read + Send>, told: &std::sync::mpsc::Sender<Vec<u8>>) {
    let mut buffer = [0; 4096];
    let mut left = OUTPUT_MAX;
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        let kept = count.min(left);
        left -= kept;
        if kept > 0 && told.send(buffer[..kept].to_vec()).is_err() {
            return;
        }
    }
}

/// Everything that was said, until both ends are closed.
fn gather(heard: &Receiver<Vec<u8>>) -> String {
    let until = Instant::now() + GRACE;
    let mut all = Vec::new();
    while let Ok(part) = heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
        all.extend(part);
    }
    String::from_utf8_lossy(&all).into_owned()
}
