//! The ways in which sensors fail, each with its consequence: never a crash, never full speed,
//! never a full stop.

use super::*;
use base::reading::Quality;

const POOL: u32 = 8;
const SAFE: u32 = 2;

fn heat(name: &str, celsius: Option<f64>) -> Heat {
    Heat {
        name: name.into(),
        chip: name.into(),
        celsius,
        quality: Quality::Good,
        is_processor: name == "cpu",
        own_limit: None,
    }
}

struct Bench {
    governor: Governor,
    law: Law,
    at: i64,
}

impl Bench {
    /// A box whose sensor has shown sound values for a minute.
    fn sound() -> Self {
        let mut this = Self { governor: Governor::default(), law: Law::new(POOL), at: 0 };
        for second in 0..60 {
            this.one(vec![heat("cpu", Some(50.0 + f64::from(second % 2)))], 0.3);
        }
        this
    }

    fn one(&mut self, heats: Vec<Heat>, busy: f64) -> Decision {
        self.at += 1_000_000;
        let sight = Sight { heats, cpu_busy: Some(busy.min(0.69)), running: 3, ..Sight::default() };
        self.governor.step(&sight, &self.law, Timestamp(self.at))
    }

    fn shows(&mut self, celsius: Option<f64>, seconds: u32) -> Decision {
        let mut last = Decision::open(POOL);
        for _ in 0..seconds {
            last = self.one(vec![heat("cpu", celsius)], 0.3);
        }
        last
    }
}

/// The fault lasts: the last good value for ten seconds, then the safe slots; and full speed when
/// it is over.
fn check_lost(fault: Option<f64>) {
    let mut this = Bench::sound();
    let during = this.shows(fault, 9);
    assert_eq!(during.slots, POOL, "{fault:?}: the last good value serves at first");
    let after = this.shows(fault, 5);
    assert_eq!(after.slots, SAFE, "{fault:?}: neither full speed nor a stop");
    assert!((0.1..=0.5).contains(&after.quota) && !after.pause, "{fault:?}: {after:?}");
    let told = after.binding().expect("it binds").reading.clone();
    assert!(told.contains("cpu gives no reading"), "{told}");
    assert_eq!(this.shows(Some(51.0), 2).slots, POOL, "{fault:?}: over");
}

#[test]
fn a_missing_reading() {
    check_lost(None);
}

#[test]
fn a_device_that_answers_with_an_error() {
    // EIO, EAGAIN and ENODATA reach the law as a missing value.
    check_lost(None);
    let mut this = Bench::sound();
    for second in 0..120 {
        let celsius = (second % 7 != 0).then_some(52.0);
        assert_eq!(this.one(vec![heat("cpu", celsius)], 0.3).slots, POOL, "an error now and then");
    }
}

#[test]
fn a_read_that_blocks_for_ten_seconds() {
    // The sampler goes on without it; nine seconds of that are bridged.
    let mut this = Bench::sound();
    assert_eq!(this.shows(None, 9).slots, POOL);
    assert_eq!(this.shows(Some(50.0), 1).slots, POOL);
}

#[test]
fn minus_273() {
    check_lost(Some(-273.0));
    check_lost(Some(-273.15));
}

#[test]
fn a_bare_zero() {
    check_lost(Some(0.0));
    // Where it is cold, zero is a temperature.
    let mut this = Bench::sound();
    for celsius in (0..51).rev() {
        assert_eq!(this.shows(Some(f64::from(celsius)), 1).slots, POOL, "{celsius}");
    }
    assert_eq!(this.shows(Some(0.0), 60).slots, POOL);
}

#[test]
fn the_codes_127_128_and_255() {
    check_lost(Some(127.0));
    check_lost(Some(128.0));
    check_lost(Some(255.0));
    check_lost(Some(-128.0));
}

#[test]
fn a_unit_wrong_by_a_thousand() {
    check_lost(Some(52_000.0));
    check_lost(Some(0.052));
}

#[test]
fn no_number() {
    check_lost(Some(f64::NAN));
    check_lost(Some(f64::INFINITY));
    check_lost(Some(f64::NEG_INFINITY));
}

/// Half a minute beside a sensor that never spoke, from the start; what is said when slots are few.
fn check_never_spoke(silent: &Heat, beside: Option<&Heat>, said: Option<&str>) {
    let mut this = Bench { governor: Governor::default(), law: Law::new(POOL), at: 0 };
    let mut one = || {
        let heats = [Some(silent), beside].into_iter().flatten().cloned().collect();
        this.one(heats, 0.3)
    };
    (0..29).for_each(|_| assert_eq!(one().slots, POOL, "it may take a while to begin"));
    let decision = one();
    assert_eq!(decision.slots, if said.is_some() { SAFE } else { POOL }, "{decision:?}");
    assert_eq!(decision.quota <= 0.5, said.is_some(), "{decision:?}");
    assert_eq!(decision.binding().map(|bound| bound.reading.as_str()), said);
}

