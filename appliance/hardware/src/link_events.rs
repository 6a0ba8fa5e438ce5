//! News of the network cards from the kernel, so that a pulled cable is seen at once.
//!
//! The kernel sends a message whenever an interface changes (netlink group `RTNLGRP_LINK`). Of it
//! only the name is read, because each job makes and removes an interface that is no card: the rest
//! means "look now", which a lost message, or one too many, cannot make wrong.
//! Form: `struct nlmsghdr`, `struct ifinfomsg`, attributes. Source: rtnetlink(7).
//! On failure: without the socket the next round sees the change a second later.

use crate::links;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, netlink::SocketAddrNetlink};
use std::{io, sync::mpsc::SyncSender, thread};

const LINK_GROUP: u32 = 1;
/// A header and its `ifinfomsg`; attributes follow.
const FIXED: usize = 32;
const NAME: u16 = 3;

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
            let is_news = heard.map_or(true, |(count, _)| is_news(&buffer[..count]));
            if gone || is_news && is_disconnected(&bell) {
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

/// Whether a datagram tells of one of the machine's own cards, or cannot be read.
fn is_news(mut bytes: &[u8]) -> bool {
    while let Some(length) = bytes.get(..4) {
        let length = u32::from_ne_bytes([length[0], length[1], length[2], length[3]]) as usize;
        let Some(message) = bytes.get(..length).filter(|message| message.len() >= FIXED) else {
            return true;
        };
        if name(&message[FIXED..]).is_none_or(links::is_own) {
            return true;
        }
        bytes = &bytes[length.next_multiple_of(4).min(bytes.len())..];
    }
    false
}

fn name(mut attributes: &[u8]) -> Option<&str> {
    while let &[a, b, c, d, ..] = attributes {
        let (length, kind) = (usize::from(u16::from_ne_bytes([a, b])), u16::from_ne_bytes([c, d]));
        let value = attributes.get(4..length)?;
        if kind == NAME {
            return std::str::from_utf8(value.strip_suffix(&[0])?).ok();
        }
        attributes = &attributes[length.next_multiple_of(4).min(attributes.len())..];
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(name: &str) -> Vec<u8> {
        let attribute = (4 + name.len() + 1) as u16;
        let padded = usize::from(attribute).next_multiple_of(4);
        let mut bytes = ((FIXED + 8 + padded) as u32).to_ne_bytes().to_vec();
        bytes.resize(FIXED, 0);
        // Another attribute goes before the name.
        bytes.extend([8_u16.to_ne_bytes(), 13_u16.to_ne_bytes()].concat());
        bytes.extend([0; 4]);
        bytes.extend([attribute.to_ne_bytes(), NAME.to_ne_bytes()].concat());
        bytes.extend(name.as_bytes());
        bytes.resize(FIXED + 8 + padded, 0);
        bytes
    }

    #[test]
    fn a_jobs_interface_is_no_news_and_a_card_is() {
        assert!(!is_news(&message("apl-0123456789")));
        assert!(is_news(&message("eth0")));
        assert!(is_news(&[message("veth12"), message("wwan0")].concat()));
        assert!(!is_news(&[message("veth12"), message("lo")].concat()));
    }

    #[test]
    fn what_cannot_be_read_is_news() {
        assert!(is_news(&[255; 40]));
        assert!(is_news(&message("eth0")[..20]));
        assert!(is_news(&[8, 0, 0, 0, 1, 2, 3, 4]));
        let nameless = message("eth0")[..FIXED + 8].to_vec();
        let nameless = [((FIXED + 8) as u32).to_ne_bytes().to_vec(), nameless[4..].to_vec()];
        assert!(is_news(&nameless.concat()));
    }
}
