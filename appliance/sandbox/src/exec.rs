//! What goes on inside a sandbox: programs, their ends, what they used.

use base::units::Bytes;
use std::{os::fd::OwnedFd, time::Duration};

/// A program to start inside.
#[derive(Debug)]
pub struct Exec {
    /// A path inside, or a name to look for in the `PATH` of `env`.
    pub program: String,
    /// Started in its place, with the same arguments, where `program` is not there.
    pub otherwise: Option<String>,
    /// What follows the program's name.
    pub args: Vec<String>,
    /// The whole environment; nothing is inherited.
    pub env: Vec<(String, String)>,
    /// Working directory, inside.
    pub cwd: String,
    /// Makes the working directory, owned by the user, when it is missing.
    pub create_cwd: bool,
    /// A file, inside, that is made empty for the user when it is missing and can be made.
    pub create_file: Option<String>,
    /// Who runs it.
    pub user: User,
    /// Descriptors 0, 1 and 2; the program gets no others.
    pub stdio: [OwnedFd; 3],
    /// `stdio[0]` is a terminal that becomes the session's own.
    pub terminal: bool,
}

/// Ids inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
    /// Home directory, inside; `/` when the passwd file names none.
    pub home: String,
    /// Login name; the number when the passwd file names none.
    pub name: String,
}

/// A started program: the leader of a session of its own.
#[derive(Debug)]
pub struct Child {
    /// Process id inside the sandbox: names it to [`crate::Sandbox`]'s methods and in [`Event`].
    pub pid: u32,
    /// Readable when it has ended; signals go to exactly this process.
    pub pidfd: OwnedFd,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It exited by itself.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl Status {
    /// The code a shell would show: 128 and the signal's number for a killed program.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// What the sandbox tells by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A program started by [`crate::Sandbox::spawn`] has ended. Its descendants may live on.
    Exited {
        /// [`Child::pid`].
        pid: u32,
        /// How.
        status: Status,
    },
    /// The sandbox's init is gone and all inside with it: killed, or out of memory.
    Lost,
}

/// What a sandbox has used. A figure that this host cannot give is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Memory now.
    pub memory: Option<Bytes>,
    /// Highest memory so far.
    pub memory_peak: Option<Bytes>,
    /// The memory limit in force.
    pub memory_limit: Option<Bytes>,
    /// Processes that the kernel killed for want of memory.
    pub oom_kills: u64,
    /// CPU time, user and system together.
    pub cpu: Option<Duration>,
    /// Processes and threads now.
    pub pids: Option<u32>,
    /// How often a process was refused because of the pids limit.
    pub pids_refused: u64,
}
