//! `circleci-agent step halt`: rings at the supervisor and waits until it was heard.

use super::AgentError;
use crate::{spin_up::DOOR, supervisor::doorbell};
use std::{
    io::{self, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

/// The supervisor answers at once, unless it is making or removing a sandbox.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// What is told instead of halting.
pub(super) const USAGE: &str = "usage: `circleci step halt` ends the job after this step, as a success; it takes no further words";

pub(super) fn halt() -> Result<(), AgentError> {
    ring().map_err(AgentError::failed("halt the job"))
}

fn ring() -> io::Result<()> {
    let mut door = UnixStream::connect(format!("{DOOR}/agent.sock"))?;
    door.set_read_timeout(Some(ANSWER_WAIT))?;
    door.write_all(doorbell::HALT)?;
    let mut answer = [0; doorbell::HEARD.len()];
    door.read_exact(&mut answer)?;
    Ok(())
}
