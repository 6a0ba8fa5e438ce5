//! Messages to the kernel's network parts, and its answers.
//!
//! Form: a header of 16 bytes, a body, then attributes of (length, kind, value), each padded to
//! four bytes. Source: netlink(7), rtnetlink(7); kernel headers `linux/netlink.h`.

use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::{io, os::fd::OwnedFd};

pub(super) const ACK: u16 = 4;
pub(super) const CREATE: u16 = 0x400;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const REPLACE: u16 = 0x100;
pub(super) const DUMP: u16 = 0x300;
const REQUEST: u16 = 1;
const NESTED: u16 = 0x8000;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const HEADER: usize = 16;

/// Messages that are sent at once. Batches of rules are all or nothing.
#[derive(Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    start: usize,
    sequence: u32,
    acknowledged: u32,
}

impl Batch {
    /// Begins a message; what follows is its body and attributes.
    pub(super) fn message(&mut self, kind: u16, flags: u16, body: &[u8]) -> &mut Self {
        self.finish();
        self.start = self.bytes.len();
        self.sequence += 1;
        self.acknowledged += u32::from(flags & ACK != 0);
        self.bytes.extend([0; 4]);
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend((flags | REQUEST).to_ne_bytes());
        self.bytes.extend(self.sequence.to_ne_bytes());
        self.bytes.extend([0; 4]);
        self.raw(body)
    }

    /// Adds an attribute to the message.
    pub(super) fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).expect("attributes are short");
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.raw(value)
    }

    /// Adds an attribute that holds attributes.
    pub(super) fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let at = self.bytes.len();
        self.attribute(kind | NESTED, &[]);
        fill(self);
        let length = u16::try_from(self.bytes.len() - at).expect("attributes are short");
        self.bytes[at..at + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    pub(super) fn text(&mut self, kind: u16, text: &str) -> &mut Self {
        self.attribute(kind, &[text.as_bytes(), b"\0"].concat())
    }

    /// A number as the rule machine takes it: the network's byte order.
    pub(super) fn number_be(&mut self, kind: u16, number: u32) -> &mut Self {
        self.attribute(kind, &number.to_be_bytes())
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend(bytes);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    fn finish(&mut self) {
        if self.bytes.len() > self.start {
            let length = u32::try_from(self.bytes.len() - self.start).expect("messages are short");
            self.bytes[self.start..self.start + 4].copy_from_slice(&length.to_ne_bytes());
        }
    }
}

/// A connection to one part of the kernel.
pub(super) struct Socket(OwnedFd);

impl Socket {
    /// `None` is the routing part, whose number is zero.
    pub(super) fn open(part: Option<Protocol>) -> io::Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::RAW);
        Ok(Self(rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, part)?))
    }

    /// Sends everything and waits until the kernel has done it, or refused any of it.
    pub(super) fn send(&mut self, mut batch: Batch) -> io::Result<()> {
        batch.finish();
        rustix::net::send(&self.0, &batch.bytes, SendFlags::empty())?;
        let mut left = batch.acknowledged;
        let mut buffer = vec![0; 16 << 10];
        while left > 0 {
            let (count, _) = rustix::io::retry_on_intr(|| {
                rustix::net::recv(&self.0, &mut *buffer, RecvFlags::empty())
            })?;
            left = left.saturating_sub(answers(&buffer[..count])?);
        }
        Ok(())
    }
}

impl Socket {
    /// Sends a question that has many answers, and returns their bodies.
    pub(super) fn dump(&mut self, mut batch: Batch) -> io::Result<Vec<Vec<u8>>> {
        batch.finish();
        rustix::net::send(&self.0, &batch.bytes, SendFlags::empty())?;
        let mut bodies = Vec::new();
        let mut buffer = vec![0; 64 << 10];
        loop {
            let (count, _) = rustix::io::retry_on_intr(|| {
                rustix::net::recv(&self.0, &mut *buffer, RecvFlags::empty())
            })?;
            if bodies_of(&buffer[..count], &mut bodies)? || count == 0 {
                return Ok(bodies);
            }
        }
    }
}

