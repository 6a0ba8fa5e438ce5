//! Versions 0 and 1 of the protocol, for clients of before 2018 and those told to use them.

use super::{
    Session,
    negotiate::{common, is_enough},
    request::Fetch,
    send::{Wrapping, find_boundary, send_pack, write_boundary},
};
use crate::{
    failure::Failure,
    pktline::{self, Packet},
    select::shallow::Depth,
};
use gix_hash::ObjectId;
use std::io::{Read, Write};

pub(super) fn capabilities(session: &Session) -> String {
    let fixed = "multi_ack multi_ack_detailed no-done thin-pack side-band side-band-64k ofs-delta \
                 shallow deepen-since deepen-not deepen-relative no-progress include-tag \
                 allow-tip-sha1-in-want allow-reachable-sha1-in-want filter";
    format!("{fixed} symref=HEAD:{}", session.head)
}

/// How much the client wants to be told while it sends haves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MultiAck {
    No,
    Continue,
    Detailed,
}

/// What the first want line says of the client.
struct Client {
    multi_ack: MultiAck,
    no_done: bool,
    wrapping: Wrapping,
}

impl Client {
    fn read(fetch: &mut Fetch, capabilities: &str) -> Self {
        let mut client = Self { multi_ack: MultiAck::No, no_done: false, wrapping: Wrapping::None };
        for word in capabilities.split_ascii_whitespace() {
            match word {
                "multi_ack" if client.multi_ack == MultiAck::No => {
                    client.multi_ack = MultiAck::Continue;
                }
                "multi_ack_detailed" => client.multi_ack = MultiAck::Detailed,
                "no-done" => client.no_done = true,
                "side-band-64k" => client.wrapping = Wrapping::LargeBand,
                "side-band" if client.wrapping == Wrapping::None => {
                    client.wrapping = Wrapping::SmallBand;
                }
                other => fetch.switch(other),
            }
        }
        client
    }
}

pub(super) fn serve(
    session: &Session,
    from: &mut impl Read,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let mut fetch = Fetch::default();
    let Some(client) = read_needs(session, &mut fetch, from)? else { return Ok(()) };
    let boundary = find_boundary(session, &fetch)?;
    if fetch.depth != Depth::Unchanged {
        write_boundary(&boundary, to)?;
        pktline::flush(to)?;
    }
    let Some(common) = negotiate(session, &mut fetch, &client, from, to)? else { return Ok(()) };
    send_pack(session, &fetch, common, &boundary, client.wrapping, to)
}

/// Everything up to the first flush; `None` when nothing is wanted.
fn read_needs(
    session: &Session,
    fetch: &mut Fetch,
    from: &mut impl Read,
) -> Result<Option<Client>, Failure> {
    let mut client = None;
    while let Some(packet @ Packet::Data(_)) = pktline::read(from)? {
        let line = std::str::from_utf8(packet.text())
            .map_err(|_| Failure::Refused("a line of the request is not UTF-8".into()))?;
        match line.strip_prefix("want ") {
            Some(rest) if client.is_none() => {
                let (id, capabilities) = rest.split_once(' ').unwrap_or((rest, ""));
                client = Some(Client::read(fetch, capabilities));
                fetch.read(session, &format!("want {id}"))?;
            }
            _ => {
                if !fetch.read(session, line)? {
                    return Err(Failure::Refused("unexpected line in the request".into()));
                }
            }
        }
    }
    Ok(client)
}

/// Reads haves and answers them. `None` when the client will come back with more.
fn negotiate(
    session: &Session,
    fetch: &mut Fetch,
    client: &Client,
    from: &mut impl Read,
    to: &mut impl Write,
) -> Result<Option<Vec<ObjectId>>, Failure> {
    let mut talk = Talk { session, client, shared: Vec::new(), sent_ready: false, to };
    let mut heard = false;
    loop {
        match pktline::read(from)? {
            Some(packet @ Packet::Data(_)) => {
                heard = true;
                match packet.text() {
                    b"done" => return talk.finish().map(Some),
                    line => {
                        let line = String::from_utf8_lossy(line);
                        fetch.haves.clear();
                        fetch.read(session, &line)?;
                        talk.answer_haves(&fetch.haves)?;
                    }
                }
            }
            // A request that ends after its needs only asks where a shallow history will end.
            None if !heard => return Ok(None),
            _ => return talk.pause(&fetch.wants),
        }
    }
}

struct Talk<'a, W: Write> {
    session: &'a Session,
    client: &'a Client,
    shared: Vec<ObjectId>,
    sent_ready: bool,
    to: &'a mut W,
}

impl<W: Write> Talk<'_, W> {
    fn ack(&mut self, id: ObjectId, word: &str) -> Result<(), Failure> {
        Ok(pktline::write(self.to, format!("ACK {id}{word}\n").as_bytes())?)
    }

    fn answer_haves(&mut self, haves: &[ObjectId]) -> Result<(), Failure> {
        for id in common(self.session, haves) {
            self.shared.push(id);
            match self.client.multi_ack {
                MultiAck::Detailed => self.ack(id, " common")?,
                MultiAck::Continue => self.ack(id, " continue")?,
                MultiAck::No if self.shared.len() == 1 => self.ack(id, "")?,
                MultiAck::No => {}
            }
        }
        Ok(())
    }

    /// The client has sent a batch and waits.
    fn pause(mut self, wants: &[ObjectId]) -> Result<Option<Vec<ObjectId>>, Failure> {
        let last = self.shared.last().copied();
        if let Some(last) = last
            && self.client.multi_ack == MultiAck::Detailed
            && is_enough(self.session, wants, &self.shared)?
        {
            self.sent_ready = true;
            self.ack(last, " ready")?;
        }
        if last.is_none() || self.client.multi_ack != MultiAck::No {
            pktline::write(self.to, b"NAK\n")?;
        }
        match last {
            Some(last) if self.client.no_done && self.sent_ready => {
                self.ack(last, "")?;
                Ok(Some(self.shared))
            }
            _ => Ok(None),
        }
    }

    fn finish(mut self) -> Result<Vec<ObjectId>, Failure> {
        match self.shared.last().copied() {
            Some(last) if self.client.multi_ack != MultiAck::No => self.ack(last, "")?,
            Some(_) => {}
            None => pktline::write(self.to, b"NAK\n")?,
        }
        Ok(self.shared)
    }
}
