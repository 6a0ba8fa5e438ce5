//! Messages between the supervisor's side and init, with descriptors.
//!
//! Why: a stream with lengths, because an environment may be longer than one datagram.
//! Form: four bytes of little-endian length, then JSON; descriptors travel with the first byte.
//! Invariants: at most [`MESSAGE_MAX`] bytes and [`DESCRIPTORS_MAX`] descriptors.
//! On failure: an `io::Error`; the connection is then of no further use.

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{self, IoSlice, IoSliceMut, Read, Write},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
    time::Duration,
};

/// The kernel takes 2 MiB of arguments and environment; this leaves room for escapes.
const MESSAGE_MAX: usize = 8 << 20;

/// Descriptors of one message; the kernel's own bound is 253.
pub(crate) const DESCRIPTORS_MAX: usize = 100;

const CONTROL_SIZE: usize = rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX));

/// What the supervisor asks of init.
#[derive(Serialize, Deserialize)]
pub(crate) enum Request {
    /// Build the inside. Comes with the root tree and one tree for each bind.
    Build(Build),
    /// Start a program. Comes with its three descriptors.
    Start(Start),
    /// Signal every process of the session that `pid` leads.
    SignalSession { pid: u32, signal: i32 },
    /// Signal everything but init.
    SignalAll { signal: i32 },
}

/// What init needs to build the inside.
#[derive(Serialize, Deserialize)]
pub(crate) struct Build {
    pub(crate) hostname: String,
    /// Targets, in the order of the descriptors.
    pub(crate) binds: Vec<Target>,
    pub(crate) shm_bytes: Option<u64>,
    pub(crate) allow_privilege_gain: bool,
    pub(crate) link: Option<crate::network::Inside>,
    pub(crate) groups: crate::init::Shown,
}

/// Where a bind goes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) path: String,
    pub(crate) is_dir: bool,
}

/// A program to start.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) program: String,
    pub(crate) otherwise: Option<String>,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) cwd: String,
    pub(crate) create_cwd: bool,
    pub(crate) create_file: Option<String>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) terminal: bool,
    /// For how long its exec is waited for: a job can stop it before.
    pub(crate) patience: Duration,
}

/// What init says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// A companion's init was born, with this host process id; comes with its pidfd.
    Born { pid: i32 },
    /// Its namespaces exist.
    Joined,
    /// The inside stands.
    Built,
    /// A program runs; comes with its pidfd.
    Started { pid: u32 },
    /// Signals were sent to so many processes.
    Signaled { count: u32 },
    /// The last request failed.
    Failed { stage: String, errno: i32 },
    /// A started program ended; told by itself.
    Exited { pid: u32, code: Option<i32>, signal: Option<i32> },
}

/// Sends one message.
pub(crate) fn send<T: Serialize>(
    mut socket: &UnixStream,
    message: &T,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    assert!(descriptors.len() <= DESCRIPTORS_MAX, "the caller bounds its descriptors");
    let mut bytes = vec![0; 4];
    serde_json::to_writer(&mut bytes, message)?;
    let length = bytes.len() - 4;
    if length > MESSAGE_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "arguments and environment are too long",
        ));
    }
    bytes[..4].copy_from_slice(&u32::try_from(length).expect("bounded above").to_le_bytes());
    let mut space = [MaybeUninit::uninit(); CONTROL_SIZE];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(
            socket.as_fd(),
            &[IoSlice::new(&bytes)],
            &mut control,
            SendFlags::NOSIGNAL,
        )
    })?;
    socket.write_all(&bytes[sent..])
}

/// Receives one message; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(
    mut socket: &UnixStream,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut head = [0; 4];
    let mut space = [MaybeUninit::uninit(); CONTROL_SIZE];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            socket.as_fd(),
            &mut [IoSliceMut::new(&mut head)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Ok(None);
    }
    socket.read_exact(&mut head[received.bytes..])?;
    let length = u32::from_le_bytes(head) as usize;
    if length > MESSAGE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes)?;
    Ok(Some((serde_json::from_slice(&bytes)?, descriptors)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn messages_arrive_whole_and_with_their_descriptors() {
        let (left, right) = UnixStream::pair().expect("a pair");
        let null = File::open("/dev/null").expect("the null device");
        let failed = Reply::Failed { stage: "x".repeat(100_000), errno: 13 };
        let sender = std::thread::spawn(move || {
            send(&left, &failed, &[null.as_fd(), null.as_fd()]).expect("sent");
            send(&left, &Reply::Built, &[]).expect("sent");
        });
        let (reply, descriptors) = receive::<Reply>(&right).expect("received").expect("a message");
        assert!(matches!(reply, Reply::Failed { stage, errno: 13 } if stage.len() == 100_000));
        assert_eq!(descriptors.len(), 2);
        let (reply, descriptors) = receive::<Reply>(&right).expect("received").expect("a message");
        assert!(matches!(reply, Reply::Built) && descriptors.is_empty());
        sender.join().expect("no panic");
        assert!(receive::<Reply>(&right).expect("an end is no error").is_none());
    }
}