/// Adds the bodies of a datagram; `true` when it was the last one.
fn bodies_of(mut bytes: &[u8], bodies: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    while let Some((kind, body, rest)) = split(bytes)? {
        match kind {
            DONE => return Ok(true),
            ERROR => return refused(body).map(|()| true),
            _ => bodies.push(body.to_vec()),
        }
        bytes = rest;
    }
    Ok(false)
}

/// The text of an attribute in a list of them.
pub(super) fn attribute_text(mut list: &[u8], wanted: u16) -> Option<String> {
    while let Some((head, _)) = list.split_at_checked(4) {
        let length = usize::from(u16::from_ne_bytes(head[..2].try_into().ok()?));
        let kind = u16::from_ne_bytes(head[2..].try_into().ok()?);
        let value = list.get(4..length)?;
        if kind & !NESTED == wanted {
            return Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
        }
        list = &list[length.next_multiple_of(4).min(list.len())..];
    }
    None
}

/// A message's kind, its body, and what follows it.
type Split<'a> = (u16, &'a [u8], &'a [u8]);

/// The first message of a datagram.
fn split(bytes: &[u8]) -> io::Result<Option<Split<'_>>> {
    if bytes.len() < HEADER {
        return Ok(None);
    }
    let broken = || io::Error::from(io::ErrorKind::InvalidData);
    let length = u32::from_ne_bytes(bytes[..4].try_into().map_err(|_| broken())?) as usize;
    let kind = u16::from_ne_bytes(bytes[4..6].try_into().map_err(|_| broken())?);
    let body = bytes.get(HEADER..length).ok_or_else(broken)?;
    Ok(Some((kind, body, &bytes[length.next_multiple_of(4).min(bytes.len())..])))
}

/// What the body of an `ERROR` message says: success has the number zero.
fn refused(body: &[u8]) -> io::Result<()> {
    let code = body.get(..4).and_then(|code| code.try_into().ok());
    match code.map(i32::from_ne_bytes).ok_or(io::ErrorKind::InvalidData)? {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(-errno)),
    }
}

/// Counts the answers in a datagram; the first refusal ends it.
fn answers(mut bytes: &[u8]) -> io::Result<u32> {
    let mut count = 0;
    while let Some((kind, body, rest)) = split(bytes)? {
        if kind == ERROR {
            refused(body)?;
            count += 1;
        }
        bytes = rest;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_carry_their_lengths() {
        let mut batch = Batch::default();
        batch.message(16, ACK, &[1, 2, 3]).nested(1, |inner| {
            inner.text(2, "ab");
        });
        batch.finish();
        assert_eq!(batch.bytes.len(), 16 + 4 + 4 + 8);
        assert_eq!(u32::from_ne_bytes(batch.bytes[..4].try_into().expect("four bytes")), 32);
        assert_eq!(u16::from_ne_bytes(batch.bytes[20..22].try_into().expect("two bytes")), 12);
        assert_eq!(&batch.bytes[24..31], [7, 0, 2, 0, b'a', b'b', 0]);
    }

    #[test]
    fn answers_to_a_question_are_told_apart() {
        let mut table = Batch::default();
        table.message(2560, 0, &[1, 0, 0, 0]).text(1, "apl-0123456789");
        table.finish();
        let mut done = Batch::default();
        done.message(DONE, 0, &[0; 4]);
        done.finish();
        let mut bodies = Vec::new();
        assert!(!bodies_of(&table.bytes, &mut bodies).expect("a table"));
        assert!(bodies_of(&done.bytes, &mut bodies).expect("the end"));
        assert_eq!(attribute_text(&bodies[0][4..], 1).as_deref(), Some("apl-0123456789"));
        assert_eq!(attribute_text(&bodies[0][4..], 2), None);
        assert_eq!(attribute_text(&[9, 0, 1, 0], 1), None);
    }

    #[test]
    fn a_refusal_is_an_error_and_nonsense_too() {
        let answer = |code: i32| {
            [&20_u32.to_ne_bytes()[..], &2_u16.to_ne_bytes(), &[0; 10], &code.to_ne_bytes()]
                .concat()
        };
        assert_eq!(answers(&answer(0)).expect("an acknowledgement"), 1);
        assert_eq!(answers(&answer(-17)).expect_err("a refusal").raw_os_error(), Some(17));
        assert!(answers(&[255; 20]).is_err());
        assert_eq!(answers(&[]).expect("nothing"), 0);
    }
}
