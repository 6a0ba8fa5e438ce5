//! What each limiter does and says, one reading at a time.

use super::{
    law_tests::{POOL, SECOND, fine, sight},
    *,
};

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
    check(|sight| sight.flush_millis = Some(900.0), 60, Limiter::Io, ", usually ");
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
fn what_is_well_again_and_still_holds_says_for_how_long() {
    fn check(bad: impl Fn(&mut Sight), limiter: Limiter, words: &str) {
        let (mut governor, law) = (Governor::default(), Law::new(POOL));
        let calm = sight(&fine());
        let mut short = calm.clone();
        bad(&mut short);
        governor.step(&calm, &law, Timestamp(0));
        governor.step(&short, &law, Timestamp(SECOND));
        let told: Vec<Decision> =
            (2..12).map(|at| governor.step(&calm, &law, Timestamp(at * SECOND))).collect();
        let bound = told[9].binding().expect("it still holds");
        assert_eq!(bound.limiter, limiter, "{bound:?}");
        assert!(bound.reading.ends_with(words), "{bound:?}");
    }
    check(|sight| sight.disks[0].read_only = true, Limiter::Disk, ", is well again, opens in 50 s");
    let full = |sight: &mut Sight| {
        sight.memory = sight.memory.map(|memory| Memory { available: Bytes::mib(100), ..memory });
    };
    check(full, Limiter::Memory, ", is well again, opens by one in 50 s");
}

/// The smallest pool, and a disk so slow that a commit ends in one second of five.
#[test]
fn a_slow_disk_leaves_one_slot_and_gives_all_back_when_it_is_quick_or_nobody_writes() {
    fn check(pool: u32, every: i64, after: Option<f64>) {
        let (mut governor, law) = (Governor::default(), Law::new(pool));
        let mut sight = sight(&fine());
        sight.disks[0].total = Bytes::gib(64);
        let mut at = 0;
        let mut drive = |seconds: i64, flush: &dyn Fn(i64) -> Option<f64>| {
            let decisions = (0..seconds).map(|_| {
                at += 1;
                sight.flush_millis = flush(at);
                governor.step(&sight, &law, Timestamp(at * SECOND))
            });
            decisions.last().expect("decided")
        };
        assert_eq!(drive(60, &|_| Some(3.0)).slots, pool);
        let slow = drive(120, &|at| (at % every == 0).then_some(900.0));
        let bound = slow.binding().unwrap_or_else(|| panic!("nothing binds: {slow:?}"));
        assert_eq!((bound.limiter, bound.slots), (Limiter::Io, 1), "{bound:?}");
        let opens = drive(60, &|_| after);
        let told = opens.binding().map_or(", opens one by one", |bound| &bound.reading);
        assert!(told.ends_with(", opens one by one") || after.is_none(), "{told}");
        assert_eq!(drive(400, &|_| after).slots, pool);
    }
    for (pool, every) in [(2, 1), (8, 1), (2, 5), (8, 5)] {
        check(pool, every, Some(3.0));
        check(pool, every, None);
    }
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
fn a_supply_that_has_never_spoken_gets_the_safe_slots_and_one_that_is_not_there_none() {
    let law = Law::new(POOL);
    for (is_silent, says) in [(true, "the supply has never given a reading"), (false, "")] {
        let mut governor = Governor::default();
        let mut sight = sight(&fine());
        (sight.power.supply, sight.power.is_silent) = (None, is_silent);
        let mut one = |at: i64| governor.step(&sight, &law, Timestamp(at * SECOND));
        (0..29).for_each(|at| assert_eq!(one(at).slots, POOL, "it may take a while to begin"));
        let decision = (29..32).map(&mut one).last().expect("decided");
        assert_eq!(decision.slots < POOL, is_silent, "{decision:?}");
        assert_eq!(decision.binding().map_or("", |bound| &bound.reading), says);
    }
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
