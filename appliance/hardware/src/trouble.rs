//! What is wrong with the network now, in words.
//!
//! Pure: the links and paths of a round and `now` in, the troubles out.
//! Invariants: a trouble is told from the round in which its bound is passed until the round in
//! which it has been below the bound it clears at; nothing is told for ever about a card nobody
//! uses: a link that was never up is not missed.
//! Units: see [`Bounds`]; each has its reason.

use crate::paths::{Path, Stall};
use base::{
    reading::{Duplex, Link, LinkState, Quality, Trouble, TroubleKind},
    units::{Bytes, Share},
};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::SocketAddr,
    time::Duration,
};

/// When the network is in trouble.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Changes of the carrier in ten minutes: three times down and up.
    pub flaps: u32,
    /// A link without a change for this long flaps no more.
    pub flaps_quiet: Duration,
    /// Share of segments sent again, in percent, from which a path is lossy; at half of it, it is
    /// well again. Modern TCP is slowed from one in a hundred on.
    pub loss: f64,
    /// Segments from which a share says anything.
    pub loss_segments: u64,
    /// A path that takes less than this in a second while more waits is slow. A radio link with
    /// 256 kbit/s is the least that pushes of source code can live with.
    pub slow_bytes_per_s: u64,
    /// How long something must wait without a pause.
    pub slow_waited: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            flaps: 6,
            flaps_quiet: Duration::from_secs(60),
            loss: 2.0,
            loss_segments: 100,
            slow_bytes_per_s: 32_000,
            slow_waited: Duration::from_secs(4),
        }
    }
}

/// Less than this waits at any time on a path with a round trip of a second.
const WAITING_MIN: u64 = 16 << 10;
/// Broken packets in ten seconds: at least this many, and one in a thousand.
const ERRORS_MIN: u64 = 10;
const ERRORS_PER_MILLE: u64 = 1;
/// Rounds of which errors are summed.
const ERROR_ROUNDS: usize = 10;
/// A verdict of the probe stands until the stalled connection moves or is gone this long.
const VERDICT_STANDS: Duration = Duration::from_secs(3);

/// What is remembered of one link.
#[derive(Debug, Default)]
struct Known {
    was_up: bool,
    flaps: u32,
    changed: Option<Duration>,
    errors: VecDeque<(u64, u64)>,
}

/// The judge.
#[derive(Debug, Default)]
pub(crate) struct Judge {
    bounds: Bounds,
    links: BTreeMap<String, Known>,
    /// Since when each open trouble lasts.
    open: BTreeMap<(TroubleKind, String), Duration>,
    /// Peers that answered small packets while their large ones vanished.
    black_holes: BTreeMap<SocketAddr, (Stall, Duration)>,
}

