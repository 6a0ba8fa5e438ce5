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
    /// There were more commands than are allowed; the push is to be refused.
    pub(super) is_too_long: bool,
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
        let most = NAME_MAX;
        return Err(Failure::Refused(format!("a reference name has at most {most} bytes")));
    }
    Ok(Command { name, old, new })
}

/// Reads commands and options; `None` when there is no command.
pub(super) fn read(from: &mut impl Read, max: usize) -> Result<Option<Commands>, Failure> {
    let mut all = Commands::default();
    while let Some(packet @ Packet::Data(_)) = pktline::read(from)? {
        let line = std::str::from_utf8(packet.text())
            .map_err(|_| Failure::Refused("a reference name in the push is not UTF-8".into()))?;
        let (line, capabilities) = line.split_once('\0').unwrap_or((line, ""));
        if all.commands.is_empty() && !capabilities.is_empty() {
            all.capabilities = Capabilities::read(capabilities);
        }
        // A client with a shallow history names its ends; the check of the pack tells whether
        // something is missing here.
        if line.starts_with("shallow ") {
            continue;
        }
        if all.commands.len() < max {
            all.commands.push(parse_command(line)?);
        } else {
            // Read on, so that the client gets its report.
            all.is_too_long = true;
        }
    }
    if all.capabilities.push_options && !all.commands.is_empty() {
        all.options = read_options(from)?;
    }
    Ok((!all.commands.is_empty()).then_some(all))
}

fn read_options(from: &mut impl Read) -> Result<Vec<String>, Failure> {
    let mut options = Vec::new();
    while let Some(packet @ Packet::Data(_)) = pktline::read(from)? {
        if options.len() == OPTIONS_MAX {
            return Err(Failure::Refused(format!("a push has at most {OPTIONS_MAX} options")));
        }
        options.push(String::from_utf8_lossy(packet.text()).into_owned());
    }
    Ok(options)
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
        let result = read(&mut &*wire(lines), 2).map(Option::unwrap_or_default);
        let found = result
            .map_err(drop)
            .and_then(|all| if all.is_too_long { Err(()) } else { Ok(all.commands.len()) });
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
        let all = read(&mut &*wire(&[&new, "", "ci.skip", "x=y", ""]), 9).unwrap().unwrap();
        assert_eq!(all.options, ["ci.skip", "x=y"]);
        assert_eq!(all.commands[0].old, None);
    }

    proptest! {
        #[test]
        fn arbitrary_lines_never_panic(lines in proptest::collection::vec(".{0,120}", 0..5)) {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let _ = read(&mut &*wire(&lines), 3);
        }
    }
}
