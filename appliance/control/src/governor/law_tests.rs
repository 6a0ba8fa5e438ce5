//! What holds for every sequence of readings: bounded, monotone, no number that is none, and back
//! to full speed when all is well again.

use super::*;
use base::reading::Quality;
use proptest::prelude::*;

const POOL: u32 = 8;
const SECOND: i64 = 1_000_000;

/// One second's readings, as far as they can be worse or better.
#[derive(Debug, Clone)]
struct Second {
    celsius: Option<f64>,
    available: u64,
    some: f64,
    flush: Option<f64>,
    watts: f64,
    free: u64,
    busy: f64,
    loss: f64,
    supply: Supply,
    running: u32,
    /// Microseconds that the wall clock moves.
    moved: i64,
}

fn sight(second: &Second) -> Sight {
    Sight {
        heats: vec![Heat {
            name: "cpu".into(),
            chip: "cpu".into(),
            celsius: second.celsius,
            quality: Quality::Good,
            own_limit: None,
        }],
        failed_fan: None,
        memory: Some(Memory {
            available: Bytes::mib(second.available),
            total: Bytes::gib(8),
            some: Some(second.some),
            full: Some(second.some / 10.0),
        }),
        flush_millis: second.flush,
        power: Power { supply: Some(second.supply), watts: Some(second.watts) },
        disks: vec![Disk {
            name: "/".into(),
            free: Bytes::mib(second.free),
            total: Bytes::gib(64),
            inodes_free: None,
            read_only: false,
            wear: None,
        }],
        network: Network { loss: Some(second.loss), ..Network::default() },
        cpu_busy: Some(second.busy),
        running: second.running,
    }
}

fn fine() -> Second {
    Second {
        celsius: Some(50.0),
        available: 6000,
        some: 0.0,
        flush: Some(3.0),
        watts: 20.0,
        free: 40_000,
        busy: 0.3,
        loss: 0.0,
        supply: Supply::Mains,
        running: 2,
        moved: SECOND,
    }
}

prop_compose! {
    fn any_second()(
        celsius in prop::option::weighted(0.95, prop_oneof![
            20.0..95.0_f64, Just(f64::NAN), Just(f64::INFINITY), Just(-273.0), Just(127.0),
        ]),
        available in 0..8192_u64,
        some in prop_oneof![0.0..60.0_f64, Just(f64::NAN)],
        flush in prop::option::of(prop_oneof![0.1..2000.0_f64, Just(f64::NAN)]),
        watts in 0.0..200.0_f64,
        free in 0..65_536_u64,
        busy in prop_oneof![0.0..1.0_f64, Just(f64::NAN), Just(7.0)],
        loss in prop_oneof![0.0..20.0_f64, Just(f64::NAN)],
        supply in prop_oneof![8 => Just(Supply::Mains), 1 => Just(Supply::Battery), 1 => Just(Supply::Low)],
        running in 0..12_u32,
        moved in prop_oneof![8 => Just(SECOND), 1 => -3600 * SECOND..3600 * SECOND, 1 => Just(i64::MAX / 4)],
    ) -> Second {
        Second { celsius, available, some, flush, watts, free, busy, loss, supply, running, moved }
    }
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

/// A worse form of the same second.
fn worse(second: &Second, by: f64) -> Second {
    Second {
        celsius: second
            .celsius
            .map(|celsius| if (0.0..95.0).contains(&celsius) { celsius + by } else { celsius }),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a test's step"
        )]
        available: second.available.saturating_sub(by as u64 * 200),
        some: second.some + by,
        flush: second.flush.map(|flush| flush * (1.0 + by / 10.0)),
        watts: second.watts + by,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a test's step"
        )]
        free: second.free.saturating_sub(by as u64 * 500),
        busy: (second.busy + by / 30.0).min(1.0),
        loss: second.loss + by / 5.0,
        ..second.clone()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_decision_is_bounded(seconds in prop::collection::vec(any_second(), 1..200)) {
        let (mut governor, mut now) = (Governor::default(), Timestamp(0));
        for second in &seconds {
            check_bounded(&drive(&mut governor, &mut now, second));
        }
    }

    #[test]
    fn in_one_state_a_worse_reading_never_gives_more(
        seconds in prop::collection::vec(any_second(), 1..80),
        last in any_second(),
        by in 0.5..30.0_f64,
    ) {
        let decide = |last: &Second| {
            let (mut governor, mut now) = (Governor::default(), Timestamp(0));
            for second in &seconds {
                drive(&mut governor, &mut now, second);
            }
            drive(&mut governor, &mut now, last)
        };
        let (better, worse) = (decide(&last), decide(&worse(&last, by)));
        // A fall too deep to be believed is a bad reading, and so the worse of the two.
        let is_believed = |decision: &Decision| {
            decision.bounds.iter().all(|bound| !bound.reading.contains("not fresh"))
        };
        prop_assume!(is_believed(&better) || !is_believed(&worse));
        prop_assert!(worse.slots <= better.slots, "{better:?}\n{worse:?}");
        prop_assert!(worse.quota <= better.quota + 1e-12, "{better:?}\n{worse:?}");
        prop_assert!(worse.network_slots <= better.network_slots, "{better:?}\n{worse:?}");
        prop_assert!(worse.sync_share <= better.sync_share + 1e-12, "{better:?}\n{worse:?}");
        prop_assert!(worse.pause >= better.pause, "{better:?}\n{worse:?}");
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
            let celsius = Some(50.0 + f64::from(second % 2));
            last = Some(drive(&mut governor, &mut now, &Second { celsius, ..fine() }));
        }
        let last = last.expect("driven");
        prop_assert_eq!(last.slots, POOL, "{:?}", last);
        prop_assert!(last.quota > 0.999, "{:?}", last);
        prop_assert!(!last.pause && !last.give_up, "{:?}", last);
    }
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

