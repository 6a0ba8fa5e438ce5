//! What holds for every sequence of readings: bounded, monotone, no number that is none, and back
//! to full speed when all is well again.

use super::*;
use base::reading::Quality;
use proptest::prelude::*;

pub(super) const POOL: u32 = 8;
pub(super) const SECOND: i64 = 1_000_000;

/// One second's readings, as far as they can be worse or better.
#[derive(Debug, Clone)]
pub(super) struct Second {
    celsius: Option<f64>,
    /// Another sensor of the same chip, and one of another chip.
    core: Option<f64>,
    disk: Option<f64>,
    fan_failed: bool,
    available: u64,
    some: f64,
    flush: Option<f64>,
    watts: f64,
    free: u64,
    inodes: f64,
    busy: f64,
    loss: f64,
    flaps: u32,
    supply: Supply,
    running: u32,
    /// Microseconds that the wall clock moves.
    moved: i64,
}

pub(super) fn sight(second: &Second) -> Sight {
    let heat = |name: &str, chip: &str, celsius| Heat {
        name: name.into(),
        chip: chip.into(),
        celsius,
        quality: Quality::Good,
        is_processor: chip == "cpu",
        own_limit: None,
    };
    Sight {
        heats: vec![
            heat("cpu", "cpu", second.celsius),
            heat("core", "cpu", second.core),
            heat("disk", "nvme", second.disk),
        ],
        failed_fan: second.fan_failed.then(|| "fan1".to_owned()),
        memory: Some(Memory {
            available: Bytes::mib(second.available),
            total: Bytes::gib(8),
            some: Some(second.some),
            full: Some(second.some / 10.0),
        }),
        flush_millis: second.flush,
        power: Power { supply: Some(second.supply), is_silent: false, watts: Some(second.watts) },
        disks: vec![Disk {
            name: "/".into(),
            free: Bytes::mib(second.free),
            total: Bytes::gib(64),
            inodes_free: Some(second.inodes),
            read_only: false,
            wear: None,
        }],
        network: Network {
            links: vec![Link {
                name: "eth0".into(),
                up: true,
                half_duplex: false,
                flaps: second.flaps,
            }],
            loss: Some(second.loss),
            ..Network::default()
        },
        cpu_busy: Some(second.busy),
        running: second.running,
    }
}

pub(super) fn fine() -> Second {
    Second {
        celsius: Some(50.0),
        core: None,
        disk: None,
        fan_failed: false,
        available: 6000,
        some: 0.0,
        flush: Some(3.0),
        watts: 20.0,
        free: 40_000,
        inodes: 90.0,
        busy: 0.3,
        loss: 0.0,
        flaps: 0,
        supply: Supply::Mains,
        running: 2,
        moved: SECOND,
    }
}

/// Temperatures and what is none: the middle of the range, its whole, and the ways to say nothing.
fn any_reading() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        12 => (60.0..92.0_f64).prop_map(Some),
        4 => (-40.0..126.0_f64).prop_map(Some),
        2 => prop_oneof![
            Just(Some(0.0)), Just(Some(50.0)), Just(Some(f64::NAN)), Just(Some(f64::INFINITY)),
            Just(Some(-273.0)), Just(Some(127.0)), Just(None),
        ],
    ]
}

