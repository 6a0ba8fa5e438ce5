//! What a client says when it fetches, in either version.

use super::Session;
use crate::{
    failure::Failure,
    select::{Filter, shallow::Depth},
};
use gix_hash::ObjectId;
use std::collections::HashSet;

/// Wants, haves and lines about shallowness of one request; a client with more does not exist.
const LINES_MAX: usize = 1_000_000;

/// A fetch as it was asked for.
#[derive(Debug, Default)]
pub(super) struct Fetch {
    pub(super) wants: Vec<ObjectId>,
    pub(super) haves: Vec<ObjectId>,
    /// Where the client's history ends.
    pub(super) client_shallow: HashSet<ObjectId>,
    pub(super) depth: Depth,
    pub(super) filter: Filter,
    pub(super) done: bool,
    pub(super) wait_for_done: bool,
    pub(super) thin: bool,
    pub(super) ofs_delta: bool,
    pub(super) include_tag: bool,
    pub(super) no_progress: bool,
}

fn id(hex: &str) -> Result<ObjectId, Failure> {
    ObjectId::from_hex(hex.as_bytes())
        .map_err(|_| Failure::Refused(format!("`{}` is not an object id", brief(hex))))
}

fn brief(text: &str) -> String {
    text.chars().take(80).collect()
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| Failure::Refused(format!("`{}` is not a number", brief(text))))
}

impl Fetch {
    /// Reads one argument; false when it is none of those that both versions share.
    pub(super) fn read(&mut self, session: &Session, line: &str) -> Result<bool, Failure> {
        if self.lines() > LINES_MAX {
            return Err(Failure::Refused("too many lines in one request".into()));
        }
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        match key {
            "want" => self.want(session, id(value)?)?,
            "have" => self.haves.push(id(value)?),
            "done" => self.done = true,
            "shallow" => self.shallow(session, id(value)?),
            "deepen" => self.deepen(number(value)?)?,
            "deepen-relative" => self.relative(),
            "deepen-since" => self.until().0.replace(number(value)?).map_or((), drop),
            "deepen-not" => {
                let excluded = named(session, value)?;
                self.until().1.push(excluded);
            }
            "filter" => {
                self.filter = Filter::parse(value).ok_or_else(|| {
                    Failure::Refused(format!("the filter `{}` is not known here; use blob:none, blob:limit=<n>, tree:<depth> or several of them", brief(value)))
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// How many lines are kept.
    fn lines(&self) -> usize {
        let excluded = match &self.depth {
            Depth::Until { not, .. } => not.len(),
            _ => 0,
        };
        self.wants.len() + self.haves.len() + self.client_shallow.len() + excluded
    }

    /// Reads a switch: an argument of version 2, a capability of version 0.
    pub(super) fn switch(&mut self, name: &str) {
        match name {
            "thin-pack" => self.thin = true,
            "ofs-delta" => self.ofs_delta = true,
            "include-tag" => self.include_tag = true,
            "no-progress" => self.no_progress = true,
            "wait-for-done" => self.wait_for_done = true,
            "deepen-relative" => self.relative(),
            _ => {}
        }
    }

    fn want(&mut self, session: &Session, id: ObjectId) -> Result<(), Failure> {
        if !session.objects.contains(&id) {
            return Err(Failure::Refused(format!("upload-pack: not our ref {id}")));
        }
        self.wants.push(id);
        Ok(())
    }

    /// A client that fetches from elsewhere as well has ends that nothing here leads to.
    fn shallow(&mut self, session: &Session, id: ObjectId) {
        if session.objects.contains(&id) {
            self.client_shallow.insert(id);
        }
    }

    fn deepen(&mut self, count: u32) -> Result<(), Failure> {
        if count == 0 {
            return Err(Failure::Refused("deepen must be positive".into()));
        }
        let relative = matches!(self.depth, Depth::Commits { relative: true, .. });
        self.depth = Depth::Commits { count, relative };
        Ok(())
    }

    fn relative(&mut self) {
        match &mut self.depth {
            Depth::Commits { relative, .. } => *relative = true,
            // Its count follows in another line.
            depth => *depth = Depth::Commits { count: 1, relative: true },
        }
    }

    fn until(&mut self) -> (&mut Option<i64>, &mut Vec<ObjectId>) {
        if !matches!(self.depth, Depth::Until { .. }) {
            self.depth = Depth::Until { since: None, not: Vec::new() };
        }
        match &mut self.depth {
            Depth::Until { since, not } => (since, not),
            _ => unreachable!("set one line above"),
        }
    }
}

/// The object that a short or full reference name, or an id, stands for.
fn named(session: &Session, name: &str) -> Result<ObjectId, Failure> {
    ["", "refs/", "refs/tags/", "refs/heads/"]
        .iter()
        .find_map(|prefix| session.table.get(&format!("{prefix}{name}")))
        .map(|entry| entry.target)
        .or_else(|| {
            ObjectId::from_hex(name.as_bytes()).ok().filter(|id| session.objects.contains(id))
        })
        .ok_or_else(|| {
            Failure::Refused(format!("git upload-pack: deepen-not is not a ref: {}", brief(name)))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_line_counts() {
        let id = ObjectId::null(gix_hash::Kind::Sha1);
        let fetch = Fetch {
            wants: vec![id],
            haves: vec![id; 2],
            client_shallow: HashSet::from([id]),
            depth: Depth::Until { since: None, not: vec![id; 4] },
            ..Fetch::default()
        };
        assert_eq!(fetch.lines(), 8);
    }
}
