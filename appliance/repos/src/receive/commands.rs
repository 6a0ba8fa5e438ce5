//! What a push asks for.

use crate::{
    failure::Failure,
    pktline::{self, Packet},
    refs::NAME_MAX,
};
use gix_hash::ObjectId;
use std::io::Read;

/// What this side understands.
pub(super) const CAPABILITIES: &str = "report-status report-status-v2 delete-refs side-band-64k \
                                       quiet atomic ofs-delta push-options";

/// Push options kept; a client has no use for more.
const OPTIONS_MAX: usize = 64;

/// The longest name that is told back to the client as one that cannot be; with longer ones ten
/// thousand commands would take more memory than the machine has.
const NAME_TOLD_MAX: usize = 1024;

const NOT_UTF_8: &str = "a reference name is not UTF-8; rename the branch or tag and push it again";

/// One reference that should change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) name: String,
    /// What the client believes it points at; `None` for nothing.
    pub(super) old: Option<ObjectId>,
    /// `None` to remove it.
    pub(super) new: Option<ObjectId>,
}

/// What the client understands and wants.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    pub(super) report: bool,
    pub(super) side_band: bool,
    pub(super) atomic: bool,
    pub(super) push_options: bool,
}

/// Everything before the pack.
#[derive(Debug, Default)]
pub(super) struct Commands {
    pub(super) commands: Vec<Command>,
    pub(super) capabilities: Capabilities,
    pub(super) options: Vec<String>,
    /// Why the push is to be refused although all was read.
    pub(super) refusal: Option<Failure>,
}

impl Commands {
    /// The first reason counts.
    fn refuse(&mut self, why: Failure) {
        self.refusal.get_or_insert(why);
    }
}

impl Capabilities {
    fn read(text: &str) -> Self {
        let mut all = Self::default();
        for word in text.split_ascii_whitespace() {
            match word {
                "report-status" | "report-status-v2" => all.report = true,
                "side-band-64k" => all.side_band = true,
                "atomic" => all.atomic = true,
                "push-options" => all.push_options = true,
                _ => {}
            }
        }
        all
    }
}

fn bad_line() -> Failure {
    Failure::Refused("the push starts with a line that cannot be read".into())
}

fn parse_command(line: &str) -> Result<Command, Failure> {
    let mut parts = line.splitn(3, ' ');
    let mut id = || {
        let id = ObjectId::from_hex(parts.next()?.as_bytes()).ok()?;
        Some((!id.is_null()).then_some(id))
    };
    let (old, new) = (id().ok_or_else(bad_line)?, id().ok_or_else(bad_line)?);
    let name = parts.next().ok_or_else(bad_line)?.to_owned();
    if name.len() > NAME_TOLD_MAX {
        let (most, start): (_, String) = (NAME_MAX, name.chars().take(60).collect());
        let why = format!("a reference name has at most {most} bytes, and `{start}…` more");
        return Err(Failure::Refused(why));
    }
    Ok(Command { name, old, new })
}

/// Reads commands and options into `all`; there may be none. What is wrong with one of them does not
/// end the reading, so that the client gets a report of all.
pub(super) fn read(from: &mut impl Read, max: usize, all: &mut Commands) -> Result<(), Failure> {
    while let Some(packet @ Packet::Data(_)) = pktline::read(from)? {
        let (line, capabilities) = halves(packet.text());
        if !capabilities.is_empty() && all.commands.is_empty() && all.refusal.is_none() {
            all.capabilities = Capabilities::read(&String::from_utf8_lossy(capabilities));
        }
        // A client with a shallow history names its ends; the check of the pack tells whether
        // something is missing here.
        if line.starts_with(b"shallow ") {
            continue;
        }
        match std::str::from_utf8(line) {
            Err(_) => all.refuse(Failure::Refused(NOT_UTF_8.into())),
            Ok(line) if all.commands.len() < max => match parse_command(line) {
                Ok(command) => all.commands.push(command),
                Err(why) => all.refuse(why),
            },
            Ok(_) => all.refuse(Failure::Refused(format!(
                "one push changes at most {max} references; push in smaller parts"
            ))),
        }
    }
    let has_options = !all.commands.is_empty() || all.refusal.is_some();
    if all.capabilities.push_options && has_options {
        read_options(from, all)?;
    }
    Ok(())
}

