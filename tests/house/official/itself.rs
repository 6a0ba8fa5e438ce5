//! The official command line itself, whichever version is installed as `circleci`.

use super::{CONFIG, Caller, INVALID, ORB};
use crate::harness::{announce, may_run_jobs};
use std::{
    fs,
    process::{Command, Stdio},
};

/// A job that prints, keeps a file and reports tests.
const BUILD: &str = "version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: {name: Print, command: \"echo printed; echo '<testsuite><testcase classname=\\\"c\\\" name=\\\"slow one\\\" time=\\\"1.5\\\"/></testsuite>' > r.xml\"}
      - store_artifacts: {path: r.xml}
      - store_test_results: {path: r.xml}
workflows: {main: {jobs: [build]}}
";

/// Arguments, whether it ends well, words that it prints. `RUN` and its like stand for what was made.
type Row<'a> = (&'a [&'a str], bool, &'a str);

const VERSION_0: &[Row<'_>] = &[
    (&["diagnostic"], true, "Hello, dev."),
    (&["config", "validate", "ok.yml"], true, "Config file at ok.yml is valid."),
    (&["config", "process", "ok.yml"], true, "command: echo hello relay 1"),
    (
        &["config", "process", "ok.yml", "--pipeline-parameters", "{who: you}"],
        true,
        "command: echo hello you 1",
    ),
    (&["config", "validate", "bad.yml"], false, "did you mean `checkout`?"),
    (&["orb", "validate", "orb.yml"], true, "is valid"),
    (&["orb", "source", "acme/say"], true, "echo hello"),
    (&["orb", "info", "acme/say"], true, "acme/say@1.0.0"),
    (&["orb", "list"], true, "acme/say (1.0.0)"),
    (&["orb", "list", "acme"], true, "acme/say (1.0.0)"),
    (&["orb", "list", "none"], false, "No namespace found"),
    (&["context", "create", "gh", "acme", "deploy"], true, ""),
    (&["context", "list", "gh", "acme"], true, "deploy"),
    (&["context", "list", "gh", "none"], false, "rganization"),
    (&["pipeline", "list", "PROJECT"], true, "config.yml"),
    (&["namespace", "create", "acme", "gh", "acme", "--no-prompt"], false, "orb import"),
];

const VERSION_1: &[Row<'_>] = &[
    (&["auth", "me"], true, "dev"),
    (&["config", "validate", "ok.yml"], true, "valid"),
    (&["config", "validate", "ok.yml", "--org", "gh/acme"], true, "valid"),
    (&["config", "validate", "bad.yml"], false, "did you mean `checkout`?"),
    (&["orb", "list"], true, "acme/say"),
    (&["orb", "get", "acme/say"], true, "1.0.0"),
    (&["orb", "source", "acme/say@volatile"], true, "echo hello"),
    (&["orb", "validate", "orb.yml"], true, "valid"),
    (&["orb", "create", "acme/new"], false, "orb import"),
    (&["namespace", "get", "acme"], true, "acme"),
    (&["context", "create", "deploy", "--org", "gh/acme"], true, "deploy"),
    (&["context", "list", "--org", "gh/acme"], true, "deploy"),
    (&["pipeline", "list", "--project", "gh/acme/relay"], true, "config.yml"),
    (&["runner", "instance", "list", "--org", "gh/acme"], true, "all plain classes"),
    (&["policy", "diff", "--org", "gh/acme", "."], false, ""),
];

/// Of a run that is over.
const RUNS_1: &[Row<'_>] = &[
    (&["run", "list", "--project", "gh/acme/relay"], true, "RUN"),
    (&["run", "get", "RUN"], true, "build"),
    (&["run", "watch", "RUN"], true, "succeeded"),
    (&["my", "runs"], true, "RUN"),
    (&["workflow", "list", "RUN"], true, "WORKFLOW"),
    (&["workflow", "get", "WORKFLOW"], true, "build"),
    (&["job", "get", "JOB"], true, "Print"),
    (&["job", "output", "get", "JOB", "--step-num", "STEP"], true, "printed"),
    (&["artifact", "JOB"], true, "r.xml"),
    (&["artifact", "JOB", "--output", "kept"], true, ""),
    (&["testresult", "list", "JOB", "--all"], true, "slow one"),
    (&["run", "cancel", "RUN", "--force"], false, "no active workflows"),
    (&["workflow", "rerun", "WORKFLOW"], true, "as workflow"),
    (&["pipeline", "run", "--project", "gh/acme/relay", "--branch", "main"], true, "triggered"),
];

