//! `appliance hardware`: the machine and its governor.

use super::{Code, field};
use crate::{cli::Remote, client::Client, output};
use base::reading::DiskWarning;
use serde::Deserialize;
use serde_json::Value;
use std::{io::IsTerminal, time::Duration};

const PATH: &str = "/api/appliance/v1/hardware";

/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(2);

/// Clears a terminal and goes to its upper left corner.
const CLEAR: &str = "\x1b[H\x1b[2J\x1b[3J";

pub(crate) async fn run(watch: bool, remote: &Remote) -> anyhow::Result<Code> {
    let client = Client::new(remote)?;
    let in_place = watch && !remote.json && std::io::stdout().is_terminal();
    loop {
        let answer: Value = client.get(PATH).await?;
        match (remote.json, watch) {
            // One object a line, for programs that follow.
            (true, true) => output::line(&answer.to_string()),
            (true, false) => output::json(&answer),
            (false, _) => output::raw(text(&answer, in_place).as_bytes()),
        }
        if !watch {
            return Ok(0);
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            _ = tokio::signal::ctrl_c() => return Ok(0),
        }
    }
}

fn text(answer: &Value, in_place: bool) -> String {
    let mut parts = vec![summary(answer) + "\n"];
    let bounds: Vec<_> = list(&answer["limiters"])
        .map(|bound| ["limiter", "slots", "reading"].map(|name| field(bound, name)).to_vec())
        .collect();
    parts.push(output::aligned(&["limiter", "slots", "reading"], &bounds));
    let sensors = sensors(&answer["readings"]);
    if !sensors.is_empty() {
        parts.push(output::aligned(&["sensor", "value", "quality", "from"], &sensors));
    }
    let troubles = list(&answer["readings"]["troubles"]);
    parts.extend(troubles.map(|trouble| field(trouble, "words") + "\n"));
    parts.extend(list(&answer["held"]).map(held));
    let clear = if in_place { CLEAR } else { "" };
    clear.to_owned() + &parts.join("\n")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn held(job: &Value) -> String {
    let number = field(job, "job_number");
    format!("{} #{number}: {}\n", field(job, "name"), field(job, "why"))
}

/// Every reading that has a source: what, how much, how far it can be trusted, where from.
fn sensors(readings: &Value) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut add = |what: &str, reading: &Value| rows.extend(row(what, reading));
    add("processor busy", &readings["busy"]);
    list(&readings["thermal"]).for_each(|one| add("", &one["temperature"]));
    list(&readings["fans"]).for_each(|one| add("", &one["speed"]));
    list(&readings["cooling"]).for_each(|one| add("", &one["state"]));
    add("throttle events", &readings["throttle"]["events"]);
    let power = &readings["power"];
    add("supply", &power["supply"]);
    add("battery", &power["charge"]);
    add("battery lasts", &power["runtime"]);
    list(&power["draws"]).for_each(|one| add("", one));
    add("memory free", &readings["memory"]["available"]);
    for controller in list(&readings["memory"]["ecc"]) {
        add("", &controller["corrected"]);
        add("", &controller["uncorrected"]);
    }
    for resource in ["cpu", "memory", "io"] {
        add(&format!("pressure {resource}"), &readings["pressure"][resource]);
    }
    for disk in list(&readings["disks"]) {
        rows.extend(row("free", &disk["free"]));
        rows.extend(row("latency", &disk["latency"]));
        rows.extend(row("wear", &disk["wear"]["used"]));
        rows.extend(health(disk));
    }
    rows.extend(list(&readings["links"]).filter_map(|one| row("link", &one["state"])));
    rows.extend(row("TCP loss", &readings["transport"]["loss"]));
    rows.extend(row("TCP round trip", &readings["transport"]["rtt"]));
    rows.extend(clock(&readings["clock"]));
    rows
}

/// The clock's state with the bound of its error, where a source tells one.
fn clock(clock: &Value) -> Option<Vec<String>> {
    let mut line = row("clock", &clock["state"])?;
    if let Some(millis) = clock["max_error"].as_f64() {
        let bound = Duration::try_from_secs_f64(millis / 1e3).unwrap_or_default();
        line[1] += &format!(", within {}", base::units::Span(bound));
    }
    Some(line)
}

/// What a disk says of itself beside its age; nothing for one that says nothing.
fn health(disk: &Value) -> Option<Vec<String>> {
    let wear = &disk["wear"];
    let spare = wear["spare"].as_f64().map(|spare| format!("{spare:.0} % of its reserve left"));
    let errors = wear["media_errors"].as_u64().map(|count| format!("{count} errors of the medium"));
    let warnings = list(&wear["warnings"]).filter_map(|one| DiskWarning::deserialize(one).ok());
    let warns = warnings.map(|warning| format!("WARNING: {}", warning.words()));
    let state = disk["controller"].as_str().filter(|state| *state != "live");
    let state = state.map(|state| format!("CONTROLLER {state}"));
    let said: Vec<String> = [spare, errors, state].into_iter().flatten().chain(warns).collect();
    let row = ["health".to_owned(), said.join(", "), "good".to_owned(), field(disk, "mount")];
    (!said.is_empty()).then(|| row.to_vec())
}

