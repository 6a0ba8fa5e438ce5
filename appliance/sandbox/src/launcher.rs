//! A process with one thread that gives birth to others.
//!
//! Why: a program that is started anew is mapped, relocated and initialised each time, for a large
//! one milliseconds and a megabyte of memory; a fork of one that waits costs a tenth and shares its
//! pages. Why not a fork of the caller: that has other threads, whose locks a copy would hold for
//! ever.
//! Life: it serves until nobody holds the other end of its connection; what it gave birth to lives
//! on.
//! Invariants: a child has descriptors 0 and 2 that it was given and no other of the launcher's; it
//! never returns into the launcher's loop; its arguments are shown where the launcher's were.
//! On failure: a birth that fails closes the descriptors that came with it, which tells their other
//! ends.

use crate::{sys, wire};
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};
use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

/// What a new process is told.
#[derive(Serialize, Deserialize)]
struct Birth {
    arguments: Vec<String>,
}

/// The asking end of a launcher.
#[derive(Debug)]
pub struct Launcher {
    socket: UnixStream,
}

impl Launcher {
    /// Speaks to the launcher at the other end.
    #[must_use]
    pub const fn over(socket: UnixStream) -> Self {
        Self { socket }
    }

    /// Asks for a process with these arguments and these descriptors 0 and 2.
    ///
    /// # Errors
    /// When the launcher is gone.
    pub fn launch(
        &self,
        arguments: Vec<String>,
        stdin: BorrowedFd<'_>,
        stderr: BorrowedFd<'_>,
    ) -> io::Result<()> {
        wire::send(&self.socket, &Birth { arguments }, &[stdin, stderr])
    }
}

/// Gives birth to whoever is asked for over `socket`, until its other end is closed. A child does
/// `life` with its arguments and ends with the code that it returns.
///
/// # Errors
/// When the connection or the process table cannot be used. The caller must have one thread.
pub fn serve(socket: &UnixStream, life: impl Fn(&[String]) -> u8) -> io::Result<()> {
    // Compiled here once, and found in their memory by all sandboxes.
    let _told_by_the_first_sandbox = crate::filter::program();
    let children = sys::signal_descriptor(&[libc::SIGCHLD])?;
    loop {
        let mut waited =
            [PollFd::new(socket, PollFlags::IN), PollFd::new(&children, PollFlags::IN)];
        match poll(&mut waited, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => drop(other?),
        }
        let [asked, ended] = waited.map(|one| !one.revents().is_empty());
        if ended {
            bury(&children);
        }
        if asked {
            let Some((birth, descriptors)) = wire::receive::<Birth>(socket)? else { return Ok(()) };
            give_birth(&birth, &descriptors, &life);
        }
    }
}

fn bury(children: &OwnedFd) {
    let mut seen = [0; 128];
    while rustix::io::read(children, &mut seen).is_ok() {}
    while let Ok(Some(_)) = rustix::process::wait(rustix::process::WaitOptions::NOHANG) {}
}

/// A failure is told by the closing of the descriptors.
fn give_birth(birth: &Birth, descriptors: &[OwnedFd], life: impl Fn(&[String]) -> u8) {
    let [stdin, stderr] = descriptors else { return };
    let Ok(sys::Fork::Child) = sys::fork() else { return };
    let lived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        match begin(birth, stdin.as_fd(), stderr.as_fd()) {
            Ok(()) => life(&birth.arguments),
            Err(_) => 1,
        }
    }));
    sys::exit_now(lived.map_or(101, i32::from))
}

fn begin(birth: &Birth, stdin: BorrowedFd<'_>, stderr: BorrowedFd<'_>) -> io::Result<()> {
    sys::signals_unblock()?;
    sys::descriptor_place(stdin, 0)?;
    sys::descriptor_place(stderr, 2)?;
    sys::close_from(3, None, false)?;
    sys::arguments_replace(&birth.arguments.join("\0"))
}
