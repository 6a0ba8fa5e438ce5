//! What the one who pushed is told.

use super::commands::{Capabilities, Command};
use crate::{
    failure::Failure,
    pktline::{self, Band, DataBand},
};
use std::io::{self, Write};

/// What became of one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Done,
    /// With the reason, for a person.
    Refused(String),
}

/// The answer to a push.
pub(super) struct Report {
    unpack: String,
    verdicts: Vec<(String, Verdict)>,
    /// The push failed through no fault of the client; for the log.
    pub(super) failure: Option<Failure>,
}

impl Report {
    pub(super) fn of(verdicts: Vec<(String, Verdict)>) -> Self {
        Self { unpack: "ok".into(), verdicts, failure: None }
    }

    /// References have moved, and then something failed.
    pub(super) fn doubtful(verdicts: Vec<(String, Verdict)>, failure: Failure) -> Self {
        Self { failure: Some(failure), ..Self::of(verdicts) }
    }

    /// The pack could not be taken.
    pub(super) fn unpack_failed(commands: &[Command], failure: Failure) -> Self {
        Self { unpack: failure.message(), ..Self::refuse_all(commands, "unpacker error", failure) }
    }

    /// The pack was good, and then something failed.
    pub(super) fn failed(commands: &[Command], failure: Failure) -> Self {
        let why = failure.message();
        Self::refuse_all(commands, &why, failure)
    }

    fn refuse_all(commands: &[Command], why: &str, failure: Failure) -> Self {
        let refuse = |command: &Command| (command.name.clone(), Verdict::Refused(why.to_owned()));
        Self {
            unpack: "ok".into(),
            verdicts: commands.iter().map(refuse).collect(),
            failure: Some(failure),
        }
    }

    /// Writes `lines`, for the person, and then the report, for the program.
    pub(super) fn write(
        &self,
        capabilities: Capabilities,
        lines: &[String],
        to: &mut impl Write,
    ) -> io::Result<()> {
        if !capabilities.side_band {
            return if capabilities.report { self.write_status(to) } else { Ok(()) };
        }
        for line in lines {
            pktline::band(to, Band::Progress, format!("{line}\n").as_bytes())?;
        }
        if capabilities.report {
            let mut status = Vec::new();
            self.write_status(&mut status)?;
            DataBand(to).write_all(&status)?;
        } else if self.unpack != "ok" {
            pktline::band(to, Band::Fatal, format!("{}\n", self.unpack).as_bytes())?;
        }
        pktline::flush(to)
    }

    fn write_status(&self, to: &mut impl Write) -> io::Result<()> {
        pktline::write(to, format!("unpack {}\n", clean(&self.unpack)).as_bytes())?;
        for (name, verdict) in &self.verdicts {
            let line = match verdict {
                Verdict::Done => format!("ok {name}\n"),
                Verdict::Refused(why) => format!("ng {name} {}\n", clean(why)),
            };
            pktline::write(to, line.as_bytes())?;
        }
        pktline::flush(to)
    }
}

/// A reason stands on one line of bounded length.
fn clean(why: &str) -> String {
    why.chars().map(|c| if c.is_control() { ' ' } else { c }).take(1000).collect()
}
