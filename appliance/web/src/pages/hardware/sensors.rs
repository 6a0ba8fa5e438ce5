//! Every reading, by what it is of: its value, how far it can be trusted, and where it comes from.
//!
//! What this machine does not have is left out; what it had and cannot be read is told.

use base::{
    reading::{
        ClockState, Disk, Fan, Link, LinkState, Quality, Reading, Readings, Stall, Supply, Thermal,
    },
    units::Bytes,
};
use maud::{Markup, html};
use std::fmt::Display;

pub(super) fn all(readings: &Readings) -> Markup {
    let groups = [
        ("Heat", heat(readings)),
        ("Power", power(readings)),
        ("Load and memory", load(readings)),
        ("Disks", readings.disks.iter().flat_map(disk).collect()),
        ("Network", network(readings)),
        ("Clock", vec![clock(readings)]),
    ];
    html! {
        @if !readings.troubles.is_empty() {
            section {
                h2 { "Trouble on the network" }
                ul.held { @for trouble in &readings.troubles {
                    li { b { (trouble.place) } " " span.pill.bad { (trouble.kind.as_str()) } p { (trouble.words) } }
                } }
            }
        }
        section {
            h2 { "Sensors" }
            div.scroll { table.sensors {
                thead { tr { th { "What" } th { "Value" } th { "Where" } } }
                @for (name, rows) in groups {
                    @let rows: Vec<_> = rows.into_iter().flatten().collect();
                    @if !rows.is_empty() {
                        tbody { tr { th.group colspan="3" scope="rowgroup" { (name) } }
                            @for row in rows { (row) } }
                    }
                }
            } }
        }
    }
}

type Row = Option<Markup>;

/// A line for a reading; none for what this machine does not have.
fn row<T>(what: &str, reading: &Reading<T>, tell: impl FnOnce(&T) -> String) -> Row {
    (reading.quality != Quality::Absent).then(|| {
        html! {
            tr {
                td { (what) }
                td.nowrap {
                    (reading.value.as_ref().map_or_else(|| "–".to_owned(), tell))
                    @if reading.quality != Quality::Good {
                        " " span.pill.bad { (reading.quality) }
                        @if reading.value.is_some() && reading.age.as_secs() > 0 {
                            span.faint { (reading.age.as_secs()) " s old" }
                        }
                    }
                }
                td.faint { (reading.source.device) }
            }
        }
    })
}

fn plain<T: Display>(what: &str, reading: &Reading<T>) -> Row {
    row(what, reading, T::to_string)
}

fn heat(readings: &Readings) -> Vec<Row> {
    let mut rows: Vec<Row> = readings.thermal.iter().map(thermal).collect();
    rows.extend(readings.fans.iter().map(fan));
    rows.extend(
        readings
            .cooling
            .iter()
            .map(|one| row(&one.kind, &one.state, |state| format!("step {state} of {}", one.max))),
    );
    let throttle = &readings.throttle;
    let now = if throttle.active { ", now" } else { "" };
    rows.push(row("Slowed by the hardware", &throttle.events, |events| {
        format!("{events} times{now}")
    }));
    rows
}

fn thermal(one: &Thermal) -> Row {
    let limit = [("limit", one.passive.or(one.max)), ("critical", one.critical)];
    let limits: String = limit
        .into_iter()
        .filter_map(|(word, limit)| Some(format!(", {word} {}", limit?)))
        .collect();
    let alarm = if one.alarm { ", alarm" } else { "" };
    let label = one.temperature.source.label.to_string();
    row(&label, &one.temperature, |celsius| format!("{celsius}{limits}{alarm}"))
}

fn fan(fan: &Fan) -> Row {
    let drive = fan.drive.map_or(String::new(), |drive| format!(", driven at {} %", drive.get()));
    let failed = if fan.failed { ", failed" } else { "" };
    let label = fan.speed.source.label.to_string();
    row(&label, &fan.speed, |speed| format!("{speed}{drive}{failed}"))
}

fn power(readings: &Readings) -> Vec<Row> {
    let power = &readings.power;
    let mut rows = vec![row("Supply", &power.supply, |supply| {
        let word = match supply {
            Supply::Mains => "mains",
            Supply::Battery => "battery",
            Supply::BatteryLow => "battery, nearly empty",
        };
        word.to_owned()
    })];
    rows.push(plain("Charge", &power.charge));
    rows.push(row("Lasts", &power.runtime, |span| format!("{} min", span.0.as_secs() / 60)));
    rows.extend(power.draws.iter().map(|draw| plain(&draw.source.label, draw)));
    rows
}

