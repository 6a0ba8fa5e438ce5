//! `appliance hardware`: the machine and its governor.

use super::{Code, field};
use crate::{cli::Remote, client::Client, output};
use serde_json::Value;
use std::time::Duration;

const PATH: &str = "/api/appliance/v1/hardware";

/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(2);

pub(crate) async fn run(watch: bool, remote: &Remote) -> anyhow::Result<Code> {
    let client = Client::new(remote)?;
    loop {
        let answer: Value = client.get(PATH).await?;
        if remote.json {
            output::json(&answer);
        } else {
            show(&answer);
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

fn show(answer: &Value) {
    output::line(&summary(answer));
    let empty = Vec::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_else(|| empty.clone());
    let bounds: Vec<_> = list(&answer["limiters"])
        .iter()
        .map(|bound| vec![field(bound, "limiter"), field(bound, "slots"), field(bound, "reading")])
        .collect();
    output::table(&["limiter", "slots", "reading"], &bounds);
    let readings = &answer["readings"];
    let sensors: Vec<_> = list(&readings["thermal"])
        .iter()
        .map(|one| &one["temperature"])
        .chain(list(&readings["fans"]).iter().map(|one| &one["speed"]))
        .map(sensor)
        .collect();
    if !sensors.is_empty() {
        output::table(&["sensor", "value", "quality", "device"], &sensors);
    }
    for held in list(&answer["held"]) {
        output::line(&format!(
            "{} #{}: {}",
            field(&held, "name"),
            field(&held, "job_number"),
            field(&held, "why")
        ));
    }
}

fn sensor(reading: &Value) -> Vec<String> {
    let source = &reading["source"];
    let value = format!("{} {}", field(reading, "value"), field(reading, "unit"));
    vec![field(source, "label"), value, field(reading, "quality"), field(source, "device")]
}

/// One line that a person can read out over the radio.
fn summary(answer: &Value) -> String {
    let quota = answer["quota"].as_f64().unwrap_or(1.0) * 100.0;
    let bound = match &answer["bound_by"] {
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
    use super::summary;
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
}
