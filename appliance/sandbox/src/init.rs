//! Process 1 of a sandbox: builds the inside, starts programs, buries the dead.
//!
//! Why: it is a clone of the supervisor, not a program of its own: nothing must be found or
//! executed in a root that is not trusted, and what it starts is born in the job's namespaces and
//! control groups at no cost.
//! Life: `Joined` → (Build) → `Built` → requests until the supervisor closes its end or dies.
//! Invariants: it never returns into the code it was cloned from; it holds one descriptor (the
//! connection); it cannot be traced or read by the job, because its memory belongs to the host's
//! user namespace and it is marked as not dumpable; nor limited by it, because not all of its ids are
//! those of the job's root.
//! On failure: a failed build is told and ends the process; a failed request is told.

mod build;
mod companion;
mod groups;
mod privilege;
mod start;

use crate::{
    sys,
    wire::{self, Reply, Request},
};
use rustix::event::{PollFd, PollFlags, poll};
use std::{
    collections::BTreeSet,
    fs, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// A step that failed: its name and the kernel's answer.
#[derive(Debug)]
pub(crate) struct Failure {
    stage: String,
    source: io::Error,
}

/// For `map_err`: names the step.
pub(crate) fn at<E: Into<io::Error>>(stage: impl Into<String>) -> impl FnOnce(E) -> Failure {
    let stage = stage.into();
    move |source| Failure { stage, source: source.into() }
}

impl Failure {
    fn reply(&self) -> Reply {
        Reply::Failed {
            stage: self.stage.clone(),
            errno: self.source.raw_os_error().unwrap_or(libc::EIO),
        }
    }
}

pub(crate) use companion::step_over;
pub(crate) use groups::Shown;

/// Whose init this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Born {
    /// A sandbox's own: it makes the network.
    First,
    /// A companion's: it shares the network.
    Beside,
}

/// The whole life of init, from the first moment after the clone.
pub(crate) fn live(socket: &UnixStream, joins: &[OwnedFd], born: Born) -> ! {
    // A panic must not unwind into the supervisor's frames, which this process has copies of.
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        match begin(socket, joins, born) {
            Ok(init) => init.serve(),
            Err(failure) => {
                let _supervisor_may_be_gone = wire::send(socket, &failure.reply(), &[]);
                1
            }
        }
    }));
    sys::exit_now(lived.unwrap_or(101))
}

fn begin<'a>(socket: &'a UnixStream, joins: &[OwnedFd], born: Born) -> Result<Init<'a>, Failure> {
    privilege::die_with_parent().map_err(at("tie to the supervisor"))?;
    build::join(joins, born)?;
    wire::send(socket, &Reply::Joined, &[]).map_err(at("tell that namespaces stand"))?;
    let Some((Request::Build(build), trees)) =
        wire::receive(socket).map_err(at("receive what to build"))?
    else {
        // The supervisor gave up, and told its caller why.
        sys::exit_now(0)
    };
    build::build(&build, trees)?;
    let kept = u32::try_from(socket.as_raw_fd()).expect("descriptors are not negative");
    build::null_stdio().map_err(at("open /dev/null"))?;
    sys::close_from(3, Some(kept), false).map_err(at("close descriptors"))?;
    sys::arguments_replace("sandbox-init").map_err(at("hide the supervisor's arguments"))?;
    let children = sys::signal_descriptor(&[libc::SIGCHLD]).map_err(at("watch for ends"))?;
    let filter = crate::filter::program()
        .map_err(|error| at("compile the filter")(io::Error::other(error)))?;
    privilege::cores_off().map_err(at("turn core files off"))?;
    privilege::bound_init(build.allow_privilege_gain).map_err(at("drop capabilities"))?;
    // Once, for all that it starts. Init has all of its capabilities and may do so with or without
    // `no_new_privs`; from here on it needs nothing that a program in a job does not.
    sys::seccomp_install(filter).map_err(at("install the filter"))?;
    wire::send(socket, &Reply::Built, &[]).map_err(at("tell that the inside stands"))?;
    Ok(Init { socket, children, started: BTreeSet::new() })
}

struct Init<'a> {
    socket: &'a UnixStream,
    children: OwnedFd,
    started: BTreeSet<u32>,
}

