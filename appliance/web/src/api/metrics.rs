//! `/metrics`: how busy the service is and how the machine is.
//!
//! Source of the form: Prometheus text exposition format 0.0.4; names end in their base unit, as
//! Prometheus asks. Invariants: pure; a reading that is not good is left out, because a scraper
//! takes an old value for a new one.

mod machine;

use crate::CertificateEnd;
use base::{ids::Cursor, reading::Source};
use engine::{Status, govern::Governed};
use std::fmt::Write;

/// The text under construction.
pub(super) struct Page(pub(super) String);

impl Page {
    /// One metric; `rows` are labels (`{a="b"}` or nothing) and values.
    pub(super) fn metric<L: AsRef<str>>(
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

    pub(super) fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.metric((name, "gauge", help), [("", value)]);
    }
}

/// A label's value, escaped.
fn label(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("{name}=\"{value}\"")
}

pub(super) fn labels(pairs: &[(&str, &str)]) -> String {
    let all: Vec<String> = pairs.iter().map(|(name, value)| label(name, value)).collect();
    format!("{{{}}}", all.join(","))
}

fn of_source(source: &Source) -> String {
    labels(&[("sensor", &source.label), ("device", &source.device)])
}

#[expect(clippy::cast_precision_loss, reason = "metrics are floating-point")]
pub(super) const fn number(count: u64) -> f64 {
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
        machine::heat(&mut page, readings);
        machine::power(&mut page, readings);
        machine::load(&mut page, readings);
        machine::disks(&mut page, readings);
        machine::network(&mut page, readings);
    }
    page.0
}

/// When certificates end.
pub(super) fn certificates(ends: &[CertificateEnd]) -> String {
    let mut page = Page(String::new());
    let help = "End of a certificate that this site shows, in seconds since 1970.";
    let rows = ends.iter().map(|end| {
        let labels = labels(&[("certificate", &end.certificate), ("subject", &end.subject)]);
        (labels, number(u64::try_from(end.at.0 / 1_000_000).unwrap_or(0)))
    });
    page.metric(("appliance_certificate_not_after_seconds", "gauge", help), rows);
    page.0
}

/// How telling goes, of all webhooks of projects.
pub(super) fn deliveries(waiting: u64, lost: u64) -> String {
    let mut page = Page(String::new());
    let help = "Deliveries to webhooks of projects that wait to be sent.";
    page.gauge("appliance_webhook_deliveries_waiting", help, number(waiting));
    let help = "Deliveries to webhooks of projects that were given up since the start.";
    let lost = [("", number(lost))].into_iter();
    page.metric(("appliance_webhook_deliveries_lost_total", "counter", help), lost);
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

#[cfg(test)]
mod tests {
    use super::*;
    use base::{
        reading::{
            Link, LinkState, LinkTotals, Quality, Reading, Readings, Thermal, ThermalKind, Traffic,
        },
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

    #[test]
    fn the_end_of_a_certificate_is_a_time() {
        let end = CertificateEnd {
            certificate: "server".into(),
            subject: "CN=box".into(),
            at: Timestamp(1_800_000_000_500_000),
        };
        let row = r#"appliance_certificate_not_after_seconds{certificate="server",subject="CN=box"} 1800000000"#;
        assert!(certificates(&[end]).ends_with(&format!(" gauge\n{row}\n")));
        assert_eq!(certificates(&[]), "");
    }

    #[test]
    fn names_and_kinds_are_those_that_scrapers_expect() {
        let mut readings = Readings::empty(Timestamp(0));
        readings.links.push(Link {
            name: "wan0".into(),
            state: Reading::good(Source::new("wan0", "operstate"), LinkState::Up),
            speed_mbit: Some(1000),
            duplex: None,
            mtu: 1400,
            flaps: 0,
            traffic: Traffic::default(),
            totals: LinkTotals {
                rx_bytes: 70,
                crc_errors: 2,
                carrier_changes: 4,
                ..LinkTotals::default()
            },
        });
        let governed = Governed {
            readings: Some(Arc::new(readings)),
            limit: 80.0,
            decision: Decision::open(4),
            running: 1,
            waiting: 0,
        };
        let text = text(&Status::default(), Cursor(3), &governed, (2, 5000));
        for row in [
            r#"appliance_network_receive_bytes_total{device="wan0"} 70"#,
            r#"appliance_network_crc_errors_total{device="wan0"} 2"#,
            r#"appliance_network_carrier_changes_total{device="wan0"} 4"#,
            r#"appliance_network_speed_bytes{device="wan0"} 125000000"#,
            r#"appliance_network_up{device="wan0"} 1"#,
        ] {
            assert!(text.lines().any(|line| line == row), "{row} is not in {text}");
        }
        let lines: Vec<&str> = text.lines().collect();
        for (help, kind) in lines.iter().zip(&lines[1..]).filter(|(a, _)| a.starts_with("# HELP")) {
            let words: Vec<&str> = kind.split(' ').collect();
            let [_, "TYPE", name, kind] = words[..] else { panic!("{help} has no type") };
            assert!(help.starts_with(&format!("# HELP {name} ")), "{help}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name} is a {kind}");
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            );
        }
    }
}
