//! The network in one round: links, paths, what is wrong with them.
//!
//! Invariants: connections are asked of the kernel only on the living machine, and only when a segment
//! went in or out since or something waits, because the kernel walks its whole table for it; a captured
//! tree has
//! counters alone, and then the machine's own counters tell the loss, loopback included.

use crate::{
    Root,
    links::Links,
    paths::{Path, Paths, WINDOW},
    probe::Probe,
    slow::Slow,
    sockets::{self, Socket},
    track::Track,
    trouble::{Bounds, Judge},
};
use base::{
    reading::{Link, Quality, Source, Transport, Trouble},
    units::{Share, Span},
};
use std::{
    collections::VecDeque,
    io,
    time::{Duration, Instant},
};

/// Segments from which a share says anything.
const SEGMENTS_MIN: u64 = 100;
/// Rounds in which connections are not listed any more after the kernel refused.
const REFUSALS_MAX: u32 = 3;

/// The machine's own counters: segments in, out, sent again, time-outs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counters {
    into: u64,
    out: u64,
    again: u64,
    timeouts: u64,
}

/// Everything about the network.
pub(crate) struct Network {
    root: Root,
    links: Links,
    sockets: Option<Slow<io::Result<Vec<Socket>>>>,
    refusals: u32,
    paths: Paths,
    probe: Probe,
    judge: Judge,
    counters: VecDeque<(Duration, Counters)>,
    now: Counters,
    /// The counters with which connections were listed last.
    listed: Option<Counters>,
    is_asked: bool,
    loss: Track<Share>,
    rtt: Track<Span>,
}

/// One round.
pub(crate) struct Round {
    pub(crate) links: Vec<Link>,
    pub(crate) transport: Transport,
    pub(crate) troubles: Vec<Trouble>,
}

impl Network {
    pub(crate) fn start(root: &Root, bounds: Bounds) -> io::Result<Self> {
        let sockets = match root.is_live() {
            true => Some(Slow::start("sockets", sockets::list)?),
            false => None,
        };
        let source = |label: &str| Source::new("tcp", label);
        Ok(Self {
            root: root.clone(),
            links: Links::start(root)?,
            sockets,
            refusals: 0,
            paths: Paths::default(),
            probe: Probe::start()?,
            judge: Judge::new(bounds),
            counters: VecDeque::new(),
            now: Counters::default(),
            listed: None,
            is_asked: false,
            loss: Track::new(source("loss")),
            rtt: Track::new(source("rtt")),
        })
    }

    pub(crate) fn ask(&mut self) {
        self.links.ask();
        self.now = self.count();
        self.is_asked = self.listed != Some(self.now) || self.paths.is_waited_for();
        if let Some(sockets) = self.sockets.as_mut().filter(|_| self.is_asked) {
            sockets.ask();
        }
    }

    pub(crate) fn take(&mut self, now: Duration, deadline: Instant) -> Round {
        let links = self.links.take(now, deadline);
        self.take_sockets(now, deadline);
        let paths = self.paths.paths(now);
        if let Some((at, answered)) = self.probe.take() {
            self.judge.probed(at, answered, &paths, now);
        }
        if let Some(suspect) = self.judge.suspect(&paths) {
            self.probe.ask(suspect);
        }
        let troubles = self.judge.judge(&links, &paths, now);
        Round { links, transport: self.transport(&paths, now), troubles }
    }

    fn take_sockets(&mut self, now: Duration, deadline: Instant) {
        let Some(slow) = &mut self.sockets else { return };
        if !self.is_asked {
            return self.paths.take_unchanged(now);
        }
        match slow.take(deadline) {
            Some(Ok(list)) => {
                self.refusals = 0;
                self.listed = Some(self.now);
                self.paths.take(list, now);
            }
            Some(Err(error)) => {
                self.refusals += 1;
                if self.refusals == REFUSALS_MAX {
                    tracing::info!(%error, "the kernel does not list connections; loss is told for the whole machine");
                    self.sockets = None;
                }
            }
            None => {}
        }
    }

    fn transport(&mut self, paths: &[Path], now: Duration) -> Transport {
        let whole = self.counted(now);
        let (segments, again) = match self.sockets {
            Some(_) => paths.iter().fold((0, 0), |s, p| (s.0 + p.sent, s.1 + p.retransmitted)),
            None => (whole.out, whole.again),
        };
        let quiet = if self.loss.last().is_some() { Quality::Stale } else { Quality::Absent };
        #[expect(clippy::cast_precision_loss, reason = "segments of ten seconds are few")]
        let loss = (segments >= SEGMENTS_MIN)
            .then(|| Share((again as f64 * 100.0 / segments as f64).min(100.0)))
            .ok_or(quiet);
        let mut trips: Vec<Duration> =
            paths.iter().map(|path| path.rtt).filter(|rtt| !rtt.is_zero()).collect();
        trips.sort_unstable();
        let rtt = trips.get(trips.len() / 2).copied().map(Span);
        let unknown = if self.rtt.last().is_some() { Quality::Stale } else { Quality::Absent };
        Transport {
            loss: self.loss.take(loss, now),
            segments,
            timeouts: whole.timeouts,
            rtt: self.rtt.take(rtt.ok_or(unknown), now),
        }
    }

    fn count(&self) -> Counters {
        let snmp = self.root.text("proc/net/snmp").unwrap_or_default();
        let stat = self.root.text("proc/net/netstat").unwrap_or_default();
        Counters {
            into: counter(&snmp, "Tcp:", "InSegs").unwrap_or(0),
            out: counter(&snmp, "Tcp:", "OutSegs").unwrap_or(0),
            again: counter(&snmp, "Tcp:", "RetransSegs").unwrap_or(0),
            timeouts: counter(&stat, "TcpExt:", "TCPTimeouts").unwrap_or(0),
        }
    }

    /// What the machine's counters gained in the last ten seconds.
    fn counted(&mut self, now: Duration) -> Counters {
        let after = self.now;
        self.counters.push_back((now, after));
        // The oldest that is kept lies just beyond the window: the difference spans all of it.
        while self.counters.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
            self.counters.pop_front();
        }
        let before = self.counters.front().map_or(after, |(_, before)| *before);
        Counters {
            into: after.into.saturating_sub(before.into),
            out: after.out.saturating_sub(before.out),
            again: after.again.saturating_sub(before.again),
            timeouts: after.timeouts.saturating_sub(before.timeouts),
        }
    }
}

/// A counter of `/proc/net/snmp` or `netstat`: a line of names, then a line of numbers.
fn counter(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter(|line| line.starts_with(group));
    let at = lines.next()?.split_whitespace().position(|word| word == name)?;
    lines.next()?.split_whitespace().nth(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(group: &str, name: &str, expected: Option<u64>) {
        let text = "Ip: A B\nIp: 1 2\nTcp: OutSegs RetransSegs\nTcp: 500 7\nTcpExt: X\nTcpExt: 9\n";
        assert_eq!(counter(text, group, name), expected, "{group} {name}");
    }

    #[test]
    fn counters_are_found_by_name() {
        check("Tcp:", "RetransSegs", Some(7));
        check("TcpExt:", "X", Some(9));
        check("Tcp:", "Missing", None);
        check("Udp:", "OutSegs", None);
    }
}
