//! What holds for every configuration: the same input gives the same bytes, and the processed
//! form is a configuration that processes to itself.

use crate::fuzz::seeds;
use base::trigger::ParameterValue;
use pipeline::{PlanValues, Request, Values, compile, plan, process};
use proptest::prelude::*;

fn request() -> Request {
    Request { values: Values::local(), ..Request::default() }
}

/// Everything that a compilation gives, as one text.
fn everything(text: &str, request: &Request) -> String {
    let compilation = compile(text, request);
    let values = PlanValues { branch: Some("main".into()), ..PlanValues::default() };
    let config = compilation.config.as_ref();
    format!(
        "{}\n{}\n{}",
        config.map(process).unwrap_or_default(),
        config
            .map(|config| serde_json::to_string(&plan(config, &values)).unwrap())
            .unwrap_or_default(),
        serde_json::to_string(&compilation.diagnostics).unwrap()
    )
}

/// Every third file, so that a busy machine is done soon; the fuzzer sees them all.
fn sample() -> impl Iterator<Item = (String, String)> {
    seeds().into_iter().step_by(3)
}

#[test]
fn two_runs_give_the_same_bytes() {
    for (name, text) in sample() {
        assert_eq!(everything(&text, &request()), everything(&text, &request()), "{name}");
    }
}

#[test]
fn the_processed_form_processes_to_itself() {
    let mut count = 0;
    for (name, text) in sample() {
        let Some(config) = compile(&text, &request()).config else { continue };
        let once = process(&config);
        let again = compile(&once, &request());
        let shown: Vec<String> = again.errors().map(|error| error.render()).collect();
        // A workflow whose condition removed all of it leaves nothing to compile.
        if config.workflow_names().count() == 0 {
            continue;
        }
        let again = again.config.unwrap_or_else(|| panic!("{name}\n{}\n{once}", shown.join("")));
        let without_comments = |text: &str| {
            text.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(without_comments(&process(&again)), without_comments(&once), "{name}");
        count += 1;
    }
    assert!(count >= 1, "no seed compiles");
}

proptest! {
    #[test]
    fn any_text_survives_the_processed_form(text in any::<String>()) {
        let json = serde_json::to_string(&text).unwrap();
        let source = format!("version: 2\njobs:\n  build:\n    machine: true\n    steps:\n    - run: {json}\n");
        if let Some(config) = compile(&source, &request()).config {
            let once = process(&config);
            let again = compile(&once, &request()).config.map(|config| process(&config));
            prop_assert_eq!(Some(once), again);
        }
    }

    #[test]
    fn a_parameters_value_is_never_read_as_code(value in "[ -~]{0,60}") {
        let mut request = request();
        request.parameters.insert("p".into(), ParameterValue::String(value.clone()));
        let text = "version: 2.1\nparameters: {p: {type: string, default: ''}}\njobs: {build: {machine: true, environment: {V: << pipeline.parameters.p >>}, steps: [checkout]}}\n";
        let config = compile(text, &request).config.unwrap();
        let plan = plan(&config, &PlanValues::default());
        let base::plan::JobKind::Build { spec } = &plan.workflows[0].jobs[0].kind else { panic!("no build") };
        prop_assert_eq!(&spec.environment["V"], &value);
    }
}