prop_compose! {
    fn any_second()(
        heats in (any_reading(), any_reading(), any_reading()),
        fan_failed in prop::bool::weighted(0.1),
        available in 0..8192_u64,
        some in prop_oneof![0.0..60.0_f64, Just(f64::NAN)],
        flush in prop::option::of(prop_oneof![0.1..2000.0_f64, Just(f64::NAN)]),
        watts in 0.0..200.0_f64,
        disk in (0..65_536_u64, 0.0..100.0_f64),
        busy in prop_oneof![0.0..1.0_f64, Just(f64::NAN), Just(7.0)],
        network in (prop_oneof![0.0..20.0_f64, Just(f64::NAN)], prop_oneof![4 => Just(0), 1 => 0..9_u32]),
        supply in prop_oneof![8 => Just(Supply::Mains), 1 => Just(Supply::Battery), 1 => Just(Supply::Low)],
        running in 0..12_u32,
        moved in prop_oneof![8 => Just(SECOND), 1 => -3600 * SECOND..3600 * SECOND, 1 => Just(i64::MAX / 4)],
    ) -> Second {
        let ((celsius, core, nvme), (free, inodes), (loss, flaps)) = (heats, disk, network);
        Second {
            celsius, core, disk: nvme, fan_failed, available, some, flush, watts, free, inodes,
            busy, loss, flaps, supply, running, moved,
        }
    }
}

/// Runs of the same second, so that what waits for a while comes to happen, too.
fn any_past() -> impl Strategy<Value = Vec<(Second, u32)>> {
    prop::collection::vec((any_second(), prop_oneof![4 => 1..3_u32, 1 => 3..90_u32]), 1..24)
}

fn law() -> Law {
    Law { watts_max: Some(60.0), ..Law::new(POOL) }
}

fn drive(governor: &mut Governor, now: &mut Timestamp, second: &Second) -> Decision {
    *now = Timestamp(now.0.saturating_add(second.moved));
    governor.step(&sight(second), &law(), *now)
}

fn check_bounded(decision: &Decision) {
    assert!(decision.slots <= POOL, "{decision:?}");
    assert!((0.0..=1.0).contains(&decision.quota), "{decision:?}");
    assert!((0.0..=1.0).contains(&decision.sync_share), "{decision:?}");
    assert!(decision.network_slots <= POOL, "{decision:?}");
    assert!(decision.bounds.iter().all(|bound| bound.slots <= POOL), "{decision:?}");
    assert!(decision.headroom.is_none_or(f64::is_finite), "{decision:?}");
    let shown = decision.bounds.iter().map(|bound| bound.reading.as_str());
    assert!(
        shown.clone().all(|text| !text.contains("NaN") && !text.contains("inf")),
        "{decision:?}"
    );
}

/// One reading that is worse, or several: `bits` tells which.
fn worsen(better: &Second, other: &Second, bits: u32) -> (Second, Second) {
    let (mut better, mut worse) = (better.clone(), better.clone());
    let is = |bit: u32| bits >> bit & 1 == 1;
    let hotter = |better: &mut Option<f64>, worse: &mut Option<f64>, other: Option<f64>| {
        // What is no temperature cannot be compared with one.
        if let (Some(one), Some(two)) = (sensor::temperature(*better), sensor::temperature(other)) {
            (*better, *worse) = (Some(one.min(two)), Some(one.max(two)));
        }
    };
    if is(0) {
        hotter(&mut better.celsius, &mut worse.celsius, other.celsius);
    }
    if is(1) {
        hotter(&mut better.core, &mut worse.core, other.core);
    }
    if is(2) {
        hotter(&mut better.disk, &mut worse.disk, other.disk);
    }
    worse.fan_failed |= is(3);
    if is(4) {
        worse.available = better.available.min(other.available);
    }
    if is(5) {
        worse.some = better.some.max(other.some);
        better.some = better.some.min(other.some);
    }
    if let (true, Some(one), Some(two)) = (is(6), better.flush, other.flush) {
        (better.flush, worse.flush) = (Some(one.min(two)), Some(one.max(two)));
    }
    if is(7) {
        worse.watts = better.watts.max(other.watts);
    }
    if is(8) {
        worse.free = better.free.min(other.free);
        worse.inodes = better.inodes.min(other.inodes);
    }
    if is(9) {
        (better.busy, worse.busy) = (better.busy.min(other.busy), better.busy.max(other.busy));
    }
    if is(10) {
        (better.loss, worse.loss) = (better.loss.min(other.loss), better.loss.max(other.loss));
        worse.flaps = better.flaps.max(other.flaps);
    }
    if is(11) && better.supply == Supply::Mains {
        worse.supply = other.supply;
    }
    (better, worse)
}