fn load(readings: &Readings) -> Vec<Row> {
    let memory = &readings.memory;
    let mut rows = vec![
        plain("Processor", &readings.busy),
        row("Memory free", &memory.available, |free| format!("{free} of {}", memory.total)),
    ];
    let pressure = &readings.pressure;
    let all = [("processor", &pressure.cpu), ("memory", &pressure.memory), ("disk", &pressure.io)];
    rows.extend(all.map(|(what, stall)| row(&format!("Waits for {what}"), stall, waits)));
    rows.extend(memory.ecc.iter().flat_map(|ecc| {
        let times = |count: &u64| format!("{count} errors");
        [
            row("Memory, mended", &ecc.corrected, times),
            row("Memory, not mended", &ecc.uncorrected, times),
        ]
    }));
    rows
}

fn waits(stall: &Stall) -> String {
    format!("{} of the time, all at once {}", stall.some.avg10, stall.full.avg10)
}

fn disk(disk: &Disk) -> Vec<Row> {
    let state = if disk.read_only { ", read-only" } else { "" };
    let mount = &disk.mount;
    let mut rows = vec![row(mount, &disk.free, |free: &Bytes| {
        format!("{free} free of {}{state}", disk.total)
    })];
    let millis = |span: &base::units::Span| format!("{:.1} ms", span.0.as_secs_f64() * 1e3);
    rows.push(row(&format!("{mount}, a request takes"), &disk.latency, millis));
    let wear = disk.wear.as_ref();
    rows.extend(wear.map(|wear| plain(&format!("{mount}, used life"), &wear.used)));
    rows.push(health(disk));
    rows
}

/// What a disk says of itself beside its age; none for one that says nothing.
fn health(disk: &Disk) -> Row {
    let wear = disk.wear.as_ref();
    let spare =
        wear.and_then(|wear| wear.spare).map(|spare| format!("{spare} of its reserve left"));
    let errors = wear.and_then(|wear| wear.media_errors);
    let errors = errors.map(|errors| format!("{errors} errors of the medium"));
    let words: Vec<String> = spare.into_iter().chain(errors).collect();
    let warnings = wear.map_or(&[][..], |wear| &wear.warnings);
    let state = disk.controller.as_deref().filter(|state| *state != "live");
    (!words.is_empty() || !warnings.is_empty() || state.is_some()).then(|| {
        html! {
            tr {
                td { (disk.mount) ", health" }
                td.nowrap {
                    (words.join(", "))
                    @for warning in warnings { " " span.pill.bad { (warning.words()) } }
                    @if let Some(state) = state { " " span.pill.bad { "controller " (state) } }
                }
                td.faint { (disk.device) }
            }
        }
    })
}

fn network(readings: &Readings) -> Vec<Row> {
    let mut rows: Vec<Row> = readings.links.iter().map(link).collect();
    rows.push(plain("Lost segments", &readings.transport.loss));
    let millis = |span: &base::units::Span| format!("{:.0} ms", span.0.as_secs_f64() * 1e3);
    rows.push(row("Round trip", &readings.transport.rtt, millis));
    rows
}

fn link(link: &Link) -> Row {
    let speed = link.speed_mbit.map_or(String::new(), |speed| format!(", {speed} Mbit/s"));
    row(&link.name, &link.state, |state| {
        let word = match state {
            LinkState::Up => "up",
            LinkState::NoCarrier => "no carrier",
            LinkState::Down => "down",
            LinkState::Unknown => "unknown",
        };
        let errors = match link.totals.errors {
            0 => String::new(),
            errors => format!(", {errors} errors"),
        };
        format!("{word}{speed}, MTU {}{errors}", link.mtu)
    })
}

fn clock(readings: &Readings) -> Row {
    row("Clock", &readings.clock.state, |state| match (state, readings.clock.max_error) {
        (ClockState::Unsynchronised, _) => "kept by nobody".to_owned(),
        (ClockState::Synchronised, None) => "kept by a time source".to_owned(),
        (ClockState::Synchronised, Some(error)) => {
            format!("kept by a time source, within {error}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{reading::Source, time::Timestamp, units::Share};
    use std::time::Duration;

    #[test]
    fn what_is_bad_is_told_with_its_age_and_what_is_absent_is_left_out() {
        let mut readings = Readings::empty(Timestamp(0));
        readings.power.charge = Reading {
            quality: Quality::Lost,
            age: Duration::from_secs(12),
            ..Reading::good(Source::new("power", "charge"), Share(42.0))
        };
        let page = all(&readings).into_string();
        assert!(
            page.contains("42.0 %") && page.contains("lost") && page.contains("12 s old"),
            "{page}"
        );
        assert!(!page.contains("Supply") && !page.contains("Heat"), "{page}");
    }
}