#[test]
fn each_limiter_says_why_in_words_with_reading_and_bound() {
    fn check(change: impl Fn(&mut Sight), seconds: i64, limiter: Limiter, words: &str) {
        let (mut governor, law) = (Governor::default(), Law::new(POOL));
        let mut calm = sight(&fine());
        calm.disks[0].total = Bytes::gib(64);
        (0..60).for_each(|at| drop(governor.step(&calm, &law, Timestamp(at * SECOND))));
        let mut bad = calm;
        change(&mut bad);
        let decisions =
            (60..60 + seconds).map(|at| governor.step(&bad, &law, Timestamp(at * SECOND)));
        let last = decisions.last().expect("decided");
        let bound = last.binding().unwrap_or_else(|| panic!("nothing binds: {last:?}"));
        assert_eq!(bound.limiter, limiter, "{bound:?}");
        assert!(bound.reading.contains(words), "{:?} does not say {words:?}", bound.reading);
        assert!(bound.slots < POOL);
    }
    let hot = |sight: &mut Sight| (sight.heats[0].celsius, sight.running) = (Some(81.0), 8);
    check(hot, 120, Limiter::Thermal, "cpu 81.0 °C of 80");
    let full = |sight: &mut Sight| {
        sight.memory = sight.memory.map(|memory| Memory { available: Bytes::mib(100), ..memory });
    };
    check(full, 5, Limiter::Memory, "100 MiB available of at least 819.2 MiB");
    let pressed = |sight: &mut Sight| {
        sight.memory = sight.memory.map(|memory| Memory {
            available: Bytes(memory.total.0 / 5),
            some: Some(30.0),
            ..memory
        });
    };
    check(pressed, 40, Limiter::Memory, "memory pressure some 30.0 % of 10");
    check(|sight| sight.flush_millis = Some(900.0), 60, Limiter::Io, "ms, usually");
    check(|sight| sight.power.supply = Some(Supply::Battery), 1, Limiter::Power, "on battery");
    check(
        |sight| sight.disks[0].free = Bytes::mib(300),
        1,
        Limiter::Disk,
        "300 MiB free of 64 GiB",
    );
    check(|sight| sight.disks[0].read_only = true, 1, Limiter::Disk, "read-only");
    check(|sight| sight.disks[0].inodes_free = Some(0.5), 1, Limiter::Disk, "0.5 % of its inodes");
    check(|sight| sight.disks[0].wear = Some(104.0), 1, Limiter::Disk, "worn to 104 %");
    check(|sight| sight.cpu_busy = Some(1.0), 120, Limiter::Cpu, "processor 100 % of 70");
}

#[test]
fn pressure_with_memory_to_spare_holds_nobody_back() {
    let (mut governor, law) = (Governor::default(), Law::new(POOL));
    let mut stalled = sight(&fine());
    let plenty = |memory: Memory| Memory {
        available: Bytes(memory.total.0 / 2),
        some: Some(60.0),
        full: Some(40.0),
        ..memory
    };
    stalled.memory = stalled.memory.map(plenty);
    let last = (0..120).map(|at| governor.step(&stalled, &law, Timestamp(at * SECOND))).last();
    assert_eq!(last.expect("decided").slots, POOL);
}

#[test]
fn a_nearly_empty_battery_stops_all_and_mains_come_back_slowly() {
    let (mut governor, law) = (Governor::default(), Law::new(POOL));
    let mut decide = |at: i64, supply| {
        let mut sight = sight(&fine());
        sight.power.supply = Some(supply);
        governor.step(&sight, &law, Timestamp(at * SECOND))
    };
    assert_eq!(decide(0, Supply::Mains).slots, POOL);
    assert_eq!(decide(1, Supply::Battery).slots, 1);
    let low = decide(2, Supply::Low);
    assert!(low.slots == 0 && low.pause && !low.give_up, "{low:?}");
    assert_eq!(decide(3, Supply::Mains).slots, 1, "mains that are just back are not trusted yet");
    let later = (4..70).map(|at| decide(at, Supply::Mains)).last().expect("decided");
    assert_eq!(later.slots, POOL);
}
