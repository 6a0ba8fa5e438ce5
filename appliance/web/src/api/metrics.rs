//! `/metrics`: how busy the service is and how the machine is.
//!
//! Source of the form: Prometheus text exposition format 0.0.4; names end in their base unit, as
//! Prometheus asks. Invariants: pure; a reading that is not good is left out, because a scraper
//! takes an old value for a new one.

use base::{
    ids::Cursor,
    reading::{Readings, Source, Stall},
};
use engine::{Status, govern::Governed};
use std::fmt::Write;

/// The text under construction.
struct Page(String);

impl Page {
    /// One metric; `rows` are labels (`{a="b"}` or nothing) and values.
    fn metric<L: AsRef<str>>(
        &mut self,
        (name, kind, help): (&str, &str, &str),
        rows: impl IntoIterator<Item = (L, f64)>,
    ) {
        let mut rows = rows.into_iter().filter(|(_, value)| value.is_finite()).peekable();
        if rows.peek().is_none() {
            return;
        }
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in rows {
            let _ = writeln!(self.0, "{name}{} {value}", labels.as_ref());
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.metric((name, "gauge", help), [("", value)]);
    }
}

/// A label's value, escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let all: Vec<String> = pairs.iter().map(|(name, value)| label(name, value)).collect();
    format!("{{{}}}", all.join(","))
}