impl Init<'_> {
    /// Answers until the supervisor is gone; the process's end then kills all inside.
    fn serve(mut self) -> i32 {
        loop {
            let mut waited = [
                PollFd::new(self.socket, PollFlags::IN),
                PollFd::new(&self.children, PollFlags::IN),
            ];
            match poll(&mut waited, None) {
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return 1,
                Ok(_) => {}
            }
            let [asked, ended] = waited.map(|one| !one.revents().is_empty());
            // Ends first: the answer to a request must not be overtaken by older news.
            let served = if ended { self.bury() } else { Ok(true) }
                .and_then(|alive| if asked { self.answer() } else { Ok(alive) });
            match served {
                Ok(true) => {}
                Ok(false) => return 0,
                Err(_) => return 1,
            }
        }
    }

    fn answer(&mut self) -> io::Result<bool> {
        let Some((request, descriptors)) = wire::receive(self.socket)? else { return Ok(false) };
        let answered = match request {
            Request::Build(_) => {
                Err(at("build twice")(io::Error::from_raw_os_error(libc::EALREADY)))
            }
            Request::Start(start) => {
                self.start(&start, descriptors).map(|(reply, pidfd)| (reply, Some(pidfd)))
            }
            Request::SignalSession { pid, signal } => Ok((signal_session(pid, signal), None)),
            Request::SignalAll { signal } => sys::signal_everyone(signal)
                .map(|()| (Reply::Signaled { count: 0 }, None))
                .map_err(at("signal")),
        };
        match answered {
            Ok((reply, Some(pidfd))) => wire::send(self.socket, &reply, &[pidfd.as_fd()])?,
            Ok((reply, None)) => wire::send(self.socket, &reply, &[])?,
            Err(failure) => wire::send(self.socket, &failure.reply(), &[])?,
        }
        Ok(true)
    }

    fn start(
        &mut self,
        start: &wire::Start,
        descriptors: Vec<OwnedFd>,
    ) -> Result<(Reply, OwnedFd), Failure> {
        let stdio: [OwnedFd; 3] = descriptors
            .try_into()
            .map_err(|_| at("three descriptors")(io::Error::from_raw_os_error(libc::EBADF)))?;
        let (pid, pidfd) = start::start(start, &stdio)?;
        self.started.insert(pid);
        Ok((Reply::Started { pid }, pidfd))
    }

    /// Reaps whatever ended, and tells of the programs that were asked for.
    fn bury(&mut self) -> io::Result<bool> {
        let mut seen = [0; 128];
        while rustix::io::read(&self.children, &mut seen).is_ok() {}
        while let Ok(Some((pid, status))) =
            rustix::process::wait(rustix::process::WaitOptions::NOHANG)
        {
            let pid = pid.as_raw_nonzero().get().cast_unsigned();
            if self.started.remove(&pid) {
                let (code, signal) = (status.exit_status(), status.terminating_signal());
                wire::send(self.socket, &Reply::Exited { pid, code, signal }, &[])?;
            }
        }
        Ok(true)
    }
}

/// Rounds over the process table: a process that forks while it is being read is found by the next.
const KILL_ROUNDS: u32 = 20;

/// Signals every process of a session. Repeats while a kill finds new ones.
fn signal_session(leader: u32, signal: i32) -> Reply {
    let mut count = 0;
    for _ in 0..KILL_ROUNDS {
        let found: Vec<i32> = session_members(leader).collect();
        count += u32::try_from(found.len()).unwrap_or(u32::MAX);
        for pid in &found {
            let _may_have_ended = sys::signal_one(*pid, signal);
        }
        if found.is_empty() || signal != libc::SIGKILL {
            break;
        }
    }
    Reply::Signaled { count }
}

fn session_members(leader: u32) -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let (state, session) = stat_session(&stat)?;
        (pid > 1 && state != 'Z' && session == leader).then_some(pid)
    })
}

/// State and session of a line of `/proc/<pid>/stat`, whose second field may hold any character.
fn stat_session(stat: &str) -> Option<(char, u32)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(2)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::stat_session;

    #[test]
    fn a_process_name_cannot_fake_its_session() {
        assert_eq!(stat_session("7 (a) R 1 9 9) S 1 7 5 0 -1"), Some(('S', 5)));
        assert_eq!(stat_session("7 (sh) Z 1 7 7 0 -1"), Some(('Z', 7)));
        assert_eq!(stat_session("nonsense"), None);
    }
}