/// The law's promise over one step, from one and the same past.
fn check_monotone(past: &[(Second, u32)], better: &Second, worse: &Second) {
    let decide = |last: &Second| {
        let (mut governor, mut now) = (Governor::default(), Timestamp(0));
        for (second, times) in past {
            (0..*times).for_each(|_| drop(drive(&mut governor, &mut now, second)));
        }
        drive(&mut governor, &mut now, last)
    };
    let (better, worse) = (decide(better), decide(worse));
    let told = || format!("\n{better:?}\n{worse:?}");
    assert!(worse.slots <= better.slots, "slots {}", told());
    assert!(worse.quota <= better.quota + 1e-12, "quota {}", told());
    assert!(worse.network_slots <= better.network_slots, "network slots {}", told());
    assert!(worse.sync_share <= better.sync_share + 1e-12, "sync {}", told());
    assert!(worse.pause >= better.pause, "pause {}", told());
    for (worse, better) in worse.bounds.iter().zip(&better.bounds) {
        assert!(worse.slots <= better.slots, "{} {}", worse.limiter, told());
    }
}

/// A short run in a test; `GOVERNOR_CASES=100000` for a long one.
fn cases(few: u32) -> ProptestConfig {
    let asked = std::env::var("GOVERNOR_CASES").ok().and_then(|text| text.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(few),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(200))]

    #[test]
    fn every_decision_is_bounded(seconds in prop::collection::vec(any_second(), 1..200)) {
        let (mut governor, mut now) = (Governor::default(), Timestamp(0));
        for second in &seconds {
            check_bounded(&drive(&mut governor, &mut now, second));
        }
    }

    #[test]
    fn in_one_state_a_worse_reading_never_gives_more(
        past in any_past(),
        last in any_second(),
        other in any_second(),
        bits in prop_oneof![(0..12_u32).prop_map(|bit| 1 << bit), 1..4096_u32],
    ) {
        let (better, worse) = worsen(&last, &other, bits);
        check_monotone(&past, &better, &worse);
    }

    #[test]
    fn after_any_trouble_a_quarter_of_an_hour_of_calm_gives_everything_back(
        seconds in prop::collection::vec(any_second(), 1..60),
    ) {
        let (mut governor, mut now) = (Governor::default(), Timestamp(0));
        for second in &seconds {
            drive(&mut governor, &mut now, second);
        }
        // Where the clock ran to its end it is set right, or no second would pass any more.
        now = now.min(Timestamp(1 << 60));
        let mut last = None;
        for second in 0..900 {
            let all = Some(50.0 + f64::from(second % 2));
            let calm = Second { celsius: all, core: all, disk: all, ..fine() };
            last = Some(drive(&mut governor, &mut now, &calm));
        }
        let last = last.expect("driven");
        prop_assert_eq!(last.slots, POOL, "{:?}", last);
        prop_assert!(last.quota > 0.999, "{:?}", last);
        prop_assert!(!last.pause && !last.give_up, "{:?}", last);
    }
}

/// Inputs that broke the promise once.
#[test]
fn a_fall_that_is_doubted_gives_no_less_than_a_hotter_reading_that_is_believed() {
    let shows = |celsius| Second { celsius: Some(celsius), ..fine() };
    // After 94 °C a fall to 62 is doubted, and one to 65 is not: it opened the quota and 62 did not.
    check_monotone(&[(shows(94.0), 1)], &shows(62.0), &shows(65.0));
    // The third doubted fall in a row would have fallen to the safe values, the hotter one not.
    check_monotone(&[(shows(70.0), 60), (shows(0.0), 10)], &shows(0.1), &shows(60.0));
    // A bare zero in the cold is a rise, and a rise is believed.
    check_monotone(&[(shows(-20.0), 5)], &shows(-0.5), &shows(0.0));
    // Sensors that stood still for long: the one that repeats its value was lost at once.
    let still = |busy| Second { busy, ..shows(50.0) };
    let past: Vec<_> = (0..8).map(|n| (still(if n % 2 == 0 { 0.0 } else { 0.7 }), 150)).collect();
    check_monotone(&past, &shows(50.0), &shows(51.0));
    check_monotone(&past, &shows(49.0), &shows(50.0));
}

