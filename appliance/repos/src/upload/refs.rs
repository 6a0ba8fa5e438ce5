//! Lists references to a client.

use super::{AGENT, Session, Version};
use crate::{
    failure::Failure,
    pktline,
    refs::{NAME_MAX, RefTable},
};
use gix_hash::{Kind as HashKind, ObjectId};
use std::io::Write;

/// The list of version 0 and 1 for a fetch: capabilities hide behind a NUL in the first line.
pub(super) fn advertise_v0(
    session: &Session,
    version: Version,
    capabilities: &str,
    to: &mut impl Write,
) -> Result<(), Failure> {
    write_ref_list(&session.table, Some(&session.head), version, capabilities, to)
}

/// The same for a push, which needs neither `HEAD` nor what tags stand for.
pub(crate) fn advertise_v0_for_push(
    table: &RefTable,
    version: Version,
    capabilities: &str,
    to: &mut impl Write,
) -> Result<(), Failure> {
    write_ref_list(table, None, version, capabilities, to)
}

/// For a fetch when `head` is given.
fn write_ref_list(
    table: &RefTable,
    head: Option<&str>,
    version: Version,
    capabilities: &str,
    to: &mut impl Write,
) -> Result<(), Failure> {
    if version == Version::V1 {
        pktline::write(to, b"version 1\n")?;
    }
    let capabilities = format!("{capabilities} object-format=sha1 {AGENT}");
    let mut lines: Vec<(ObjectId, String)> = Vec::new();
    if let Some(entry) = head.and_then(|head| table.get(head)) {
        lines.push((entry.target, "HEAD".into()));
    }
    for (name, entry) in table.iter() {
        lines.push((entry.target, name.clone()));
        if let Some(peeled) = entry.peeled.filter(|_| head.is_some()) {
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
    /// A prefix was longer than any name; it is not kept, and matches nothing.
    beyond: bool,
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
                let Some(prefix) = argument.strip_prefix("ref-prefix ") else { return };
                if prefix.len() > NAME_MAX {
                    self.beyond = true;
                } else if self.prefixes.len() < PREFIXES_MAX {
                    self.prefixes.push(prefix.to_owned());
                }
            }
        }
    }

    fn is_asked(&self, name: &str) -> bool {
        self.prefixes.is_empty() && !self.beyond
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefixes: &[&str], name: &str, asked: bool, kept: usize) {
        let mut list = LsRefs::default();
        for prefix in prefixes {
            list.read(&format!("ref-prefix {prefix}"));
        }
        assert_eq!((list.is_asked(name), list.prefixes.len()), (asked, kept), "{name}");
    }

    #[test]
    fn prefixes_choose_and_those_beyond_any_name_are_not_kept() {
        let long = format!("refs/heads/{}", "x".repeat(65_000));
        check(&[], "refs/heads/a", true, 0);
        check(&["refs/heads/"], "refs/heads/a", true, 1);
        check(&["refs/tags/"], "refs/heads/a", false, 1);
        check(&[&long], "refs/heads/a", false, 0);
        check(&[&long, "refs/heads/"], "refs/heads/a", true, 1);
        check(&vec!["refs/tags/"; PREFIXES_MAX + 1], "refs/heads/a", true, PREFIXES_MAX);
    }
}
