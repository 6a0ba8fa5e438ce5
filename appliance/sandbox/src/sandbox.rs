//! One living sandbox, as its supervisor holds it.
//!
//! Life: `create` → any number of `spawn`, signals, `freeze`/`thaw` → `destroy`. Dropping it does
//! what `destroy` does, without telling what could not be removed.
//! Invariants: answers of init and news from it come over one connection; news that arrive while
//! an answer is awaited are kept in order for [`Sandbox::next_event`].

mod create;
mod disk;
mod inside;
mod pace;
mod remains;
mod sweep;

pub(crate) use disk::size_below;
pub use disk::{DiskLook, DiskUsage};
pub use sweep::sweep;

use self::remains::Remains;
use crate::{
    Child, Error, Event, Exec, Spec, Status, Usage, User,
    cgroup::Group,
    wire::{self, Reply, Request},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Signal, WaitId, WaitIdOptions},
};
use std::{
    collections::VecDeque,
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::{Duration, Instant},
};

/// For how long init may take to answer. It waits for nothing but the start of a program; a job can hold
/// that up (by stopping the process before its exec), so that init gives it up after two thirds of this,
/// and one that is stopped again and again at once.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);

/// For how long the end of init is waited for: its last process may be stuck in the kernel (a dead
/// disk), and must not hold the caller for ever.
const END_MAX: Duration = Duration::from_secs(5);

/// A sandbox and everything in it. Owned by a single-threaded supervisor.
#[derive(Debug)]
pub struct Sandbox {
    spec: Spec,
    socket: UnixStream,
    init: OwnedFd,
    init_pid: i32,
    root: Option<OwnedFd>,
    events: VecDeque<Event>,
    warnings: Vec<String>,
    frozen: bool,
    lost: bool,
    answer_max: Duration,
    /// Ends before the sandbox itself, and lies within its scratch directory.
    companions: Vec<Sandbox>,
    remains: Remains,
}

impl Sandbox {
    /// One whose init was cloned and waits to be told what to build.
    fn bare(
        spec: &Spec,
        remains: Remains,
        socket: UnixStream,
        init: OwnedFd,
        init_pid: i32,
    ) -> Self {
        Self {
            spec: spec.clone(),
            socket,
            init,
            init_pid,
            root: None,
            events: VecDeque::new(),
            warnings: Vec::new(),
            frozen: false,
            lost: false,
            answer_max: ANSWER_MAX,
            companions: Vec::new(),
            remains,
        }
    }

    /// The companions of [`Spec::companions`], in order: each starts programs and tells of their
    /// ends as a sandbox does. Its limits, use, pauses and end are the sandbox's own.
    pub fn companions(&mut self) -> &mut [Self] {
        &mut self.companions
    }