/// Runs it; whether it ended well, and what it printed.
fn official(caller: &Caller, arguments: &[String]) -> (bool, String) {
    let folder = caller.appliance.folder.path();
    let output = Command::new("circleci")
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder)
        .env("SSL_CERT_FILE", caller.authority())
        .envs([("CIRCLECI_CLI_SKIP_UPDATE_CHECK", "true"), ("CIRCLECI_CLI_TELEMETRY_OPTOUT", "1")])
        .env("CIRCLECI_CLI_HOST", &caller.appliance.base_url)
        .env("CIRCLECI_CLI_TOKEN", &caller.token)
        .envs([("CIRCLE_NO_UPDATE_CHECK", "1"), ("CIRCLE_NO_TELEMETRY", "1")])
        .envs([("CIRCLE_NO_INTERACTIVE", "1"), ("NO_COLOR", "1")])
        .env("CIRCLE_HOST", &caller.appliance.base_url)
        .env("CIRCLE_TOKEN", &caller.token)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

fn check(caller: &Caller, rows: &[Row<'_>], made: &[(&str, String)]) {
    let filled =
        |text: &str| made.iter().fold(text.to_owned(), |text, (name, id)| text.replace(name, id));
    for (arguments, fine, words) in rows {
        let arguments: Vec<String> = arguments.iter().map(|text| filled(text)).collect();
        let (ended_well, told) = official(caller, &arguments);
        let words = filled(words);
        assert!(ended_well == *fine && told.contains(&words), "{arguments:?}: {told}");
    }
}

/// Pushes [`BUILD`] and waits for its end; what was made.
fn built(caller: &Caller) -> Vec<(&'static str, String)> {
    caller.copy.commit(".circleci/config.yml", BUILD, "Build");
    caller.copy.push();
    let pipeline =
        caller.appliance.newest_pipeline("acme/relay")["id"].as_str().unwrap().to_owned();
    let states = caller.appliance.wait_for_workflows(&pipeline);
    assert_eq!(states, [("main".to_owned(), "success".to_owned())]);
    let workflows = caller.appliance.items(&format!("/api/v2/pipeline/{pipeline}/workflow"));
    let job = caller.appliance.jobs(&pipeline)[0].clone();
    let path = format!("/api/v1.1/project/gh/acme/relay/{}", job["job_number"]);
    let steps = caller.appliance.api("GET", &path, None)["steps"].as_array().unwrap().clone();
    let step = steps.iter().find(|step| step["name"] == "Print").unwrap();
    vec![
        ("RUN", pipeline),
        ("WORKFLOW", workflows[0]["id"].as_str().unwrap().to_owned()),
        ("JOB", job["id"].as_str().unwrap().to_owned()),
        ("STEP", step["actions"][0]["step"].to_string()),
    ]
}

#[test]
fn the_official_command_line_works_against_the_appliance() {
    let Ok(version) = Command::new("circleci").arg("version").stdin(Stdio::null()).output() else {
        announce("skipped: the official command line is not installed");
        return;
    };
    let caller = Caller::new();
    for (name, text) in [("ok.yml", CONFIG), ("bad.yml", INVALID), ("orb.yml", ORB)] {
        fs::write(caller.appliance.folder.path().join(name), text).unwrap();
    }
    if !String::from_utf8_lossy(&version.stdout).starts_with("circleci 1.") {
        let project = caller.appliance.api("GET", "/api/v2/project/gh/acme/relay", None);
        let made = [("PROJECT", project["id"].as_str().unwrap().to_owned())];
        return check(&caller, VERSION_0, &made);
    }
    check(&caller, VERSION_1, &[]);
    if may_run_jobs() {
        let made = built(&caller);
        check(&caller, RUNS_1, &made);
        let kept = fs::read_to_string(caller.appliance.folder.path().join("kept/r.xml")).unwrap();
        assert!(kept.contains("slow one"));
        // What the last rows started would be found as left behind.
        let newest = caller.appliance.newest_pipeline("acme/relay");
        for pipeline in [newest["id"].as_str().unwrap(), &made[0].1] {
            caller.appliance.wait_for_workflows(pipeline);
        }
    }
}