/// One line; nothing for what this machine does not have.
fn row(what: &str, reading: &Value) -> Option<Vec<String>> {
    let quality = field(reading, "quality");
    if reading.is_null() || quality == "absent" {
        return None;
    }
    let source = &reading["source"];
    let what = if what.is_empty() { field(source, "label") } else { what.to_owned() };
    let age = reading["age_ms"].as_u64().unwrap_or(0) / 1000;
    let quality = if age > 0 { format!("{quality}, {age} s old") } else { quality };
    Some(vec![what, amount(reading), quality, field(source, "device")])
}

fn amount(reading: &Value) -> String {
    let unit = field(reading, "unit");
    match &reading["value"] {
        Value::Null => "–".to_owned(),
        Value::Object(stall) => {
            let of = |kind: &str| stall[kind]["avg10"].as_f64().unwrap_or(0.0);
            format!("some {:.1} %, full {:.1} %", of("some"), of("full"))
        }
        value if unit == "B" => base::units::Bytes(value.as_u64().unwrap_or(0)).to_string(),
        Value::Number(number) if unit == "rpm" => {
            format!("{:.0} {unit}", number.as_f64().unwrap_or(0.0))
        }
        Value::Number(number) if number.is_f64() => {
            format!("{:.1} {unit}", number.as_f64().unwrap_or(0.0))
        }
        value => format!("{} {unit}", value.as_str().map_or(value.to_string(), str::to_owned)),
    }
    .trim_end()
    .to_owned()
}

/// One line that a person can read out over the radio.
fn summary(answer: &Value) -> String {
    let quota = answer["quota"].as_f64().unwrap_or(1.0) * 100.0;
    let bound = match &answer["bound_by"] {
        // Heat slows what runs before it holds back what waits.
        Value::Null if quota < 99.5 => {
            let heat = list(&answer["limiters"]).find(|bound| bound["limiter"] == "thermal");
            let reading = heat.map_or_else(String::new, |heat| field(heat, "reading"));
            format!("none is held back, heat slows what runs: {reading}")
        }
        Value::Null => "nothing holds jobs back".to_owned(),
        bound => format!("bound by {}: {}", field(bound, "limiter"), field(bound, "reading")),
    };
    let paused = if answer["paused"] == true { ", paused" } else { "" };
    format!(
        "{} of {} slots, {} running, {} waiting, CPU time {quota:.0} %{paused}; {bound}",
        field(answer, "slots"),
        field(answer, "pool"),
        field(answer, "running"),
        field(answer, "waiting"),
    )
}

#[cfg(test)]
mod tests {
    use super::{sensors, summary};
    use serde_json::json;

    #[test]
    fn the_summary_says_what_binds() {
        let answer = json!({
            "slots": 3, "pool": 8, "running": 3, "waiting": 5, "quota": 0.82, "paused": false,
            "bound_by": { "limiter": "thermal", "slots": 3, "reading": "cpu-thermal 81.2 °C of 80" },
        });
        assert_eq!(
            summary(&answer),
            "3 of 8 slots, 3 running, 5 waiting, CPU time 82 %; bound by thermal: cpu-thermal 81.2 °C of 80"
        );
    }

    #[test]
    fn the_summary_says_what_slows_when_nothing_is_held() {
        let mut answer = json!({
            "slots": 4, "pool": 4, "running": 4, "waiting": 2, "quota": 0.27, "paused": false,
            "bound_by": null,
            "limiters": [
                { "limiter": "memory", "slots": 4, "reading": "2 GiB available" },
                { "limiter": "thermal", "slots": 4, "reading": "cpu-thermal 80.7 °C of 80" },
            ],
        });
        assert_eq!(
            summary(&answer),
            "4 of 4 slots, 4 running, 2 waiting, CPU time 27 %; none is held back, heat slows what runs: cpu-thermal 80.7 °C of 80"
        );
        answer["quota"] = json!(1.0);
        assert!(summary(&answer).ends_with("CPU time 100 %; nothing holds jobs back"));
    }

    #[test]
    fn every_source_is_a_line_with_its_value_quality_and_place() {
        let from = |device: &str, label: &str| json!({"device": device, "label": label});
        let readings = json!({
            "busy": {"value": 12.0, "unit": "%", "quality": "good", "age_ms": 0, "source": from("proc/stat", "cpu")},
            "thermal": [{"temperature": {"value": 61.25, "unit": "°C", "quality": "failed", "age_ms": 4200,
                "source": from("devices/coretemp", "Package id 0")}}],
            "pressure": {"memory": {"value": {"some": {"avg10": 1.5}, "full": {"avg10": 0.0}}, "unit": "%",
                "quality": "good", "age_ms": 0, "source": from("proc/pressure", "memory")}},
            "disks": [{"free": {"value": 1_073_741_824_u64, "unit": "B", "quality": "good", "age_ms": 0,
                "source": from("/", "free")}, "latency": {"quality": "absent"}}],
            "power": {"supply": {"value": "mains", "unit": "", "quality": "good", "age_ms": 0,
                "source": from("power", "supply")}},
        });
        let lines: Vec<String> = sensors(&readings).iter().map(|row| row.join(" | ")).collect();
        assert_eq!(
            lines,
            [
                "processor busy | 12.0 % | good | proc/stat",
                "Package id 0 | 61.2 °C | failed, 4 s old | devices/coretemp",
                "supply | mains | good | power",
                "pressure memory | some 1.5 %, full 0.0 % | good | proc/pressure",
                "free | 1 GiB | good | /",
            ]
        );
    }
}