#[test]
fn memory_that_shrinks_with_nothing_running_gives_nothing() {
    let full = |some| Second { some, running: 0, ..fine() };
    check_monotone(&[(full(30.0), 14)], &full(20.0), &full(30.0));
}

#[test]
fn an_hour_of_saturation_winds_nothing_up() {
    let (mut governor, mut now) = (Governor::default(), Timestamp(0));
    let cool = Second { celsius: Some(30.0), running: 8, ..fine() };
    (0..3600).for_each(|_| drop(drive(&mut governor, &mut now, &cool)));
    let hot = Second { celsius: Some(82.0), running: 8, ..fine() };
    let mut quota = 1.0;
    for _ in 0..20 {
        quota = drive(&mut governor, &mut now, &hot).quota;
    }
    assert!(quota < 0.5, "an hour of cold must not buy time when it is hot: {quota}");
    (0..3600).for_each(|_| drop(drive(&mut governor, &mut now, &hot)));
    let mut seconds = 0;
    while drive(&mut governor, &mut now, &Second { running: 1, ..cool.clone() }).quota < 1.0 {
        seconds += 1;
        assert!(seconds < 90, "an hour of heat must not cost hours when it is over");
    }
}

#[test]
fn the_guard_pauses_and_gives_up_one_job_a_minute() {
    let (mut governor, mut now) = (Governor::default(), Timestamp(0));
    (0..30).for_each(|_| drop(drive(&mut governor, &mut now, &Second { running: 4, ..fine() })));
    let burning = Second { celsius: Some(88.0), running: 4, ..fine() };
    let decisions: Vec<Decision> =
        (0..150).map(|_| drive(&mut governor, &mut now, &burning)).collect();
    let first = decisions.iter().position(|one| one.pause).expect("paused");
    assert!(first < 15, "paused after {first} s");
    assert_eq!(decisions[first].slots, 0);
    let given_up: Vec<usize> = decisions
        .iter()
        .enumerate()
        .filter(|(_, one)| one.give_up)
        .map(|(at, _)| at - first)
        .collect();
    assert_eq!(given_up, [59, 119], "after the guard held for a minute, and again a minute later");
}

#[test]
fn a_flapping_link_loses_bulk_and_never_local_slots() {
    let (mut governor, law) = (Governor::default(), Law::new(POOL));
    let mut sight = sight(&fine());
    let mut decide = |at: i64, flaps, loss| {
        let link = Link { name: "eth0".into(), up: true, half_duplex: false, flaps };
        sight.network = Network { links: vec![link], loss: Some(loss), ..Network::default() };
        governor.step(&sight, &law, Timestamp(at * SECOND))
    };
    assert_eq!(decide(0, 0, 0.0).network_slots, POOL);
    let lossy = (1..60).map(|at| decide(at, 0, 5.0)).last().expect("decided");
    assert!(lossy.sync_share < 0.2 && lossy.slots == POOL, "{lossy:?}");
    let flapping = decide(61, 6, 0.0);
    assert_eq!((flapping.sync_share, flapping.network_slots, flapping.slots), (0.0, 1, POOL));
    assert!(flapping.network().is_some_and(|bound| bound.reading.contains("eth0 changed 6 times")));
    let later = (62..1200).map(|at| decide(at, 0, 0.0)).last().expect("decided");
    assert!(later.sync_share > 0.2, "forgiven: {later:?}");
}