    /// The descriptors of [`Sandbox::events_fd`], of the sandbox and of companions that live.
    pub fn events_fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let living = self.companions.iter().filter(|companion| !companion.lost);
        std::iter::once(self.events_fd()).chain(living.map(Self::events_fd))
    }

    /// Limits and protections asked for that this host cannot give, as sentences for people.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Host process id of init; it and all below it are the sandbox.
    #[must_use]
    pub fn init_pid(&self) -> i32 {
        self.init_pid
    }

    /// Readable when [`Sandbox::next_event`] may have news. News may also wait from an earlier
    /// call, so ask until `None` before waiting.
    #[must_use]
    pub fn events_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Changes for how long init may take to answer before it is killed; half a minute otherwise.
    pub fn set_answer_max(&mut self, span: Duration) {
        self.answer_max = span;
    }

    /// Starts a program; returns once its exec has happened.
    ///
    /// # Errors
    /// [`Error::Start`] names what failed inside: `exec` with "not found" for a missing program.
    /// [`Error::Lost`] when init did not answer in time; it is then killed, and all inside with it.
    pub fn spawn(&mut self, exec: Exec) -> Result<Child, Error> {
        let Exec {
            program,
            otherwise,
            args,
            env,
            cwd,
            create_cwd,
            create_file,
            user,
            stdio,
            terminal,
        } = exec;
        let User { uid, gid, groups, .. } = user;
        let start = wire::Start {
            program,
            otherwise,
            args,
            env,
            cwd,
            create_cwd,
            create_file,
            uid,
            gid,
            groups,
            terminal,
            patience: self.answer_max * 2 / 3,
        };
        let request = Request::Start(start);
        let [stdin, stdout, stderr] = &stdio;
        let answer = self.ask(&request, &[stdin.as_fd(), stdout.as_fd(), stderr.as_fd()])?;
        match (answer, request) {
            ((Reply::Started { pid }, Some(pidfd)), _) => Ok(Child { pid, pidfd }),
            ((Reply::Failed { stage, errno }, _), Request::Start(start)) => Err(Error::Start {
                program: start.program,
                stage,
                source: io::Error::from_raw_os_error(errno),
            }),
            ((reply, _), _) => Err(unexpected(reply)),
        }
    }

    /// Signals every process of the session that `pid` ([`Child::pid`]) leads: the program and
    /// all its descendants, but those that left for a session of their own (daemons). With
    /// SIGKILL also what they fork meanwhile. Returns how many were found.
    ///
    /// # Errors
    /// [`Error::Lost`] when init is gone, and with it all processes.
    pub fn signal_session(&mut self, pid: u32, signal: i32) -> Result<u32, Error> {
        match self.ask(&Request::SignalSession { pid, signal }, &[])?.0 {
            Reply::Signaled { count } => Ok(count),
            reply => Err(unexpected(reply)),
        }
    }

    /// Signals every process inside but init.
    ///
    /// # Errors
    /// [`Error::Lost`] when init is gone, and with it all processes.
    pub fn signal_all(&mut self, signal: i32) -> Result<(), Error> {
        match self.ask(&Request::SignalAll { signal }, &[])?.0 {
            Reply::Signaled { .. } => Ok(()),
            reply => Err(unexpected(reply)),
        }
    }

    /// The next thing that happened; `None` when nothing did within `timeout` (`None`: for ever).
    /// After [`Event::Lost`] there is only `Lost`.
    ///
    /// # Errors
    /// When init talks nonsense.
    pub fn next_event(&mut self, timeout: Option<Duration>) -> Result<Option<Event>, Error> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            if self.lost {
                return Ok(Some(Event::Lost));
            }
            if !readable(self.socket.as_fd(), deadline)
                .map_err(Error::kernel("wait for news of the job"))?
            {
                return Ok(None);
            }
            // Nothing was asked, so that this can only be news.
            let _told = self.receive()?;
        }
    }

    /// Waits until one program has ended; other news are kept.
    ///
    /// # Errors
    /// [`Error::Lost`] when init is gone; nonsense from init.
    pub fn wait(
        &mut self,
        child: &Child,
        timeout: Option<Duration>,
    ) -> Result<Option<Status>, Error> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        loop {
            let ended = self
                .events
                .iter()
                .position(|event| matches!(event, Event::Exited { pid, .. } if *pid == child.pid));
            if let Some(Event::Exited { status, .. }) = ended.and_then(|at| self.events.remove(at))
            {
                return Ok(Some(status));
            }
            if self.lost {
                return Err(Error::Lost);
            }
            if !readable(self.socket.as_fd(), deadline)
                .map_err(Error::kernel("wait for the end of a program"))?
            {
                return Ok(None);
            }
            let _told = self.receive()?;
        }
    }

    /// What the job has used so far. Cheap: reads a few kernel files.
    #[must_use]
    pub fn usage(&self) -> Usage {
        self.group().usage()
    }

    /// Ends everything inside and removes what is on the host because of it.
    ///
    /// # Errors
    /// When something could not be removed; [`sweep`] will try again.
    pub fn destroy(mut self) -> Result<(), Error> {
        self.end();
        self.remains.remove()
    }

    fn group(&self) -> &Group {
        self.remains.group.as_ref().expect("a sandbox has its groups until it is removed")
    }

    /// Kills init, and with it the whole process namespace, and waits a while for its end.
    fn end(&mut self) {
        if self.frozen
            && let Some(group) = &self.remains.group
        {
            let _may_be_gone = group.freeze(false);
        }
        self.frozen_set(false);
        self.companions.clear();
        self.root = None;
        let _may_have_ended = rustix::process::pidfd_send_signal(&self.init, Signal::KILL);
        // What then still lives is found by whoever removes what it holds.
        if readable(self.init.as_fd(), Some(Instant::now() + END_MAX)).unwrap_or(false) {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
            let _reaped_before = rustix::process::waitid(WaitId::PidFd(self.init.as_fd()), options);
        }
        self.lost = true;
    }

    fn ask(
        &mut self,
        request: &Request,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(Reply, Option<OwnedFd>), Error> {
        if self.lost {
            return Err(Error::Lost);
        }
        if self.frozen {
            return Err(Error::Frozen);
        }
        if let Err(error) = wire::send(&self.socket, request, descriptors) {
            return match error.kind() {
                io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Err(Error::Lost),
                _ => Err(Error::kernel("ask init")(error)),
            };
        }
        let deadline = Some(Instant::now() + self.answer_max);
        loop {
            if !readable(self.socket.as_fd(), deadline).map_err(Error::kernel("hear init"))? {
                let _may_be_gone = rustix::process::pidfd_send_signal(&self.init, Signal::KILL);
                self.lost = true;
                return Err(Error::Lost);
            }
            match self.receive()? {
                Some(answer) => return Ok(answer),
                None if self.lost => return Err(Error::Lost),
                None => {}
            }
        }
    }

    /// Reads one message: news are kept, an answer is returned.
    fn receive(&mut self) -> Result<Option<(Reply, Option<OwnedFd>)>, Error> {
        let received = match wire::receive::<Reply>(&self.socket) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            result => result.map_err(Error::kernel("hear init"))?,
        };
        match received {
            None => {
                self.lost = true;
                Ok(None)
            }
            Some((Reply::Exited { pid, code, signal }, _)) => {
                let status = signal.map_or(Status::Code(code.unwrap_or(255)), Status::Signal);
                self.events.push_back(Event::Exited { pid, status });
                Ok(None)
            }
            Some((reply, descriptors)) => Ok(Some((reply, descriptors.into_iter().next()))),
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if !self.remains.removed {
            self.end();
        }
    }
}

fn unexpected(reply: Reply) -> Error {
    match reply {
        Reply::Failed { stage, errno } => {
            Error::Inside { stage, source: io::Error::from_raw_os_error(errno) }
        }
        other => Error::Inside {
            stage: format!("answer {other:?}"),
            source: io::ErrorKind::InvalidData.into(),
        },
    }
}

/// Waits until `descriptor` is readable; `false` when the deadline came first.
pub(crate) fn readable(
    descriptor: BorrowedFd<'_>,
    deadline: Option<Instant>,
) -> rustix::io::Result<bool> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        });
        match poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], timeout.as_ref()) {
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno),
            Ok(ready) => return Ok(ready > 0),
        }
    }
}
