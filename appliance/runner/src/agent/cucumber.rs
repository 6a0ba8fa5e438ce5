//! Test results from the JSON that Cucumber writes.
//!
//! Source: the format of Cucumber's JSON formatter: features, in them scenarios (`elements`), in
//! them steps and hooks with `result.status` and `result.duration` in nanoseconds.
//! Invariants: one result for each scenario; the background of a scenario is an element in front of
//! it and counts as its beginning.

use super::junit::clipped;
use base::protocol::TestResult;
use serde::Deserialize;

#[derive(Deserialize)]
struct Feature {
    name: String,
    #[serde(default)]
    uri: Option<String>,
    #[serde(default)]
    elements: Vec<Element>,
}

#[derive(Deserialize)]
struct Element {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    before: Vec<Step>,
    #[serde(default)]
    steps: Vec<Step>,
    #[serde(default)]
    after: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    #[serde(default)]
    name: String,
    #[serde(default)]
    result: Outcome,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Outcome {
    status: String,
    /// Nanoseconds; some writers give a fraction.
    duration: f64,
    error_message: String,
}

/// Adds the results that `text` tells.
pub(super) fn read(text: &str, source: &str, results: &mut Vec<TestResult>) -> Result<(), String> {
    let features: Vec<Feature> = serde_json::from_str(text)
        .map_err(|error| format!("it is not what Cucumber writes: {error}"))?;
    for feature in features {
        let mut background = Vec::new();
        for element in feature.elements {
            let steps = element.before.into_iter().chain(element.steps).chain(element.after);
            if element.kind == "background" {
                background = steps.collect();
                continue;
            }
            let steps: Vec<Step> =
                std::mem::take(&mut background).into_iter().chain(steps).collect();
            let (result, message) = verdict(&steps);
            results.push(TestResult {
                classname: clipped(feature.name.clone()),
                name: clipped(element.name),
                file: feature.uri.clone().map(clipped),
                result: result.into(),
                message: clipped(message),
                run_time_ms: milliseconds(&steps),
                source: source.to_owned(),
            });
        }
    }
    Ok(())
}

/// How a scenario of these steps ended, and what it said.
fn verdict(steps: &[Step]) -> (&'static str, String) {
    let with = |states: &[&str]| {
        steps.iter().find(|step| states.contains(&step.result.status.to_lowercase().as_str()))
    };
    let message = |step: &Step| match step.result.error_message.as_str() {
        "" => format!("{}: {}", step.result.status, step.name),
        told => told.to_owned(),
    };
    if let Some(step) = with(&["failed", "ambiguous", "undefined"]) {
        return ("failure", message(step));
    }
    match with(&["pending", "skipped"]) {
        Some(step) => ("skipped", message(step)),
        None => ("success", String::new()),
    }
}

fn milliseconds(steps: &[Step]) -> u64 {
    let nanoseconds: f64 = steps.iter().map(|step| step.result.duration).sum();
    std::time::Duration::try_from_secs_f64(nanoseconds / 1e9)
        .map_or(0, |span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&[(&str, &str, &str, u64)]>) {
        let mut results = Vec::new();
        let done = read(text, "r.json", &mut results);
        assert_eq!(done.is_ok(), expected.is_some(), "{done:?}");
        let found: Vec<_> = results
            .iter()
            .map(|test| {
                (test.name.as_str(), test.result.as_str(), test.message.as_str(), test.run_time_ms)
            })
            .collect();
        assert_eq!(found, expected.unwrap_or_default(), "{text}");
    }

    const REPORT: &str = r#"[{"uri":"features/trip.feature","keyword":"Feature","name":"Trip","elements":[
        {"type":"background","name":"","steps":[
            {"name":"a relay","result":{"status":"passed","duration":1000000}}]},
        {"type":"scenario","name":"opens","before":[{"result":{"status":"passed","duration":500000}}],"steps":[
            {"name":"a fault","result":{"status":"passed","duration":2500000}},
            {"name":"it opens","result":{"status":"passed","duration":1e6}}]},
        {"type":"scenario","name":"closes","steps":[
            {"name":"a reset","result":{"status":"failed","duration":1000000,"error_message":"no voltage"}},
            {"name":"it closes","result":{"status":"skipped"}}]},
        {"type":"scenario","name":"later","steps":[{"name":"todo","result":{"status":"pending"}}]},
        {"type":"scenario","name":"unknown","steps":[{"name":"what","result":{"status":"undefined"}}]}
    ]}]"#;

    #[test]
    fn scenarios_are_read_as_cucumber_writes_them() {
        let expected = [
            ("opens", "success", "", 5),
            ("closes", "failure", "no voltage", 1),
            ("later", "skipped", "pending: todo", 0),
            ("unknown", "failure", "undefined: what", 0),
        ];
        check(REPORT, Some(&expected));
        check("[]", Some(&[]));
        check(r#"{"name":"package"}"#, None);
        check(r#"[{"id":1}]"#, None);
    }

    #[test]
    fn a_scenario_stands_in_its_feature_and_its_file() {
        let mut results = Vec::new();
        read(REPORT, "out/r.json", &mut results).unwrap();
        let TestResult { classname, file, source, .. } = &results[0];
        let found = (classname.as_str(), file.as_deref(), source.as_str());
        assert_eq!(found, ("Trip", Some("features/trip.feature"), "out/r.json"));
    }
}
