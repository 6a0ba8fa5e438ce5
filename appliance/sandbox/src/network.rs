//! The network of one job.
use crate::{Error, spec::Bridge};
use serde::{Deserialize, Serialize};
use std::{net::Ipv4Addr, os::fd::BorrowedFd};

/// What init configures on its end of the link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Inside {
    pub(crate) address: Ipv4Addr,
    pub(crate) gateway: Ipv4Addr,
}
pub(crate) fn inside_up(_link: &Inside) -> std::io::Result<()> { Ok(()) }
#[derive(Debug)]
pub(crate) struct Link;
impl Link {
    pub(crate) fn create(_id: &str, _bridge: &Bridge, _ns: BorrowedFd<'_>) -> Result<Self, Error> { Err(Error::Kernel { action: "make a network link", hint: " (use network off)", source: std::io::ErrorKind::Unsupported.into() }) }
    pub(crate) fn named(_id: &str) -> Self { Self }
    pub(crate) fn remove(&self) -> Result<(), Error> { Ok(()) }
}
