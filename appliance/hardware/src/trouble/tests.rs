//! Each trouble with its bound: when it is told, and when no more.

use super::*;
use base::reading::{Reading, Source, Traffic};

fn link(state: LinkState, flaps: u32) -> Link {
    Link {
        name: "wan0".into(),
        state: Reading::good(Source::new("wan0", "operstate"), state),
        speed_mbit: None,
        duplex: None,
        mtu: 1500,
        flaps,
        traffic: Traffic::default(),
        totals: base::reading::LinkTotals::default(),
    }
}

fn path(sent: u64, retransmitted: u64) -> Path {
    Path {
        peer: "10.0.0.7".parse().unwrap(),
        sent,
        retransmitted,
        taken_per_s: 1_000_000,
        waiting: 0,
        waited: Duration::ZERO,
        peer_is_full: false,
        rtt: Duration::from_millis(20),
        stalled: None,
    }
}

/// The troubles of a run of rounds, one a second.
fn check(rounds: Vec<(Vec<Link>, Vec<Path>)>, expected: &[&[TroubleKind]]) {
    let mut judge = Judge::new(Bounds::default());
    for (at, (links, paths)) in rounds.into_iter().enumerate() {
        let now = Duration::from_secs(100 + at as u64);
        let kinds: Vec<_> = judge.judge(&links, &paths, now).iter().map(|t| t.kind).collect();
        assert_eq!(kinds, expected[at], "round {at}");
    }
}

#[test]
fn a_link_that_was_up_is_missed_and_one_that_never_was_is_not() {
    let round = |state| (vec![link(state, 0)], vec![]);
    check(vec![round(LinkState::NoCarrier)], &[&[]]);
    check(
        vec![round(LinkState::Up), round(LinkState::NoCarrier), round(LinkState::Up)],
        &[&[], &[TroubleKind::LinkDown], &[]],
    );
}

#[test]
fn a_link_flaps_until_it_has_been_quiet() {
    let mut judge = Judge::new(Bounds::default());
    let mut kinds = |flaps, at| {
        let found = judge.judge(&[link(LinkState::Up, flaps)], &[], Duration::from_secs(at));
        found.iter().map(|trouble| trouble.kind).collect::<Vec<_>>()
    };
    assert!(kinds(4, 0).is_empty());
    assert_eq!(kinds(6, 1), [TroubleKind::LinkFlapping]);
    assert_eq!(kinds(6, 50), [TroubleKind::LinkFlapping]);
    assert!(kinds(6, 62).is_empty());
    assert_eq!(kinds(7, 70), [TroubleKind::LinkFlapping]);
}

#[test]
fn half_duplex_and_broken_packets_are_told() {
    let mut half = link(LinkState::Up, 0);
    half.duplex = Some(Duplex::Half);
    half.traffic = Traffic { packets: 5000, errors: 11, ..Traffic::default() };
    check(vec![(vec![half], vec![])], &[&[TroubleKind::HalfDuplex, TroubleKind::LinkErrors]]);
    let mut noisy = link(LinkState::Up, 0);
    noisy.traffic = Traffic { packets: 500_000, errors: 11, ..Traffic::default() };
    check(vec![(vec![noisy], vec![])], &[&[]]);
}

#[test]
fn loss_is_told_above_its_bound_and_cleared_at_half_of_it() {
    let round = |sent, lost| (vec![], vec![path(sent, lost)]);
    check(
        vec![
            round(99, 50),
            round(1000, 19),
            round(1000, 20),
            round(1000, 12),
            round(1000, 9),
            round(1000, 12),
        ],
        &[&[], &[], &[TroubleKind::PacketLoss], &[TroubleKind::PacketLoss], &[], &[]],
    );
}

#[test]
fn a_path_is_slow_only_while_something_waits_for_it_and_not_for_the_peer() {
    let slow = Path {
        taken_per_s: 16_000,
        waiting: 100_000,
        waited: Duration::from_secs(5),
        ..path(50, 0)
    };
    let full = Path { peer_is_full: true, ..slow };
    let idle = Path { waiting: 0, waited: Duration::ZERO, ..slow };
    check(
        vec![(vec![], vec![slow]), (vec![], vec![full]), (vec![], vec![idle])],
        &[&[TroubleKind::SlowPath], &[], &[]],
    );
}

#[test]
fn a_black_hole_is_told_after_the_probe_and_cleared_when_the_connection_moves() {
    let at: SocketAddr = "10.0.0.7:443".parse().unwrap();
    let stalled = Path { stalled: Some(Stall { at, segment: 1448, path_mtu: 1500 }), ..path(3, 3) };
    let paths = [stalled];
    let mut judge = Judge::new(Bounds::default());
    let second = Duration::from_secs;
    assert_eq!(judge.suspect(&paths), Some(at));
    assert!(judge.judge(&[], &paths, second(1)).is_empty());
    judge.probed(at, false, &paths, second(1));
    assert!(judge.judge(&[], &paths, second(2)).is_empty(), "a dead path is not a black hole");
    judge.probed(at, true, &paths, second(3));
    let told = judge.judge(&[], &paths, second(9)).remove(0);
    assert_eq!(told.kind, TroubleKind::PathMtu);
    assert!(
        told.words.contains("1500") && told.words.contains("tcp_mtu_probing"),
        "{}",
        told.words
    );
    assert!(judge.judge(&[], &[path(5, 0)], second(13)).is_empty());
}
