//! News of the network cards from the kernel, so that a pulled cable is seen at once.
//!
//! The kernel sends a message whenever an interface changes (netlink group `RTNLGRP_LINK`). What
//! changed is not read from it: a message only means "look now", which a lost one, or one too many,
//! cannot make wrong.
//! On failure: without the socket the next round sees the change a second later.

use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink};
use std::{io, sync::mpsc::SyncSender, thread};

const LINK_GROUP: u32 = 1;

/// Rings `bell` at each change; the thread ends when nobody listens any more.
///
/// # Errors
/// The kernel refuses the socket, or there is no thread left.
pub(crate) fn start(bell: SyncSender<()>) -> io::Result<()> {
    let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, LINK_GROUP))?;
    thread::Builder::new().name("hw-link-events".into()).stack_size(64 << 10).spawn(move || {
        let mut buffer = vec![0; 8 << 10];
        // An overrun is news like any other.
        loop {
            let heard = rustix::net::recv(&socket, &mut *buffer, RecvFlags::empty());
            let gone = matches!(heard, Err(error) if error != rustix::io::Errno::NOBUFS
                && error != rustix::io::Errno::INTR);
            if gone || is_disconnected(&bell) {
                return;
            }
        }
    })?;
    Ok(())
}

/// A bell that already rings need not be rung again.
fn is_disconnected(bell: &SyncSender<()>) -> bool {
    matches!(bell.try_send(()), Err(std::sync::mpsc::TrySendError::Disconnected(())))
}