#[test]
fn a_processor_whose_sensor_has_never_spoken_gets_the_safe_values() {
    let silent = |name: &str, quality| Heat { quality, ..heat(name, None) };
    let cpu = silent("cpu", Quality::Failed);
    check_never_spoke(&cpu, None, Some("cpu has never given a reading (failed)"));
    let wrong = silent("cpu", Quality::Implausible);
    check_never_spoke(&wrong, None, Some("cpu has never given a reading (implausible)"));
    let disk = heat("nvme", Some(40.0));
    check_never_spoke(&cpu, Some(&disk), Some("cpu has never given a reading (failed)"));
    let core = Heat { is_processor: true, ..heat("core", Some(40.0)) };
    check_never_spoke(&cpu, Some(&core), None);
    let sibling = Heat { chip: "cpu".into(), ..heat("board", Some(40.0)) };
    check_never_spoke(&cpu, Some(&sibling), None);
    check_never_spoke(&silent("acpitz", Quality::Failed), None, None);
    check_never_spoke(&silent("cpu", Quality::Lost), None, None);
}

#[test]
fn a_processors_sensor_that_begins_to_speak_opens_the_slots() {
    let mut this = Bench { governor: Governor::default(), law: Law::new(POOL), at: 0 };
    let silent = Heat { quality: Quality::Failed, ..heat("cpu", None) };
    let last = (0..40).map(|_| this.one(vec![silent.clone()], 0.3)).last();
    assert_eq!(last.map(|decision| decision.slots), Some(SAFE));
    assert_eq!(this.shows(Some(50.0), 2).slots, POOL);
}

#[test]
fn a_stuck_sensor_beside_a_changing_load() {
    let mut this = Bench::sound();
    let mut last = Decision::open(POOL);
    for second in 0..1500 {
        let busy = if second / 300 % 2 == 0 { 0.02 } else { 0.68 };
        last = this.one(vec![heat("cpu", Some(45.0))], busy);
    }
    assert_eq!(last.slots, SAFE);
    let told = &last.binding().expect("it binds").reading;
    assert!(told.contains("stands at 45.0 °C whatever the load is"), "{told}");
    assert_eq!(this.shows(Some(46.0), 2).slots, POOL, "it moves again");
    let mut idle = Bench::sound();
    assert_eq!(idle.shows(Some(45.0), 7200).slots, POOL, "a box at rest is not stuck");
}

#[test]
fn a_firmware_zone_that_never_moves_is_no_sensor() {
    let mut this = Bench::sound();
    let mut last = Decision::open(POOL);
    for second in 0..1500 {
        let busy = if second / 300 % 2 == 0 { 0.02 } else { 0.68 };
        let moving = 50.0 + f64::from(second % 3);
        last = this.one(vec![heat("acpitz", Some(27.8)), heat("cpu", Some(moving))], busy);
    }
    assert_eq!(last.slots, POOL, "{last:?}");
}

#[test]
fn a_swapped_label_is_another_sensor_and_the_old_one_is_missed() {
    let mut this = Bench::sound();
    let mut last = Decision::open(POOL);
    for _ in 0..15 {
        last = this.one(vec![heat("board", Some(40.0))], 0.3);
    }
    assert_eq!(last.slots, SAFE, "the known one is lost");
    assert!(last.binding().is_some_and(|bound| bound.reading.contains("cpu gives no reading")));
}

#[test]
fn a_renumbered_device_is_the_same_sensor() {
    // Names come from device and label: the order in which they are told does not matter.
    let mut this = Bench::sound();
    for second in 0..30 {
        let mut heats = vec![heat("cpu", Some(50.0)), heat("nvme", Some(40.0))];
        if second % 2 == 0 {
            heats.reverse();
        }
        assert_eq!(this.one(heats, 0.3).slots, POOL);
    }
}

#[test]
fn a_sibling_on_the_same_chip_stands_in() {
    let core = |name: &str, celsius| Heat { chip: "coretemp".into(), ..heat(name, celsius) };
    let mut this = Bench::sound();
    this.one(
        vec![heat("cpu", Some(50.0)), core("core 0", Some(50.0)), core("core 1", Some(51.0))],
        0.3,
    );
    let mut last = Decision::open(POOL);
    for _ in 0..30 {
        last = this.one(
            vec![heat("cpu", Some(50.0)), core("core 0", None), core("core 1", Some(51.0))],
            0.3,
        );
    }
    assert_eq!(last.slots, POOL, "{last:?}");
}

