//! One process for each job: it owns the job's sandbox, keeps its output and its clocks.
//!
//! Why a process: a sandbox must be made by a single thread (a clone of a threaded process hangs
//! now and then), and a job must outlive a restart of the runner and of the server. All that is
//! lost with the supervisor is its one job; the control side then makes a new attempt.
//! The way: one loop around one `poll`. A runner attaches through the descriptor that it gave at
//! the start, or later through the folder's socket, and is told all that is known.
//! Invariants: one thread; nothing waits but the poll (and the making of the sandbox); the
//! time-outs of runs and job hold with no runner attached.
//! On failure: a supervisor that cannot go on ends, and the kernel ends its sandbox with it.

use crate::{folder::Folder, mask::Patterns};
use link::Link;
use run::{Run, Spent};
use spool::Spool;
use std::{
    collections::BTreeSet,
    os::{
        fd::AsFd,
        unix::{
            fs::PermissionsExt,
            net::{UnixListener, UnixStream},
        },
    },
    path::Path,
    time::{Duration, Instant},
};
use wire::{Event, View};

pub(crate) mod disk;
pub(crate) mod doorbell;
mod link;
mod pace;
mod requests;
mod run;
mod spool;
#[cfg(test)]
mod tests;
mod told;
mod trust;
pub mod wire;

use doorbell::Doorbell;

/// A supervisor without a runner looks so often whether it is still of use.
const ALONE_LOOK: Duration = Duration::from_secs(10);

/// Pipes of ended runs that their descendants still hold; older ones are closed.
const LEFTOVERS_MAX: usize = 64;

/// How far a supervisor steps back while it removes its sandbox.
const CLEANING_NICENESS: i32 = 10;

/// One read of a pipe: no more than a pipe holds.
const READ_SIZE: usize = 256 << 10;

/// Reads after a run's end: what its pipe held, not what descendants go on printing.
const READS_AT_END: usize = 16;

/// Why a supervisor could not begin.
#[derive(Debug, thiserror::Error)]
#[error("could not {attempt}")]
struct BeginError {
    attempt: &'static str,
    source: std::io::Error,
}

/// Supervises the job whose folder is `dir`; its first runner is connected to descriptor 0.
/// To be called before the process has a second thread.
#[must_use]
pub fn main(dir: &Path) -> u8 {
    crate::host::undumpable();
    // What the job sees is made here and is for all its users, whatever mask the service has; what
    // is not for the job is made with a mode of its own.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    // Fails for a leader of a process group, which then has a session of its own already.
    let _ = rustix::process::setsid();
    match Supervisor::begin(Folder::at(dir.to_owned())) {
        Ok(mut supervisor) => supervisor.serve(),
        Err(error) => {
            tracing::error!(error = %error, cause = %error.source, "the supervisor could not begin");
            1
        }
    }
}

struct Supervisor {
    folder: Folder,
    view: View,
    listener: UnixListener,
    link: Option<Link>,
    bell: Doorbell,
    sandbox: Option<sandbox::Sandbox>,
    patterns: Patterns,
    runs: Vec<Run>,
    leftovers: Vec<Spool>,
    spent: Spent,
    disk: Option<disk::Watch>,
    /// Files of the host that runs write to, or read what they unpack from.
    outside: BTreeSet<std::path::PathBuf>,
    /// When all runs are killed.
    deadline: Option<Instant>,
    /// That time has come, and nothing is started any more.
    overtime: bool,
    frozen_since: Option<Instant>,
    /// What waits for the end of a pause: programs to start, and runs to stop.
    held_back: Vec<wire::Request>,
    /// The class's own limit.
    cpu_millis: Option<u32>,
    /// When it last looked whether it is of use.
    looked: Instant,
    /// It serves a job, and is no spare.
    has_job: bool,
    /// No other runner will take the job up.
    ends_with_runner: bool,
    finished: bool,
    buffer: Vec<u8>,
}

/// Who is at the doors.
#[derive(Debug, Clone, Copy, Default)]
struct Awake {
    /// A runner that connects.
    runners: bool,
    /// The runner, with requests or ready to hear more.
    requests: bool,
    /// Somebody inside the job.
    bell: bool,
}

impl Supervisor {
    fn begin(folder: Folder) -> Result<Self, BeginError> {
        let first = runner_given_at_start().map_err(|source| BeginError {
            attempt: "take over the connection to the runner",
            source,
        })?;
        Self::serving(folder, first)
    }

    fn serving(folder: Folder, first: Option<UnixStream>) -> Result<Self, BeginError> {
        let failed = |attempt| move |source: std::io::Error| BeginError { attempt, source };
        make_door(&folder.door()).map_err(failed("make the folder shown to the job"))?;
        let bell = Doorbell::hang(&folder.doorbell()).map_err(failed("hang the doorbell"))?;
        let listener = UnixListener::bind(folder.socket()).map_err(failed("listen for runners"))?;
        listener.set_nonblocking(true).map_err(failed("listen for runners"))?;
        let view = View::default();
        let link = first.map(|stream| Link::new(stream, &view));
        Ok(Self {
            folder,
            view,
            listener,
            link,
            bell,
            sandbox: None,
            patterns: Patterns::new([]),
            runs: Vec::new(),
            leftovers: Vec::new(),
            spent: Spent::default(),
            disk: None,
            outside: BTreeSet::new(),
            deadline: None,
            overtime: false,
            frozen_since: None,
            held_back: Vec::new(),
            cpu_millis: None,
            looked: Instant::now(),
            has_job: false,
            ends_with_runner: false,
            finished: false,
            buffer: vec![0; READ_SIZE],
        })
    }