/// A command, and the capabilities that hide behind a NUL in the first.
fn halves(line: &[u8]) -> (&[u8], &[u8]) {
    match line.iter().position(|byte| *byte == 0) {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b""),
    }
}

fn read_options(from: &mut impl Read, all: &mut Commands) -> Result<(), Failure> {
    while let Some(packet @ Packet::Data(_)) = pktline::read(from)? {
        if all.options.len() < OPTIONS_MAX {
            all.options.push(String::from_utf8_lossy(packet.text()).into_owned());
        } else {
            let why = format!("a push has at most {OPTIONS_MAX} options (`--push-option`, `-o`)");
            all.refuse(Failure::Refused(why));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ZERO: &str = "0000000000000000000000000000000000000000";
    const A: &str = "1111111111111111111111111111111111111111";

    fn wire(lines: &[&str]) -> Vec<u8> {
        let mut wire = Vec::new();
        for line in lines {
            if line.is_empty() {
                pktline::flush(&mut wire).unwrap();
            } else {
                pktline::write(&mut wire, line.as_bytes()).unwrap();
            }
        }
        wire
    }

    fn check(lines: &[&str], expected: Result<usize, ()>) {
        let mut all = Commands::default();
        let is_read = read(&mut &*wire(lines), 2, &mut all).is_ok() && all.refusal.is_none();
        let found = if is_read { Ok(all.commands.len()) } else { Err(()) };
        assert_eq!(found, expected, "{lines:?}");
    }

    #[test]
    fn commands_are_read_within_bounds() {
        let new = format!("{ZERO} {A} refs/heads/main\0report-status atomic");
        let more = format!("{ZERO} {A} refs/heads/x");
        check(&[""], Ok(0));
        check(&[&new, ""], Ok(1));
        check(&[&new, &more, ""], Ok(2));
        check(&[&new, &more, &more, ""], Err(()));
        check(&["hello", ""], Err(()));
        check(&[&format!("{ZERO} {A}"), ""], Err(()));
        check(&[&format!("{ZERO} {A} refs/heads/{}", "x".repeat(900)), ""], Ok(1));
        check(&[&format!("{ZERO} {A} refs/heads/{}", "x".repeat(1020)), ""], Err(()));
    }

    #[test]
    fn options_follow_when_the_client_says_so() {
        let new = format!("{ZERO} {A} refs/heads/main\0push-options");
        let mut all = Commands::default();
        read(&mut &*wire(&[&new, "", "ci.skip", "x=y", ""]), 9, &mut all).unwrap();
        assert_eq!(all.options, ["ci.skip", "x=y"]);
        assert_eq!(all.commands[0].old, None);
    }

    #[test]
    fn what_stands_beside_a_bad_command_is_read_all_the_same() {
        let bad =
            format!("{ZERO} {A} refs/heads/{}\0report-status side-band-64k", "x".repeat(2000));
        let good = format!("{ZERO} {A} refs/heads/good");
        let mut all = Commands::default();
        read(&mut &*wire(&[&bad, &good, ""]), 9, &mut all).unwrap();
        assert!(all.capabilities.report && all.capabilities.side_band);
        assert_eq!(all.commands[0].name, "refs/heads/good");
        let why = all.refusal.unwrap().message();
        assert!(why.contains("at most") && why.len() < 200, "{why}");
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(lines in proptest::collection::vec(".{0,120}", 0..5)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let _ = read(&mut &*wire(&lines), 3, &mut Commands::default());
        }
    }
}
