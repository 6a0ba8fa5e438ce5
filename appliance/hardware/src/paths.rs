//! The paths to the peers this machine talks to: loss, round trip, throughput, stalls.
//!
//! Pure: it takes the list of connections of each round and remembers [`WINDOW`].
//! Invariants: a connection counts from the round in which it is first seen, so that what it
//! suffered before is not told again; [`PEERS_MAX`] bounds the memory.
//! Units: segments, bytes.

use crate::sockets::Socket;
use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    net::{IpAddr, SocketAddr},
    time::Duration,
};

pub(crate) const WINDOW: Duration = Duration::from_secs(10);
/// What a path takes is told over the half of it: a link that has become slow must not be excused
/// for ten seconds by what it took before.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// A site talks to a hub, a mirror, some users; a scan from outside must not fill the memory.
const PEERS_MAX: usize = 256;
/// A connection whose oldest segment was sent this many times more without an answer is stalled.
/// With one segment in twenty lost by chance, this happens to one in ten thousand.
const STALL_RETRIES: u8 = 3;
/// Segments of this size cross every path that IPv6 may use; their loss is not a matter of size.
const SMALL_SEGMENT: u32 = 1220;

/// What is known of one peer over the window.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    pub(crate) peer: IpAddr,
    /// Segments with data, and those that were sent again.
    pub(crate) sent: u64,
    pub(crate) retransmitted: u64,
    /// Bytes a second that the peer took lately.
    pub(crate) taken_per_s: u64,
    /// Bytes that wait now.
    pub(crate) waiting: u64,
    /// How long something has been waiting without a pause.
    pub(crate) waited: Duration,
    /// Most of the time the peer itself had no room: the path is not to blame.
    pub(crate) peer_is_full: bool,
    pub(crate) rtt: Duration,
    /// A connection whose large segments get no answer.
    pub(crate) stalled: Option<Stall>,
}

/// A connection that makes no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stall {
    pub(crate) at: SocketAddr,
    /// Bytes of data in a segment.
    pub(crate) segment: u32,
    pub(crate) path_mtu: u32,
}

#[derive(Debug, Default)]
struct Peer {
    rounds: VecDeque<Change>,
    waiting: u64,
    waiting_since: Option<Duration>,
    rtt: Duration,
    stalled: Option<Stall>,
}

/// What one round brought.
#[derive(Debug, Clone, Copy, Default)]
struct Change {
    at: Duration,
    sent: u64,
    retransmitted: u64,
    acked: u64,
    busy: Duration,
    full: Duration,
}

/// All peers.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    sockets: HashMap<u64, Socket>,
    peers: BTreeMap<IpAddr, Peer>,
}

impl Paths {
    /// Takes the connections of one round.
    pub(crate) fn take(&mut self, sockets: Vec<Socket>, now: Duration) {
        let mut changes: BTreeMap<IpAddr, Change> = BTreeMap::new();
        for peer in self.peers.values_mut() {
            (peer.waiting, peer.stalled) = (0, None);
        }
        for socket in &sockets {
            let change =
                changes.entry(socket.peer.ip()).or_insert(Change { at: now, ..Change::default() });
            change.add(self.sockets.get(&socket.cookie).unwrap_or(socket), socket);
            let room = self.peers.len() < PEERS_MAX;
            let peer = match self.peers.get_mut(&socket.peer.ip()) {
                Some(peer) => peer,
                None if room => self.peers.entry(socket.peer.ip()).or_default(),
                None => continue,
            };
            peer.see(socket);
        }
        for (address, peer) in &mut self.peers {
            peer.rounds.extend(changes.remove(address));
            peer.rounds.retain(|round| now.saturating_sub(round.at) < WINDOW);
            peer.waiting_since = (peer.waiting > 0).then(|| peer.waiting_since.unwrap_or(now));
        }
        self.peers.retain(|_, peer| !peer.rounds.is_empty());
        self.sockets = sockets.into_iter().map(|socket| (socket.cookie, socket)).collect();
    }

    /// No segment went in or out since the last round, so that a list would be the same.
    pub(crate) fn take_unchanged(&mut self, now: Duration) {
        let same = std::mem::take(&mut self.sockets).into_values().collect();
        self.take(same, now);
    }

    /// Whether any connection had something to send or to be answered.
    pub(crate) fn is_waited_for(&self) -> bool {
        self.sockets.values().any(|socket| socket.waiting > 0 || socket.info.unacked > 0)
    }

    /// Every peer of the last ten seconds.
    pub(crate) fn paths(&self, now: Duration) -> Vec<Path> {
        self.peers.iter().map(|(address, peer)| peer.path(*address, now)).collect()
    }
}

impl Change {
    fn add(&mut self, before: &Socket, after: &Socket) {
        let (old, new) = (&before.info, &after.info);
        self.sent += u64::from(new.sent.wrapping_sub(old.sent));
        self.retransmitted += u64::from(new.retransmitted.wrapping_sub(old.retransmitted));
        self.acked += new.acked.saturating_sub(old.acked);
        self.busy += new.busy.saturating_sub(old.busy);
        self.full += new.peer_full.saturating_sub(old.peer_full);
    }
}

