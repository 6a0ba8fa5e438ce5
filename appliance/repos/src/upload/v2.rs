//! Version 2 of the protocol: one command for each request.

use super::{
    AGENT, Session,
    negotiate::{common, is_enough},
    refs::LsRefs,
    request::Fetch,
    send::{Wrapping, find_boundary, send_pack, write_boundary},
};
use crate::{
    failure::Failure,
    pktline::{self, Packet},
    select::shallow::{Boundary, Depth},
};
use gix_hash::ObjectId;
use std::io::{Read, Write};

/// What can be asked.
pub(super) fn advertise(to: &mut impl Write) -> std::io::Result<()> {
    for line in [
        "version 2",
        AGENT,
        "ls-refs=unborn",
        "fetch=shallow wait-for-done filter",
        "server-option",
        "object-format=sha1",
    ] {
        pktline::write(to, format!("{line}\n").as_bytes())?;
    }
    pktline::flush(to)
}

/// The arguments of a command, without its capabilities.
fn arguments(
    from: &mut impl Read,
    mut each: impl FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        match pktline::read(from)? {
            Some(packet @ Packet::Data(_)) => each(text(&packet)?)?,
            Some(Packet::Flush) | None => return Ok(()),
            Some(_) => return Err(Failure::Refused("unexpected mark among arguments".into())),
        }
    }
}

fn text(packet: &Packet) -> Result<&str, Failure> {
    std::str::from_utf8(packet.text())
        .map_err(|_| Failure::Refused("a line of the request is not UTF-8".into()))
}

/// Reads the command and its capabilities, up to the mark before the arguments. True when
/// arguments follow.
fn command(from: &mut impl Read) -> Result<Option<(String, bool)>, Failure> {
    let mut name = None;
    loop {
        let packet = pktline::read(from)?;
        match &packet {
            Some(packet @ Packet::Data(_)) => {
                let line = text(packet)?;
                if let Some(command) = line.strip_prefix("command=") {
                    name = Some(command.to_owned());
                } else if let Some(format) = line.strip_prefix("object-format=")
                    && format != "sha1"
                {
                    return Err(Failure::Refused("only object-format=sha1 is kept here".into()));
                }
            }
            Some(Packet::Delimiter) => return Ok(name.map(|name| (name, true))),
            _ => return Ok(name.map(|name| (name, false))),
        }
    }
}

pub(super) fn serve(
    session: &mut Session,
    from: &mut impl Read,
    to: &mut impl Write,
) -> Result<(), Failure> {
    let Some((name, has_arguments)) = command(from)? else { return Ok(()) };
    match name.as_str() {
        "ls-refs" => {
            let mut ask = LsRefs::default();
            if has_arguments {
                arguments(from, |line| {
                    ask.read(line);
                    Ok(())
                })?;
            }
            ask.answer(session, to)
        }
        "fetch" => {
            let mut fetch = Fetch::default();
            arguments(from, |line| read_argument(session, &mut fetch, line))?;
            answer_fetch(session, &fetch, to)
        }
        other => {
            let shown: String = other.chars().take(40).collect();
            Err(Failure::Refused(format!("the command `{shown}` is not known here")))
        }
    }
}

fn read_argument(session: &Session, fetch: &mut Fetch, line: &str) -> Result<(), Failure> {
    if !fetch.read(session, line)? {
        fetch.switch(line);
    }
    Ok(())
}

/// The sections of the answer, in the order that the protocol sets.
fn answer_fetch(session: &Session, fetch: &Fetch, to: &mut impl Write) -> Result<(), Failure> {
    // `git fetch --negotiate-only`: what both sides have, and no pack.
    let only_negotiates = fetch.wait_for_done && !fetch.done && !fetch.haves.is_empty();
    if fetch.wants.is_empty() && !only_negotiates {
        return Err(Failure::Refused("a fetch wants at least one object".into()));
    }
    let common = common(session, &fetch.haves);
    if !fetch.done && !fetch.haves.is_empty() {
        let is_ready = !fetch.wait_for_done && is_enough(session, &fetch.wants, &common)?;
        acknowledge(&common, is_ready, to)?;
        if !is_ready {
            return Ok(pktline::flush(to)?);
        }
        pktline::delimiter(to)?;
    }
    let boundary = find_boundary(session, fetch)?;
    write_sections(fetch, &boundary, to)?;
    pktline::write(to, b"packfile\n")?;
    send_pack(session, fetch, common, &boundary, Wrapping::LargeBand, to)
}

fn acknowledge(common: &[ObjectId], is_ready: bool, to: &mut impl Write) -> Result<(), Failure> {
    pktline::write(to, b"acknowledgments\n")?;
    if common.is_empty() {
        pktline::write(to, b"NAK\n")?;
    }
    for id in common {
        pktline::write(to, format!("ACK {id}\n").as_bytes())?;
    }
    if is_ready {
        pktline::write(to, b"ready\n")?;
    }
    Ok(())
}

fn write_sections(fetch: &Fetch, boundary: &Boundary, to: &mut impl Write) -> Result<(), Failure> {
    if fetch.depth != Depth::Unchanged {
        pktline::write(to, b"shallow-info\n")?;
        write_boundary(boundary, to)?;
        pktline::delimiter(to)?;
    }
    Ok(())
}