#[test]
fn a_fall_that_no_metal_knows_is_refused_and_a_rise_is_believed() {
    let mut this = Bench::sound();
    (0..40).for_each(|_| drop(this.one(vec![heat("cpu", Some(84.0))], 0.3)));
    let fallen = this.shows(Some(20.0), 1);
    assert!(fallen.quota < 0.5, "one cold reading does not open everything: {fallen:?}");
    let mut this = Bench::sound();
    let hot = this.shows(Some(96.0), 10);
    assert!(hot.pause, "{hot:?}");
}

#[test]
fn a_sensor_that_is_lost_behind_a_closed_guard_leaves_the_safe_values() {
    let mut this = Bench::sound();
    assert!(this.shows(Some(96.0), 30).pause);
    assert!(this.shows(None, 9).pause, "the last good value still serves");
    let lost = this.shows(None, 5);
    assert!(!lost.pause && lost.slots >= 1 && lost.slots <= SAFE, "{lost:?}");
    assert!((0.1..=0.5).contains(&lost.quota), "{lost:?}");
    let later = this.shows(None, 600);
    assert!(!later.pause && !later.give_up && later.slots >= 1, "no job is lost to it: {later:?}");
    assert!(this.shows(Some(96.0), 2).pause, "it is back, and as hot");
}

#[test]
fn a_counter_that_wrapped() {
    // Counters become rates where they are read; the largest there is must not overflow here.
    let (mut governor, law) = (Governor::default(), Law::new(POOL));
    let links = vec![Link { name: "eth0".into(), up: true, half_duplex: false, flaps: u32::MAX }];
    let network = Network { links, timeouts: u64::MAX, ..Network::default() };
    let sight = Sight { network, ..Sight::default() };
    let decision = governor.step(&sight, &law, Timestamp(i64::MAX));
    assert_eq!((decision.network_slots, decision.slots), (1, POOL));
}

#[test]
fn a_fan_that_stands_still_lowers_the_limit_at_once() {
    let mut this = Bench::sound();
    (0..120).for_each(|_| drop(this.one(vec![heat("cpu", Some(77.0))], 0.3)));
    this.at += 1_000_000;
    let sight = Sight {
        heats: vec![heat("cpu", Some(77.0))],
        failed_fan: Some("fan1".into()),
        running: 8,
        ..Sight::default()
    };
    let decision = this.governor.step(&sight, &this.law, Timestamp(this.at));
    assert!(decision.quota < 0.8, "{decision:?}");
    assert!(decision.bounds[0].reading.contains("fan fan1 stands still"), "{decision:?}");
}

#[test]
fn memory_disks_power_and_load_that_are_lost_fall_to_safe_values() {
    let full = Sight {
        memory: Some(Memory {
            available: Bytes::gib(4),
            total: Bytes::gib(8),
            some: None,
            full: None,
        }),
        power: Power { supply: Some(Supply::Mains), is_silent: false, watts: None },
        disks: vec![Disk {
            name: "/".into(),
            free: Bytes::gib(40),
            total: Bytes::gib(64),
            inodes_free: None,
            read_only: false,
            wear: None,
        }],
        cpu_busy: Some(0.2),
        ..Sight::default()
    };
    fn check(full: &Sight, lose: impl Fn(&mut Sight), limiter: Limiter) {
        let (mut governor, law) = (Governor::default(), Law::new(POOL));
        for at in 0..20 {
            assert_eq!(governor.step(full, &law, Timestamp(at * 1_000_000)).slots, POOL);
        }
        let mut lost = full.clone();
        lose(&mut lost);
        let last = (20..35).map(|at| governor.step(&lost, &law, Timestamp(at * 1_000_000))).last();
        let last = last.expect("decided");
        assert_eq!(last.slots, SAFE, "{last:?}");
        let bound = last.binding().expect("it binds");
        assert_eq!(bound.limiter, limiter);
        assert!(bound.reading.contains("no reading any more"), "{bound:?}");
    }
    check(&full, |sight| sight.memory = None, Limiter::Memory);
    check(&full, |sight| sight.power.supply = None, Limiter::Power);
    check(&full, |sight| sight.disks.clear(), Limiter::Disk);
    check(&full, |sight| sight.cpu_busy = None, Limiter::Cpu);
}
