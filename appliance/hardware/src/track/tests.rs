//! The fault table of sensors, and what holds for every run of answers.

use super::*;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn thermometer(kind: ThermalKind) -> Thermometer {
    Thermometer::new(Source::new("devices/platform/chip.0", "die"), kind)
}

/// The qualities of a run of answers, one a second; the first is always 45 °C.
fn check(answers: &[Raw<i64>], expected: &[Quality]) {
    let mut sensor = thermometer(ThermalKind::Cpu);
    assert_eq!(sensor.take(Ok(45_000), None, second(0)).quality, Quality::Good);
    let got: Vec<_> = answers
        .iter()
        .zip(1..)
        .map(|(answer, at)| sensor.take(*answer, None, second(at)).quality)
        .collect();
    assert_eq!(got, expected, "{answers:?}");
}

#[test]
fn the_fault_table() {
    use Quality::{Failed, Good, Implausible, Lost, Stale};
    check(&[Ok(46_000)], &[Good]);
    check(&[Err(Miss::Gone)], &[Lost]);
    check(&[Err(Miss::Failed), Ok(45_500)], &[Failed, Good]);
    check(&[Err(Miss::Late); 3], &[Stale; 3]);
    check(&[Ok(-273_000)], &[Implausible]);
    check(&[Ok(0); 5], &[Implausible; 5]);
    check(&[Ok(127_000); 5], &[Implausible; 5]);
    check(&[Ok(255_000); 5], &[Implausible; 5]);
    // Degrees, and millionths, where thousandths are due.
    check(&[Ok(46); 5], &[Implausible; 5]);
    check(&[Ok(46_000_000); 5], &[Implausible; 5]);
    // A fast die is believed at once, a wild jump after three rounds, a single one never.
    check(&[Ok(80_000)], &[Good]);
    check(&[Ok(99_000), Ok(99_500), Ok(98_000)], &[Implausible, Implausible, Good]);
    check(&[Ok(99_000), Ok(46_000)], &[Implausible, Good]);
    check(&[Ok(85_000), Ok(46_000)], &[Implausible, Good]);
    check(&[Ok(i64::MAX), Ok(i64::MIN)], &[Implausible; 2]);
}

#[test]
fn a_temperature_that_ignores_the_load_is_stuck_and_one_of_a_quiet_machine_is_not() {
    let run = |kind, load: fn(u64) -> f64| {
        let mut sensor = thermometer(kind);
        let mut last = Quality::Absent;
        for at in 0..700 {
            last = sensor.take(Ok(52_000), Some(Share(load(at))), second(at)).quality;
        }
        last
    };
    assert_eq!(run(ThermalKind::Cpu, |at| if at < 300 { 5.0 } else { 95.0 }), Quality::Stuck);
    assert_eq!(run(ThermalKind::Cpu, |_| 95.0), Quality::Good);
    assert_eq!(run(ThermalKind::Board, |at| if at < 300 { 5.0 } else { 95.0 }), Quality::Good);
}

#[test]
fn the_last_good_value_is_told_with_its_age() {
    let mut sensor = thermometer(ThermalKind::Cpu);
    sensor.take(Ok(61_500), None, second(5));
    let reading = sensor.take(Err(Miss::Failed), None, second(9));
    assert_eq!((reading.value, reading.age), (Some(Celsius(61.5)), second(4)));
}

fn answers() -> impl Strategy<Value = Vec<(Raw<i64>, u64)>> {
    let raw = prop_oneof![
        6 => (20_000_i64..110_000).prop_map(Ok),
        1 => any::<i64>().prop_map(Ok),
        1 => Just(Err(Miss::Late)),
        1 => Just(Err(Miss::Failed)),
        1 => Just(Err(Miss::Gone)),
    ];
    proptest::collection::vec((raw, 0_u64..5), 1..200)
}

proptest! {
    #[test]
    fn a_good_value_is_in_range_and_a_held_one_was_good(run in answers()) {
        let mut sensor = thermometer(ThermalKind::Cpu);
        let (mut now, mut last) = (0, None);
        for (raw, step) in run {
            now += step;
            let reading = sensor.take(raw, None, second(now));
            if let Some(value) = reading.fresh() {
                prop_assert!((COLDEST..=HOTTEST).contains(&value.0));
                prop_assert!(raw.is_ok());
                last = Some(*value);
            }
            prop_assert_eq!(reading.value, last);
            prop_assert!(reading.age <= second(now));
        }
    }
}