impl Peer {
    fn see(&mut self, socket: &Socket) {
        self.waiting += u64::from(socket.waiting);
        if socket.info.rtt > Duration::ZERO {
            self.rtt = socket.info.rtt;
        }
        let info = &socket.info;
        let stalled = info.retransmits >= STALL_RETRIES && info.unacked > 0;
        if stalled && info.segment > SMALL_SEGMENT {
            self.stalled =
                Some(Stall { at: socket.peer, segment: info.segment, path_mtu: info.path_mtu });
        }
    }

    fn path(&self, peer: IpAddr, now: Duration) -> Path {
        let sum = |of: fn(&Change) -> u64| self.rounds.iter().map(of).sum::<u64>();
        let time = |of: fn(&Change) -> Duration| self.rounds.iter().map(of).sum::<Duration>();
        Path {
            peer,
            sent: sum(|round| round.sent),
            retransmitted: sum(|round| round.retransmitted),
            taken_per_s: self.taken_per_s(now),
            waiting: self.waiting,
            waited: self.waiting_since.map_or(Duration::ZERO, |since| now.saturating_sub(since)),
            peer_is_full: time(|round| round.full) * 2 > time(|round| round.busy),
            rtt: self.rtt,
            stalled: self.stalled,
        }
    }

    fn taken_per_s(&self, now: Duration) -> u64 {
        let is_late = |round: &&Change| now.saturating_sub(round.at) < TAKEN_WITHIN;
        let late = || self.rounds.iter().filter(is_late);
        let begun = late().next().map_or(now, |round| round.at);
        let millis = u64::try_from(now.saturating_sub(begun).as_millis()).unwrap_or(u64::MAX);
        // The first round is the beginning of the span, not part of it.
        let acked: u64 = late().skip(1).map(|round| round.acked).sum();
        acked.saturating_mul(1000) / millis.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::Info;

    fn socket(sent: u32, retransmitted: u32, acked: u64, waiting: u32) -> Socket {
        let info = Info { sent, retransmitted, acked, segment: 1448, ..Info::default() };
        Socket { cookie: 1, peer: "10.0.0.7:443".parse().unwrap(), waiting, info }
    }

    #[test]
    fn a_path_is_told_over_the_last_ten_seconds() {
        let mut paths = Paths::default();
        for at in 0..30_u32 {
            let one = socket(1000 + at * 100, 7 + at * 5, u64::from(at) * 16_000, 90_000);
            paths.take(vec![one], Duration::from_secs(u64::from(at)));
        }
        let now = Duration::from_secs(29);
        let path = paths.paths(now).remove(0);
        assert_eq!((path.sent, path.retransmitted), (1000, 50));
        assert_eq!((path.taken_per_s, path.waited.as_secs()), (16_000, 29));
        paths.take(Vec::new(), now + WINDOW);
        assert!(paths.paths(now + WINDOW).is_empty());
    }

    #[test]
    fn a_list_that_would_be_the_same_is_not_asked_for_and_tells_the_same() {
        let mut paths = Paths::default();
        paths.take(vec![socket(10, 0, 100, 0)], Duration::from_secs(1));
        paths.take(vec![socket(30, 5, 300, 700)], Duration::from_secs(2));
        assert!(paths.is_waited_for());
        paths.take(vec![socket(30, 5, 1000, 0)], Duration::from_secs(3));
        assert!(!paths.is_waited_for());
        for second in 4..12 {
            paths.take_unchanged(Duration::from_secs(second));
        }
        let told = |now| paths.paths(Duration::from_secs(now))[0].clone();
        assert_eq!((told(11).sent, told(11).retransmitted, told(11).taken_per_s), (20, 5, 0));
        paths.take_unchanged(Duration::from_secs(12));
        assert_eq!(paths.paths(Duration::from_secs(12))[0].sent, 0);
    }

    #[test]
    fn what_was_taken_before_does_not_excuse_what_is_taken_now() {
        let mut paths = Paths::default();
        let mut taken = |at: u32, acked: u64| {
            let now = Duration::from_secs(u64::from(at));
            paths.take(vec![socket(at, 0, acked, 90_000)], now);
            paths.paths(now)[0].taken_per_s
        };
        for at in 0..20 {
            taken(at, u64::from(at) * 10_000_000);
        }
        let slow: Vec<u64> =
            (20..25).map(|at| taken(at, 190_000_000 + u64::from(at - 19) * 16_000)).collect();
        assert!(slow[2] > 1_000_000, "the last fast second still counts: {slow:?}");
        assert_eq!(slow[3..], [16_000, 16_000]);
    }

    #[test]
    fn what_a_connection_suffered_before_it_was_seen_is_not_told() {
        let mut paths = Paths::default();
        paths.take(vec![socket(5000, 400, 9, 0)], Duration::from_secs(1));
        assert_eq!(paths.paths(Duration::from_secs(1))[0].retransmitted, 0);
    }

    #[test]
    fn a_large_segment_without_an_answer_is_a_stall_and_a_small_one_is_not() {
        let stall = |segment, retransmits| {
            let mut one = socket(3, 3, 0, 2896);
            one.info = Info { segment, retransmits, unacked: 2, ..one.info };
            let mut paths = Paths::default();
            paths.take(vec![one], Duration::ZERO);
            paths.paths(Duration::ZERO)[0].stalled.is_some()
        };
        assert!(stall(1448, 3));
        assert!(!stall(1448, 2));
        assert!(!stall(1000, 9));
    }
}