fn of_source(source: &Source) -> String {
    labels(&[("sensor", &source.label), ("device", &source.device)])
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
const fn number(count: u64) -> f64 {
    count as f64
}

/// The whole page. `flushes` are commits and the microseconds they took.
pub(super) fn text(
    status: &Status,
    last: Cursor,
    governed: &Governed,
    (commits, micros): (u64, u64),
) -> String {
    let mut page = Page(String::new());
    let runners = status.runners.iter().filter(|runner| runner.seen_at.is_some()).count();
    page.gauge(
        "appliance_tasks_waiting",
        "Tasks that wait for a runner.",
        number(status.waiting as u64),
    );
    page.gauge(
        "appliance_tasks_leased",
        "Tasks in the hands of runners.",
        f64::from(status.leased),
    );
    page.gauge("appliance_slots", "Tasks that may run at once.", f64::from(status.slots));
    page.gauge("appliance_runners", "Runners heard since the start.", number(runners as u64));
    let events = ("appliance_events_total", "counter", "Events in the log.");
    page.metric(events, [("", number(last.0))]);
    let count = ("appliance_commits_total", "counter", "Commits of the database.");
    page.metric(count, [("", number(commits))]);
    let spent = ("appliance_commit_seconds_total", "counter", "Time spent in commits.");
    page.metric(spent, [("", number(micros) / 1e6)]);
    govern(&mut page, governed);
    if let Some(readings) = governed.readings.as_deref() {
        heat(&mut page, readings);
        machine(&mut page, readings);
        network(&mut page, readings);
    }
    page.0
}

fn govern(page: &mut Page, governed: &Governed) {
    let decision = &governed.decision;
    page.gauge(
        "appliance_slots_pool",
        "Tasks that might run on the best of days.",
        decision.pool.into(),
    );
    let help = "Tasks that each limiter allows.";
    let rows = decision
        .bounds
        .iter()
        .map(|bound| (labels(&[("limiter", bound.limiter.as_str())]), f64::from(bound.slots)));
    page.metric(("appliance_limiter_slots", "gauge", help), rows);
    page.gauge(
        "appliance_build_cpu_quota_ratio",
        "Share of CPU time that jobs get.",
        decision.quota,
    );
    page.gauge(
        "appliance_jobs_paused",
        "1 while jobs stand still.",
        f64::from(u8::from(decision.pause)),
    );
    page.gauge(
        "appliance_network_slots",
        "Network tasks that may run at once.",
        decision.network_slots.into(),
    );
    page.gauge(
        "appliance_sync_budget_ratio",
        "Share of the link for bulk transfer.",
        decision.sync_share,
    );
    let headroom =
        ("appliance_thermal_headroom_celsius", "gauge", "Degrees to the limit in half a minute.");
    page.metric(headroom, decision.headroom.map(|headroom| ("", headroom)));
}

fn heat(page: &mut Page, readings: &Readings) {
    let rows = readings.thermal.iter().filter_map(|one| {
        let celsius = one.temperature.fresh()?.0;
        Some((of_source(&one.temperature.source), celsius))
    });
    page.metric(("appliance_temperature_celsius", "gauge", "Temperatures."), rows);
    let rows = readings
        .fans
        .iter()
        .filter_map(|fan| Some((of_source(&fan.speed.source), fan.speed.fresh()?.0)));
    page.metric(("appliance_fan_rpm", "gauge", "Turns of fans in a minute."), rows);
    let rows = readings.throttle.events.fresh().map(|events| ("", number(*events)));
    let help = "Times that the hardware slowed itself down.";
    page.metric(("appliance_hardware_throttle_events_total", "counter", help), rows);
    let rows = readings
        .power
        .draws
        .iter()
        .filter_map(|draw| Some((of_source(&draw.source), draw.fresh()?.0)));
    page.metric(("appliance_power_watts", "gauge", "Draw by meter."), rows);
}

fn machine(page: &mut Page, readings: &Readings) {
    let busy = readings.busy.fresh().map(|busy| ("", busy.0 / 100.0));
    page.metric(("appliance_cpu_busy_ratio", "gauge", "Busy share of the processor."), busy);
    let available = readings.memory.available.fresh().map(|free| ("", number(free.0)));
    let help = "Memory that new work can have.";
    page.metric(("appliance_memory_available_bytes", "gauge", help), available);
    page.gauge("appliance_memory_total_bytes", "All memory.", number(readings.memory.total.0));
    let pressure = &readings.pressure;
    let all = [("cpu", &pressure.cpu), ("memory", &pressure.memory), ("io", &pressure.io)];
    let rows = all.into_iter().filter_map(|(resource, stall)| Some((resource, stall.fresh()?)));
    let rows = rows.flat_map(|(resource, stall)| stalls(resource, stall));
    let help = "Share of time that tasks waited, over ten seconds.";
    page.metric(("appliance_pressure_ratio", "gauge", help), rows);
    let rows = readings
        .disks
        .iter()
        .filter_map(|disk| Some((labels(&[("mount", &disk.mount)]), number(disk.free.fresh()?.0))));
    page.metric(("appliance_disk_free_bytes", "gauge", "Free space."), rows);
    let rows =
        readings.disks.iter().map(|disk| (labels(&[("mount", &disk.mount)]), number(disk.total.0)));
    page.metric(("appliance_disk_size_bytes", "gauge", "Size of file systems."), rows);
}

fn stalls(resource: &str, stall: &Stall) -> [(String, f64); 2] {
    let row = |kind, share: f64| (labels(&[("resource", resource), ("kind", kind)]), share / 100.0);
    [row("some", stall.some.avg10.0), row("full", stall.full.avg10.0)]
}

fn network(page: &mut Page, readings: &Readings) {
    let rows = |of: fn(&base::reading::Traffic) -> u64| {
        let row = move |link: &base::reading::Link| {
            (labels(&[("device", &link.name)]), number(of(&link.traffic)))
        };
        readings.links.iter().map(row).collect::<Vec<_>>()
    };
    let receive = "Bytes in a second, in.";
    page.metric(
        ("appliance_network_receive_bytes_per_second", "gauge", receive),
        rows(|traffic| traffic.rx_bytes_per_s),
    );
    page.metric(
        ("appliance_network_transmit_bytes_per_second", "gauge", "Bytes in a second, out."),
        rows(|traffic| traffic.tx_bytes_per_s),
    );
    let loss = readings.transport.loss.fresh().map(|loss| ("", loss.0 / 100.0));
    page.metric(("appliance_network_loss_ratio", "gauge", "Segments sent twice."), loss);
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{
        reading::{Quality, Reading, Thermal, ThermalKind},
        time::Timestamp,
        units::Celsius,
    };
    use engine::govern::Decision;
    use std::sync::Arc;

    #[test]
    fn a_bad_reading_is_left_out_and_labels_are_escaped() {
        let source = Source::new("devices/\"odd\"", "cpu-thermal");
        let mut thermal = Thermal {
            kind: ThermalKind::Cpu,
            temperature: Reading::good(source, Celsius(61.5)),
            passive: None,
            max: None,
            critical: None,
            alarm: false,
        };
        let mut readings = Readings::empty(Timestamp(0));
        readings.thermal.push(thermal.clone());
        thermal.temperature.quality = Quality::Failed;
        readings.thermal.push(thermal);
        let governed = Governed {
            readings: Some(Arc::new(readings)),
            limit: 80.0,
            decision: Decision::open(4),
            running: 1,
            waiting: 0,
        };
        let text = text(&Status::default(), Cursor(3), &governed, (2, 5000));
        let rows: Vec<&str> =
            text.lines().filter(|line| line.starts_with("appliance_temperature")).collect();
        assert_eq!(
            rows,
            [
                r#"appliance_temperature_celsius{sensor="cpu-thermal",device="devices/\"odd\""} 61.5"#
            ]
        );
        assert!(text.contains("appliance_commit_seconds_total 0.005\n"), "{text}");
        assert!(text.contains("# TYPE appliance_slots_pool gauge\nappliance_slots_pool 4\n"));
    }
}
