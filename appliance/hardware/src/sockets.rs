//! What each TCP connection of this machine suffers, asked of the kernel (sock_diag).
//!
//! Why: the machine's own counters tell that something is lost, not towards whom; and its loopback
//! traffic, which is never lost, hides the loss of a radio link.
//! Form: netlink messages with `struct inet_diag_msg` and, as an attribute, `struct tcp_info`.
//! The older request (`TCPDIAG_GETSOCK`) is the one that names no family: the kernel walks its table
//! of connections, which is most of the cost, once for both.
//! Source: sock_diag(7); kernel headers `linux/inet_diag.h`, `linux/tcp.h`.
//! Invariants: reads only; [`SOCKETS_MAX`] connections at most; an old kernel's shorter record
//! gives zeros for what it does not have.

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink::SOCK_DIAG,
};
use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::OwnedFd,
    time::Duration,
};

/// Beyond this a sample is as good as the whole.
const SOCKETS_MAX: usize = 4096;
const BUFFER: usize = 64 << 10;
const HEADER: usize = 16;
const DIAG: usize = 72;
/// The request: what is asked for, an address of no meaning, states, and a word for the kernel.
const REQUEST: usize = 60;
const TCP_OF_EITHER_FAMILY: u16 = 18;
const REQUEST_DUMP: u16 = 0x301;
const DONE: u16 = 3;
const ERROR: u16 = 2;
const INFO: u16 = 2;
const ESTABLISHED: u32 = 1 << 1;

/// One connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Socket {
    /// The kernel's name of the connection, never used again.
    pub(crate) cookie: u64,
    pub(crate) peer: SocketAddr,
    /// Bytes that wait for the peer, sent or not.
    pub(crate) waiting: u32,
    pub(crate) info: Info,
}

/// The part of `struct tcp_info` that is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// Retransmissions of the oldest segment in a row.
    pub(crate) retransmits: u8,
    pub(crate) segment: u32,
    pub(crate) unacked: u32,
    pub(crate) path_mtu: u32,
    pub(crate) rtt: Duration,
    pub(crate) retransmitted: u32,
    pub(crate) acked: u64,
    pub(crate) sent: u32,
    /// Time with something to send, and the part of it in which the peer had no room.
    pub(crate) busy: Duration,
    pub(crate) peer_full: Duration,
}

/// Every established connection that leaves the machine.
pub(crate) fn list() -> io::Result<Vec<Socket>> {
    let socket = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::DGRAM,
        SocketFlags::CLOEXEC,
        Some(SOCK_DIAG),
    )?;
    let mut all = dump(&socket)?;
    all.retain(|socket| !is_loopback(socket.peer.ip()));
    Ok(all)
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_loopback() || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback())
        }
    }
}

fn dump(socket: &OwnedFd) -> io::Result<Vec<Socket>> {
    rustix::net::send(socket, &request(), SendFlags::empty())?;
    let mut found = Vec::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let (count, _) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(socket, &mut *buffer, RecvFlags::empty())
        })?;
        if take(&buffer[..count], &mut found)? {
            return Ok(found);
        }
    }
}

fn request() -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(u32::try_from(HEADER + REQUEST).unwrap_or(0).to_ne_bytes());
    bytes.extend(TCP_OF_EITHER_FAMILY.to_ne_bytes());
    bytes.extend(REQUEST_DUMP.to_ne_bytes());
    bytes.extend([0; 8]);
    bytes.extend([0, 0, 0, 1 << (INFO - 1)]);
    bytes.extend([0; 48]);
    bytes.extend(ESTABLISHED.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes
}

/// Reads one datagram; `true` at the end of the dump.
fn take(mut bytes: &[u8], found: &mut Vec<Socket>) -> io::Result<bool> {
    while bytes.len() >= HEADER {
        let length = u32_at(bytes, 0).unwrap_or(0) as usize;
        if length < HEADER || length > bytes.len() {
            return Err(io::ErrorKind::InvalidData.into());
        }
        match u16_at(bytes, 4) {
            Some(DONE) => return Ok(true),
            Some(ERROR) => {
                let code = u32_at(bytes, HEADER).unwrap_or(0).cast_signed();
                return Err(io::Error::from_raw_os_error(-code));
            }
            _ if found.len() < SOCKETS_MAX => found.extend(socket(&bytes[HEADER..length])),
            _ => {}
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    Ok(false)
}

fn socket(bytes: &[u8]) -> Option<Socket> {
    let address: [u8; 16] = bytes.get(24..40)?.try_into().ok()?;
    let address = match bytes.first()? {
        2 => IpAddr::V4(Ipv4Addr::new(address[0], address[1], address[2], address[3])),
        _ => IpAddr::V6(Ipv6Addr::from(address)),
    };
    let port = u16::from_be_bytes(bytes.get(6..8)?.try_into().ok()?);
    Some(Socket {
        cookie: u64::from(u32_at(bytes, 44)?) | u64::from(u32_at(bytes, 48)?) << 32,
        peer: SocketAddr::new(address, port),
        waiting: u32_at(bytes, 60)?,
        info: attributes(bytes.get(DIAG..)?),
    })
}

fn attributes(mut bytes: &[u8]) -> Info {
    while let (Some(length), Some(kind)) = (u16_at(bytes, 0), u16_at(bytes, 2)) {
        let length = usize::from(length);
        if length < 4 || length > bytes.len() {
            break;
        }
        if kind == INFO {
            return info(&bytes[4..length]);
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    Info::default()
}

fn info(bytes: &[u8]) -> Info {
    let word = |at: usize| u32_at(bytes, at).unwrap_or(0);
    let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
    Info {
        retransmits: bytes.get(2).copied().unwrap_or(0),
        segment: word(16),
        unacked: word(24),
        path_mtu: word(60),
        rtt: Duration::from_micros(u64::from(word(68))),
        retransmitted: word(100),
        acked: long(120),
        sent: word(156),
        busy: Duration::from_micros(long(168)),
        peer_full: Duration::from_micros(long(176)),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write,
        net::{TcpListener, TcpStream},
    };

    fn check_found(listen: &str) {
        let Ok(listener) = TcpListener::bind(listen) else {
            eprintln!("skipped: {listen} is no address of this machine");
            return;
        };
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (_server, _) = listener.accept().unwrap();
        client.write_all(&[7; 5000]).unwrap();
        let netlink = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::DGRAM,
            SocketFlags::CLOEXEC,
            Some(SOCK_DIAG),
        )
        .unwrap();
        let sockets = dump(&netlink).unwrap();
        let own = sockets.iter().find(|socket| socket.peer == listener.local_addr().unwrap());
        let info = own.expect("our connection").info;
        assert!(info.sent >= 1 && info.segment > 500 && info.path_mtu > 1000, "{info:?}");
        assert_eq!(info.retransmitted, 0);
    }

    #[test]
    fn a_connection_of_our_own_is_found_with_what_it_sent() {
        check_found("127.0.0.1:0");
        check_found("[::1]:0");
        assert!(list().unwrap().iter().all(|socket| !is_loopback(socket.peer.ip())));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(take(&[255; 20], &mut Vec::new()).is_err());
        assert!(!take(&[], &mut Vec::new()).unwrap());
        assert_eq!(attributes(&[3, 0, 2, 0]), Info::default());
    }
}
