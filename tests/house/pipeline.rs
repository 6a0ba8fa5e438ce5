//! From push to settled: whole pipelines with real jobs.

use crate::{
    git::account,
    harness::{Appliance, DEADLINE, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use serde_json::Value;
use std::process::Command;

const PROJECT: &str = "acme/relay";

/// Pushes a configuration and returns the appliance and the pipeline's id.
fn pushed(config: &str) -> (Appliance, WorkingCopy, String) {
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", config, "Configure");
    copy.push();
    let pipeline = appliance.newest_pipeline(PROJECT);
    let id = pipeline["id"].as_str().unwrap().to_owned();
    assert_eq!(pipeline["state"], "created", "{pipeline:#}");
    (appliance, copy, id)
}

/// The output of all steps of a job, as `appliance job log` prints it.
fn log_of(appliance: &Appliance, job: &Value) -> String {
    let number = job["job_number"].to_string();
    let output = appliance.cli(&["job", "log", PROJECT, &number]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn job<'a>(jobs: &'a [Value], name: &str) -> &'a Value {
    jobs.iter().find(|job| job["name"] == name).unwrap()
}

fn check(config: &str, workflow_state: &str, expected_output: &[(&str, &str)]) {
    if !may_run_jobs() {
        return;
    }
    let (appliance, _copy, pipeline) = pushed(config);
    let states = appliance.wait_for_workflows(&pipeline);
    let jobs = appliance.jobs(&pipeline);
    let logs = || {
        jobs.iter()
            .filter(|j| j["job_number"].is_u64())
            .map(|j| log_of(&appliance, j))
            .collect::<String>()
    };
    assert!(states.iter().all(|(_, state)| state == workflow_state), "{states:?}\n{}", logs());
    for (name, text) in expected_output {
        let log = log_of(&appliance, job(&jobs, name));
        assert!(log.contains(text), "job {name} lacks `{text}`:\n{log}");
    }
}

#[test]
fn a_job_runs_and_its_output_is_kept() {
    check(crate::git::HELLO, "success", &[("hello", "hello")]);
}

#[test]
fn a_failing_step_fails_the_job_and_later_steps_do_not_run() {
    let config = "version: 2.1\njobs:\n  a:\n    machine: true\n    steps:\n      - run: exit 3\n      - run: echo never\n      - run: {command: echo afterwards, when: on_fail}\nworkflows:\n  main:\n    jobs: [a]\n";
    check(config, "failed", &[("a", "Exited with code exit status 3"), ("a", "afterwards")]);
}

/// More names than a request once had room for, and a file with many.
#[test]
fn a_workspace_of_many_files_with_long_names_travels_and_links_stay_links() {
    let config = r#"version: 2.1
jobs:
  make:
    machine: true
    steps:
      - run: |
          folder=tree/node_modules/@scope/a-package-with-a-long-name/dist/esm/$(printf 'x%.0s' $(seq 100))
          mkdir -p $folder && cd $folder
          seq 20000 | sed 's/^/a-file-with-a-long-name-/' | xargs touch
      - run: |
          head -c 3000000 /dev/urandom > tree/once
          for n in $(seq 20); do ln tree/once tree/again-$n; done
      - persist_to_workspace: {root: ., paths: [tree]}
  beside:
    machine: true
    steps:
      - run: {command: circleci version, environment: {PATH: '/usr/bin:/bin'}}
      - run: echo beside > note
      - persist_to_workspace: {root: ., paths: [no*]}
  take:
    machine: true
    steps:
      - attach_workspace: {at: there}
      - run: |
          echo "files: $(find there -name 'a-file-*' | wc -l), names: $(stat -c %h there/tree/once)"
          cmp there/tree/once there/tree/again-20 && cat there/note
workflows:
  main:
    jobs: [make, beside, {take: {requires: [make, beside]}}]
"#;
    let told = "Workspace layer stored: 20021 files, ";
    check(
        config,
        "success",
        &[("make", told), ("beside", "(appliance)"), ("take", "files: 20000, names: 21\nbeside")],
    );
}

#[test]
fn a_key_that_cannot_be_added_fails_its_step() {
    let config = "version: 2.1\njobs:\n  a:\n    machine: true\n    steps:\n      - add_ssh_keys: {fingerprints: ['SHA256:x']}\n      - run: echo never\nworkflows:\n  main:\n    jobs: [a]\n";
    check(config, "failed", &[("a", "so SHA256:x cannot be added")]);
}

#[test]
fn files_travel_by_workspace_cache_and_artifact() {
    if !may_run_jobs() {
        return;
    }
    let config = r#"version: 2.1
jobs:
  make:
    machine: true
    steps:
      - checkout
      - run: |
          touch gone mine && git add gone
          rm .circleci/config.yml && mkdir .circleci/config.yml && touch .circleci/config.yml/x
      - checkout
      - run: |
          test ! -e gone && test -e mine && test -f .circleci/config.yml
          test -z "$(git status --porcelain --untracked-files=no)"
      - run: mkdir -p out && echo "$CIRCLE_SHA1" > out/revision && git log --oneline 2>/dev/null || true
      - save_cache: {key: 'v1-{{ .Revision }}', paths: [out]}
      - persist_to_workspace: {root: ., paths: [out]}
      - store_artifacts: {path: out, destination: build}
  use:
    machine: true
    steps:
      - attach_workspace: {at: /tmp/ws}
      - restore_cache: {keys: ['v1-']}
      - run: cat /tmp/ws/out/revision && cat out/revision
workflows:
  main:
    jobs:
      - make
      - use: {requires: [make]}
"#;
    let (appliance, copy, pipeline) = pushed(config);
    let states = appliance.wait_for_workflows(&pipeline);
    let jobs = appliance.jobs(&pipeline);
    let log = log_of(&appliance, job(&jobs, "use"));
    assert_eq!(states[0].1, "success", "{}\n{log}", log_of(&appliance, job(&jobs, "make")));
    let revision = copy.git_output(&["rev-parse", "HEAD"]);
    let lines = log.lines().filter(|line| *line == revision.trim());
    assert_eq!(lines.count(), 2, "{log}");

    let number = job(&jobs, "make")["job_number"].to_string();
    let target = tempfile::tempdir().unwrap();
    let got = appliance.cli(&[
        "artifact",
        "get",
        PROJECT,
        &number,
        "--output",
        target.path().to_str().unwrap(),
    ]);
    assert!(got.status.success(), "{got:?}");
    assert_eq!(std::fs::read_to_string(target.path().join("build/revision")).unwrap(), revision);

    // Older tools read the same through API 1.1.
    let old = format!("/api/v1.1/project/github/{PROJECT}");
    let artifacts = appliance.api("GET", &format!("{old}/{number}/artifacts"), None);
    assert_eq!(artifacts[0]["pretty_path"], "build/revision", "{artifacts}");
    assert!(appliance.api("GET", &format!("{old}/{number}/tests"), None)["tests"].is_array());
    assert_eq!(appliance.api("POST", &format!("{old}/follow"), None)["following"], true);
    let projects = appliance.api("GET", "/api/v1.1/projects", None);
    assert_eq!(projects[0]["vcs_url"], appliance.git_url(PROJECT), "{projects}");
    let body = r#"{"name":"DEPLOY_KEY","value":"very-secret-1234"}"#;
    appliance.api("POST", &format!("{old}/envvar"), Some(body));
    let variables = appliance.api("GET", &format!("{old}/envvar"), None);
    assert_eq!(variables[0]["name"], "DEPLOY_KEY");
    assert_eq!(variables[0]["value"], "xxxx1234", "masked");
}

#[test]
fn an_approval_holds_the_workflow_until_somebody_approves() {
    if !may_run_jobs() {
        return;
    }
    let config = "version: 2.1\njobs:\n  ship:\n    machine: true\n    steps: [{run: echo shipped}]\nworkflows:\n  main:\n    jobs:\n      - hold: {type: approval}\n      - ship: {requires: [hold]}\n";
    let (appliance, _copy, pipeline) = pushed(config);
    let workflow = wait_for("the hold", || {
        let workflows = appliance.items(&format!("/api/v2/pipeline/{pipeline}/workflow"));
        (workflows[0]["status"] == "on_hold")
            .then(|| workflows[0]["id"].as_str().unwrap().to_owned())
    });
    let told = appliance.cli(&["workflow", "approve", &workflow, "hold"]);
    assert!(told.status.success(), "{told:?}");
    assert_eq!(appliance.wait_for_workflows(&pipeline)[0].1, "success");
}

#[test]
fn a_canceled_workflow_stops_its_running_job() {
    if !may_run_jobs() {
        return;
    }
    let config = "version: 2.1\njobs:\n  long:\n    machine: true\n    steps: [{run: sleep 300}]\nworkflows:\n  main:\n    jobs: [long]\n";
    let (appliance, _copy, pipeline) = pushed(config);
    wait_for("the job to run", || {
        (appliance.jobs(&pipeline)[0]["status"] == "running").then_some(())
    });
    let workflow = appliance.items(&format!("/api/v2/pipeline/{pipeline}/workflow"))[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(appliance.cli(&["workflow", "cancel", &workflow]).status.success());
    assert_eq!(appliance.wait_for_workflows(&pipeline)[0].1, "canceled");
    for command in ["show", "log"] {
        let told = appliance.cli(&["job", command, PROJECT, "1"]);
        let told = [told.stdout, told.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains("canceled by "), "job {command}: {told}");
    }
}

#[test]
fn secrets_reach_the_job_and_never_its_log() {
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.commit("README", "x", "[ci skip] first");
    copy.push();
    let secret = "correct-horse-battery";
    let body = format!(r#"{{"name":"API_KEY","value":"{secret}"}}"#);
    appliance.api("POST", "/api/v2/project/gh/acme/relay/envvar", Some(&body));
    copy.commit(
        ".circleci/config.yml",
        "version: 2.1\njobs:\n  a:\n    machine: true\n    steps:\n      - run: 'echo plain $API_KEY; echo $API_KEY | base64; echo length ${#API_KEY}'\nworkflows:\n  main:\n    jobs: [a]\n",
        "Use it",
    );
    copy.push();
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    assert_eq!(appliance.wait_for_workflows(&pipeline)[0].1, "success");
    let log = log_of(&appliance, &appliance.jobs(&pipeline)[0]);
    assert!(log.contains("plain ****") && log.contains("length 21"), "{log}");
    assert!(!log.contains(secret) && !log.contains("Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5"), "{log}");
}

#[test]
fn a_job_out_of_memory_is_told_the_limit_and_the_peak() {
    if !may_run_jobs() {
        return;
    }
    let config = "version: 2.1\njobs:\n  eat:\n    machine: true\n    resource_class: small\n    steps:\n      - run: head -c 6000000000 /dev/zero | tail -c 5900000000 | wc -c\nworkflows:\n  main:\n    jobs: [eat]\n";
    let (appliance, _copy, pipeline) = pushed(config);
    assert_eq!(appliance.wait_for_workflows(&pipeline)[0].1, "failed");
    let number = appliance.jobs(&pipeline)[0]["job_number"].to_string();
    let shown = appliance.api("GET", &format!("/api/v2/project/gh/{PROJECT}/job/{number}"), None);
    let told = shown["messages"].to_string();
    assert!(told.contains("memory") && told.contains("GiB"), "{told}");
}

#[test]
fn the_demo_pushes_a_sample_and_ends_green() {
    if !may_run_jobs() {
        return;
    }
    let output = Command::new("timeout")
        .args([
            &DEADLINE.as_secs().to_string(),
            crate::harness::BINARY,
            "demo",
            "--once",
            "--listen",
            "127.0.0.1:0",
        ])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("The pipeline is green."), "{told}");
}
