//! Network cards, the path beyond them, and what is wrong with both.

use super::Reading;
use crate::units::{Share, Span, Unit};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Whether a network interface can carry anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinkState {
    /// It carries.
    Up,
    /// Switched on, but nothing at the other end.
    NoCarrier,
    /// Switched off.
    Down,
    /// Its driver does not tell (point-to-point, tunnel): taken as up.
    Unknown,
}

impl Unit for LinkState {
    const UNIT: &'static str = "";
}

/// How a cable is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplex {
    /// Both ways at once.
    Full,
    /// One way at a time: nearly always a failed negotiation.
    Half,
}

/// One network interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Name, such as `eth0`.
    pub name: String,
    /// Whether it carries.
    pub state: Reading<LinkState>,
    /// Speed in Mbit/s; `None` where unknown.
    pub speed_mbit: Option<u64>,
    /// One way or both.
    pub duplex: Option<Duplex>,
    /// Largest packet in bytes.
    pub mtu: u32,
    /// Changes of the carrier in the last ten minutes.
    pub flaps: u32,
    /// What passed since the snapshot before.
    pub traffic: Traffic,
    /// What the card has counted since its driver was loaded.
    pub totals: LinkTotals,
}

/// Counters of one interface, which begin anew when its driver does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTotals {
    /// Bytes, in.
    pub rx_bytes: u64,
    /// Bytes, out.
    pub tx_bytes: u64,
    /// Broken or missed packets, both ways.
    pub errors: u64,
    /// Packets with a wrong checksum; among `errors`.
    pub crc_errors: u64,
    /// Packets thrown away, both ways.
    pub drops: u64,
    /// Changes of the carrier.
    pub carrier_changes: u64,
}

/// What passed one interface since the snapshot before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes in a second, in.
    pub rx_bytes_per_s: u64,
    /// Bytes in a second, out.
    pub tx_bytes_per_s: u64,
    /// Packets in and out.
    pub packets: u64,
    /// Broken packets, both ways: checksum, missed, carrier.
    pub errors: u64,
    /// Packets thrown away, both ways.
    pub drops: u64,
}

/// What the TCP connections of this machine suffer, over the last ten seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Transport {
    /// Share of segments sent twice; absent until enough were sent to tell.
    pub loss: Reading<Share>,
    /// Segments that the share is of.
    pub segments: u64,
    /// Retransmission time-outs.
    pub timeouts: u64,
    /// Median round trip over the connections that leave the machine.
    pub rtt: Reading<Span>,
}

/// Something wrong with the network, told once for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// What it is.
    pub kind: TroubleKind,
    /// Interface or peer.
    pub place: String,
    /// Since when.
    #[serde(rename = "lasted_ms", with = "crate::time::millis")]
    pub lasted: Duration,
    /// For people: what was measured, against which bound, and what to do.
    pub words: String,
}

/// Kinds of network trouble. What each does to the sync budget is the law's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// The interface lost its carrier.
    LinkDown,
    /// The carrier comes and goes.
    LinkFlapping,
    /// One way at a time.
    HalfDuplex,
    /// The card counts broken packets.
    LinkErrors,
    /// Segments are lost on the way.
    PacketLoss,
    /// The path is too slow for what is waiting.
    SlowPath,
    /// Large packets vanish while small ones pass.
    PathMtu,
}

impl TroubleKind {
    /// The words on the wire and on the page.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LinkDown => "link-down",
            Self::LinkFlapping => "link-flapping",
            Self::HalfDuplex => "half-duplex",
            Self::LinkErrors => "link-errors",
            Self::PacketLoss => "packet-loss",
            Self::SlowPath => "slow-path",
            Self::PathMtu => "path-mtu",
        }
    }
}