    fn serve(&mut self) -> u8 {
        while !self.finished {
            let awake = match self.wait() {
                Ok(awake) => awake,
                Err(error) => {
                    tracing::error!(%error, "the supervisor cannot wait and gives up its job");
                    break;
                }
            };
            if awake.runners {
                self.meet_runners();
            }
            if awake.requests {
                self.hear_requests();
            }
            if awake.bell && self.bell.answer() && !self.view.halted {
                self.tell(Event::Halted);
            }
            self.read_outputs();
            self.keep_time(Instant::now());
            // Last: asking the sandbox for anything may have brought news, which no poll shows.
            self.hear_sandbox();
        }
        // Nobody waits for what is left to do, and the next job should not wait behind it.
        let _ = rustix::process::nice(CLEANING_NICENESS);
        self.destroy();
        0
    }

    /// Waits until something can be done. Doors are told apart, because the kernel makes a whole
    /// connection before it finds that nobody stands at one.
    fn wait(&self) -> Result<Awake, rustix::io::Errno> {
        use rustix::event::{PollFd, PollFlags, Timespec};
        let now = Instant::now();
        let mut fds = vec![PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN)];
        let link = fds.len();
        fds.extend(
            self.link.iter().map(|link| PollFd::from_borrowed_fd(link.fd(), link.interest())),
        );
        let bell = fds.len();
        fds.extend(self.bell.fds().map(|(fd, interest)| PollFd::from_borrowed_fd(fd, interest)));
        let others = fds.len();
        fds.extend(
            self.sandbox
                .iter()
                .flat_map(sandbox::Sandbox::events_fds)
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        let due = self.spools().filter(|spool| spool.is_due(now));
        fds.extend(due.map(|spool| PollFd::from_borrowed_fd(spool.fd(), PollFlags::IN)));
        let timeout = self.next_time(now).map(|at| at.saturating_duration_since(now));
        let timeout = timeout.map(|span| Timespec {
            tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(span.subsec_nanos()),
        });
        match rustix::event::poll(&mut fds, timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => return Ok(Awake::default()),
            other => other?,
        };
        let any = |fds: &[PollFd<'_>]| fds.iter().any(|fd| !fd.revents().is_empty());
        Ok(Awake {
            runners: any(&fds[..link]),
            requests: any(&fds[link..bell]),
            bell: any(&fds[bell..others]),
        })
    }

    fn spools(&self) -> impl Iterator<Item = &Spool> {
        self.runs.iter().filter_map(|run| run.spool.as_ref()).chain(&self.leftovers)
    }

    /// The next moment at which something is due without anything happening.
    fn next_time(&self, now: Instant) -> Option<Instant> {
        let rests = self.spools().filter_map(Spool::rests_until).filter(|until| *until > now);
        let alone = self.link.is_none().then(|| self.looked + ALONE_LOOK);
        let disk = self.disk.as_ref().filter(|_| !self.runs.is_empty()).map(disk::Watch::next);
        let clocks = self.runs.iter().filter_map(Run::next_time).chain(self.deadline).chain(disk);
        let clocks = clocks.filter(|_| self.frozen_since.is_none());
        rests.chain(alone).chain(clocks).min()
    }

    /// It has a job that a runner may find.
    fn may_be_taken_up(&self) -> bool {
        self.has_job && self.folder.path().exists()
    }

    fn meet_runners(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            self.link = Some(Link::new(stream, &self.view));
        }
    }

    fn hear_requests(&mut self) {
        let Some(link) = &mut self.link else { return };
        match link.receive() {
            Some(requests) => {
                link.flush();
                requests.into_iter().for_each(|request| self.carry_out(request));
            }
            None => {
                self.link = None;
                self.finished |= self.ends_with_runner;
            }
        }
    }

    fn read_outputs(&mut self) {
        let now = Instant::now();
        let mut grown = Vec::new();
        for run in &mut self.runs {
            let Some(spool) = &mut run.spool else { continue };
            if !spool.is_due(now) {
                continue;
            }
            if let spool::Read::Grown(length) = spool.read(&mut self.buffer, now) {
                grown.push((run.id.step, length));
            }
        }
        for (step, length) in grown {
            self.tell(Event::Grown(step, length));
        }
        self.leftovers
            .retain_mut(|spool| !matches!(spool.read(&mut self.buffer, now), spool::Read::Closed));
    }

    /// Learns an event and passes it on.
    fn tell(&mut self, event: Event) {
        if let Some(link) = &mut self.link {
            link.tell(&event);
        }
        self.view.learn(event);
    }

    /// Kills and removes the sandbox; what cannot be removed is swept at the runner's next start.
    fn destroy(&mut self) {
        if let Some(sandbox) = self.sandbox.take()
            && let Err(error) = sandbox.destroy()
        {
            tracing::warn!(error = chain(&error), "the sandbox could not be removed whole");
        }
    }
}

/// Every user of the job may look through the door.
fn make_door(door: &Path) -> std::io::Result<()> {
    match std::fs::create_dir(door) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    std::fs::set_permissions(door, std::fs::Permissions::from_mode(0o755))
}

/// The runner that started this process is on the other end of descriptor 0, if any is.
pub(crate) fn runner_given_at_start() -> std::io::Result<Option<UnixStream>> {
    let given = rustix::stdio::stdin().try_clone_to_owned()?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    let is_socket = rustix::net::sockopt::socket_domain(&given).is_ok();
    Ok(is_socket.then(|| UnixStream::from(given)))
}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
