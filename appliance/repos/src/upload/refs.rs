//! Lists references to a client.

use super::{AGENT, Session, Version};
use crate::{failure::Failure, pktline};
use gix_hash::{Kind as HashKind, ObjectId};
use std::io::Write;

/// The list of version 0 and 1 for a fetch: capabilities hide behind a NUL in the first line.
pub(super) fn advertise_v0(
    session: &Session,
    version: Version,
    capabilities: &str,
    to: &mut impl Write,
) -> Result<(), Failure> {
    write_ref_list(session, version, capabilities, true, to)
}

/// The same for a push, which needs neither `HEAD` nor what tags stand for.
pub(crate) fn advertise_v0_for_push(
    session: &Session,
    version: Version,
    capabilities: &str,
    to: &mut impl Write,
) -> Result<(), Failure> {
    write_ref_list(session, version, capabilities, false, to)
}

fn write_ref_list(
    session: &Session,
    version: Version,
    capabilities: &str,
    for_fetch: bool,
    to: &mut impl Write,
) -> Result<(), Failure> {
    if version == Version::V1 {
        pktline::write(to, b"version 1\n")?;
    }
    let capabilities = format!("{capabilities} object-format=sha1 {AGENT}");
    let mut lines: Vec<(ObjectId, String)> = Vec::new();
    if for_fetch && let Some(entry) = session.table.get(&session.head) {
        lines.push((entry.target, "HEAD".into()));
    }
    for (name, entry) in session.table.iter() {
        lines.push((entry.target, name.clone()));
        if let Some(peeled) = entry.peeled.filter(|_| for_fetch) {
            lines.push((peeled, format!("{name}^{{}}")));
        }
    }
    if lines.is_empty() {
        lines.push((ObjectId::null(HashKind::Sha1), "capabilities^{}".into()));
    }
    let mut hidden = Some(capabilities);
    for (id, name) in lines {
        let line = match hidden.take() {
            Some(capabilities) => format!("{id} {name}\0{capabilities}\n"),
            None => format!("{id} {name}\n"),
        };
        pktline::write(to, line.as_bytes())?;
    }
    Ok(pktline::flush(to)?)
}

/// What `ls-refs` of version 2 asks for.
#[derive(Debug, Default)]
pub(super) struct LsRefs {
    pub(super) peel: bool,
    pub(super) symrefs: bool,
    pub(super) unborn: bool,
    pub(super) prefixes: Vec<String>,
}

/// More prefixes than this are taken as none: the client sorts out what it needs.
const PREFIXES_MAX: usize = 65_536;

impl LsRefs {
    pub(super) fn read(&mut self, argument: &str) {
        match argument {
            "peel" => self.peel = true,
            "symrefs" => self.symrefs = true,
            "unborn" => self.unborn = true,
            _ => {
                if let Some(prefix) = argument.strip_prefix("ref-prefix ")
                    && self.prefixes.len() < PREFIXES_MAX
                {
                    self.prefixes.push(prefix.to_owned());
                }
            }
        }
    }

    fn is_asked(&self, name: &str) -> bool {
        self.prefixes.is_empty()
            || self.prefixes.len() == PREFIXES_MAX
            || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }

    pub(super) fn answer(&self, session: &Session, to: &mut impl Write) -> Result<(), Failure> {
        if self.is_asked("HEAD") {
            self.answer_head(session, to)?;
        }
        for (name, entry) in session.table.iter().filter(|(name, _)| self.is_asked(name)) {
            let mut line = format!("{} {name}", entry.target);
            if let Some(peeled) = entry.peeled.filter(|_| self.peel) {
                line.push_str(&format!(" peeled:{peeled}"));
            }
            line.push('\n');
            pktline::write(to, line.as_bytes())?;
        }
        Ok(pktline::flush(to)?)
    }

    fn answer_head(&self, session: &Session, to: &mut impl Write) -> Result<(), Failure> {
        let id = match session.table.get(&session.head) {
            Some(entry) => entry.target.to_string(),
            None if self.unborn => "unborn".into(),
            None => return Ok(()),
        };
        let target =
            if self.symrefs { format!(" symref-target:{}", session.head) } else { String::new() };
        Ok(pktline::write(to, format!("{id} HEAD{target}\n").as_bytes())?)
    }
}
