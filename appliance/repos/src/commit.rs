//! A commit as people read it.

use crate::{error::Error, objects::Objects};
use base::time::Timestamp;
use gix_hash::{Kind as HashKind, oid};
use gix_object::{CommitRef, bstr::ByteSlice};

/// A message longer than this is cut: it is shown and stored with each pipeline.
const MESSAGE_MAX: usize = 64 << 10;

/// Longer first lines and names are cut, in characters: they stand in every listing.
const SUBJECT_MAX: usize = 500;
const NAME_MAX: usize = 250;

/// How far into a commit's message a skip mark counts, in characters.
const SKIP_WITHIN: usize = 250;

/// One commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// 40 hexadecimal digits.
    pub revision: String,
    /// First line of the message, cut after 500 characters.
    pub subject: String,
    /// The rest of the message, without the empty line between.
    pub body: String,
    /// The author's name.
    pub author: String,
    /// The author's address.
    pub author_email: String,
    /// When it was committed.
    pub committed_at: Timestamp,
    /// Revisions of its parents, first parent first.
    pub parents: Vec<String>,
}

impl Commit {
    pub(crate) fn read(objects: &Objects, id: &oid) -> Result<Self, Error> {
        let mut buffer = Vec::new();
        let data = objects.commit_data(id, &mut buffer)?;
        let malformed = || Error::WrongObject { id: id.to_owned(), expected: "commit" };
        let commit = CommitRef::from_bytes(data.data, HashKind::Sha1).map_err(|_| malformed())?;
        let author = commit.author().map_err(|_| malformed())?;
        let seconds = commit.time().map_or(0, |time| time.seconds);
        let (subject, body) = split_message(commit.message);
        Ok(Self {
            revision: id.to_string(),
            subject,
            body,
            author: cut(&author.name.to_str_lossy(), NAME_MAX),
            author_email: cut(&author.email.to_str_lossy(), NAME_MAX),
            committed_at: Timestamp(seconds.saturating_mul(1_000_000)),
            parents: commit.parents().map(|parent| parent.to_string()).collect(),
        })
    }

    /// The message asks that no pipeline runs for this commit.
    #[must_use]
    pub fn skips_ci(&self) -> bool {
        skips_ci(&format!("{}\n\n{}", self.subject, self.body))
    }
}

fn split_message(message: &[u8]) -> (String, String) {
    let message = &message[..message.len().min(MESSAGE_MAX)];
    let text = message.to_str_lossy();
    let text = text.trim();
    let (subject, body) = text.split_once('\n').unwrap_or((text, ""));
    (cut(subject.trim_end(), SUBJECT_MAX), body.trim_start_matches(['\r', '\n']).to_owned())
}

/// The first `most` characters; a cut is marked.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// `[ci skip]` or `[skip ci]` stands within the first 250 characters of a commit's message.
#[must_use]
pub fn skips_ci(message: &str) -> bool {
    let end = message.char_indices().nth(SKIP_WITHIN).map_or(message.len(), |(at, _)| at);
    let head = message[..end].to_ascii_lowercase();
    head.contains("[ci skip]") || head.contains("[skip ci]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: &str, skips: bool) {
        assert_eq!(skips_ci(message), skips, "{message}");
    }

    #[test]
    fn a_skip_mark_counts_within_the_first_250_characters() {
        check("Fix typo [ci skip]", true);
        check("Fix typo\n\n[skip ci] because", true);
        check("Fix typo [CI SKIP]", true);
        check("ci skip", false);
        check(&format!("{}[ci skip]", "ä".repeat(241)), true);
        check(&format!("{}[ci skip]", "ä".repeat(242)), false);
    }

    #[test]
    fn a_message_is_split_after_its_first_line() {
        assert_eq!(split_message(b"one\n\ntwo\nthree\n"), ("one".into(), "two\nthree".into()));
        assert_eq!(split_message(b"\n one \r\n\r\ntwo"), ("one".into(), "two".into()));
        assert_eq!(split_message(b""), (String::new(), String::new()));
    }

    #[test]
    fn a_long_first_line_is_cut() {
        let (subject, body) = split_message(format!("{}\n\nrest", "ä".repeat(501)).as_bytes());
        assert_eq!((subject, body.as_str()), ("ä".repeat(500) + "…", "rest"));
        assert_eq!(split_message("ä".repeat(500).as_bytes()).0, "ä".repeat(500));
    }
}