impl Judge {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, ..Self::default() }
    }

    /// The stalled connection to ask about next, if any is not judged yet.
    pub(crate) fn suspect(&self, paths: &[Path]) -> Option<SocketAddr> {
        let stalled = paths.iter().filter_map(|path| path.stalled);
        stalled.map(|stall| stall.at).find(|at| !self.black_holes.contains_key(at))
    }

    /// Takes the probe's answer about a stalled connection.
    pub(crate) fn probed(&mut self, at: SocketAddr, answered: bool, paths: &[Path], now: Duration) {
        let stall = paths.iter().filter_map(|path| path.stalled).find(|stall| stall.at == at);
        if let (true, Some(stall)) = (answered, stall) {
            self.black_holes.insert(at, (stall, now));
        }
    }

    /// The troubles of this round.
    pub(crate) fn judge(&mut self, links: &[Link], paths: &[Path], now: Duration) -> Vec<Trouble> {
        let mut found = Vec::new();
        for link in links {
            self.link(link, now, &mut found);
        }
        for path in paths {
            self.loss(path, &mut found);
            self.slow(path, &mut found);
        }
        self.path_mtu(paths, now, &mut found);
        self.dated(found, now)
    }

    fn link(&mut self, link: &Link, now: Duration, found: &mut Vec<Found>) {
        let known = self.links.entry(link.name.clone()).or_default();
        let name = &link.name;
        let state = link.state.value;
        known.was_up |= state == Some(LinkState::Up);
        if link.flaps > known.flaps {
            known.changed = Some(now);
        }
        known.flaps = link.flaps;
        let down = matches!(state, Some(LinkState::NoCarrier | LinkState::Down));
        if known.was_up && link.state.quality == Quality::Lost {
            found.push(Found::new(
                TroubleKind::LinkDown,
                name,
                format!(
                    "{name} is gone: the card was pulled or its driver ended; see the kernel's log"
                ),
            ));
        } else if known.was_up && down {
            let why = match state {
                Some(LinkState::Down) => {
                    "it was switched off: `ip link set dev ".to_owned() + name + " up`"
                }
                _ => "no carrier: check the cable, the radio and the switch's port".to_owned(),
            };
            found.push(Found::new(TroubleKind::LinkDown, &name, format!("{name} is down; {why}")));
        }
        let quiet =
            known.changed.is_none_or(|at| now.saturating_sub(at) >= self.bounds.flaps_quiet);
        if link.flaps >= self.bounds.flaps && !quiet {
            found.push(Found::new(TroubleKind::LinkFlapping, &name, format!(
                "{name} comes and goes: {} changes of the carrier in ten minutes, bound {}; check plug, cable and power of the other end",
                link.flaps, self.bounds.flaps
            )));
        }
        if link.duplex == Some(Duplex::Half) && state == Some(LinkState::Up) {
            found.push(Found::new(TroubleKind::HalfDuplex, &name, format!(
                "{name} runs half duplex: both ends must negotiate, or both be set to full duplex"
            )));
        }
        known.errors.push_back((link.traffic.packets, link.traffic.errors));
        known.errors.truncate(ERROR_ROUNDS + 1);
        if known.errors.len() > ERROR_ROUNDS {
            known.errors.pop_front();
        }
        let (packets, errors) = known
            .errors
            .iter()
            .fold((0, 0), |sum: (u64, u64), round| (sum.0 + round.0, sum.1 + round.1));
        if errors >= ERRORS_MIN && errors * 1000 >= packets * ERRORS_PER_MILLE {
            found.push(Found::new(TroubleKind::LinkErrors, &name, format!(
                "{name} counts broken packets: {errors} beside {packets} good ones in ten seconds; change the cable or the plug"
            )));
        }
    }

    fn loss(&self, path: &Path, found: &mut Vec<Found>) {
        if path.sent < self.bounds.loss_segments {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "segments of ten seconds are few")]
        let share = Share(path.retransmitted as f64 * 100.0 / path.sent as f64);
        let is_open = self.is_open(TroubleKind::PacketLoss, &path.peer.to_string());
        let bound = if is_open { self.bounds.loss / 2.0 } else { self.bounds.loss };
        if share.0 >= bound {
            found.push(Found::new(TroubleKind::PacketLoss, &path.peer, format!(
                "the path to {} loses packets: {share} of {} segments in ten seconds had to be sent again, bound {}",
                path.peer, path.sent, Share(self.bounds.loss)
            )));
        }
    }

    fn slow(&self, path: &Path, found: &mut Vec<Found>) {
        let waits = path.waiting >= WAITING_MIN && path.waited >= self.bounds.slow_waited;
        // What takes nothing at all is stalled, not slow.
        let slow = (1..self.bounds.slow_bytes_per_s).contains(&path.taken_per_s);
        if waits && slow && !path.peer_is_full {
            found.push(Found::new(
                TroubleKind::SlowPath,
                &path.peer,
                format!(
                    "the path to {} is slow: it takes {} kbit/s, bound {}, while {} wait",
                    path.peer,
                    path.taken_per_s * 8 / 1000,
                    self.bounds.slow_bytes_per_s * 8 / 1000,
                    Bytes(path.waiting)
                ),
            ));
        }
    }

    fn path_mtu(&mut self, paths: &[Path], now: Duration, found: &mut Vec<Found>) {
        for stall in paths.iter().filter_map(|path| path.stalled) {
            if let Some((_, seen)) = self.black_holes.get_mut(&stall.at) {
                *seen = now;
            }
        }
        self.black_holes.retain(|_, (_, seen)| now.saturating_sub(*seen) < VERDICT_STANDS);
        found.extend(self.black_holes.values().map(|(stall, _)| {
            Found::new(TroubleKind::PathMtu, &stall.at.ip(), format!(
                "large packets to {} vanish while small ones pass: the path takes less than the {} bytes of this side's MTU, and says nothing; lower the interface's MTU or set net.ipv4.tcp_mtu_probing=1",
                stall.at.ip(), stall.path_mtu
            ))
        }));
    }

    fn is_open(&self, kind: TroubleKind, place: &str) -> bool {
        self.open.contains_key(&(kind, place.to_owned()))
    }

    /// Each trouble once, with the time since when it lasts.
    fn dated(&mut self, found: Vec<Found>, now: Duration) -> Vec<Trouble> {
        let keys: BTreeSet<_> = found.iter().map(|f| (f.kind, f.place.clone())).collect();
        self.open.retain(|key, _| keys.contains(key));
        let mut told = BTreeSet::new();
        let mut troubles = Vec::new();
        for Found { kind, place, words } in found {
            let key = (kind, place.clone());
            let since = *self.open.entry(key.clone()).or_insert(now);
            if told.insert(key) {
                troubles.push(Trouble { kind, place, lasted: now.saturating_sub(since), words });
            }
        }
        troubles
    }
}

/// A trouble without its date.
struct Found {
    kind: TroubleKind,
    place: String,
    words: String,
}

impl Found {
    fn new(kind: TroubleKind, place: &impl ToString, words: String) -> Self {
        Self { kind, place: place.to_string(), words }
    }
}

#[cfg(test)]
mod tests;
