//! A project is deleted, and nothing of it is left: not for a face, and not on the disk, though the
//! service is killed right after its answer.

use crate::{
    git::account,
    harness::{Appliance, BINARY, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

const PROJECT: &str = "acme/vanishing";

/// One run leaves something of every kind; with `slow` another goes on until it is canceled.
const CONFIG: &str = r#"version: 2.1
parameters:
  slow: {type: boolean, default: false}
jobs:
  leave:
    machine: true
    steps:
      - run: |
          mkdir -p out results
          head -c 300000 /dev/urandom > out/large
          echo "vanishing words" | tee out/small
          echo '<testsuite><testcase name="vanishing case" classname="c"/></testsuite>' > results/junit.xml
          head -c 400000 /dev/urandom | base64
      - store_artifacts: {path: out}
      - store_test_results: {path: results}
      - save_cache: {key: vanishing-v1, paths: [out]}
      - persist_to_workspace: {root: ., paths: [out]}
  take:
    machine: true
    steps:
      - attach_workspace: {at: .}
      - run: test -s out/large
  wait:
    machine: true
    steps:
      - run: sleep 600
workflows:
  main:
    unless: << pipeline.parameters.slow >>
    jobs: [leave, {take: {requires: [leave]}}]
  long:
    when: << pipeline.parameters.slow >>
    jobs: [wait]
"#;

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// The command's exit code and words.
fn delete(house: &Appliance, arguments: &[&str], code: i32, words: &str) {
    let output = house.cli(&[&["project", "delete"], arguments].concat());
    let said = told(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(words), "{arguments:?} lacks `{words}`: {said}");
}

/// With `typed` on a terminal.
fn delete_by_hand(house: &Appliance, typed: &str) -> (Option<i32>, String) {
    let line = format!("{BINARY} project delete {PROJECT} --data-dir {}", house.data().display());
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut to = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut to, typed.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    drop(to);
    (output.status.code(), told(&output))
}

fn sql(house: &Appliance, query: &str) -> String {
    let database = house.data().join("state/appliance.db");
    let output = Command::new("sqlite3").arg(&database).arg(query).output().unwrap();
    assert!(output.status.success(), "{query}: {}", told(&output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Every row but those of the logs of events and deeds, which keep to bounds of their own, and a mark
/// that stands at a time which is told as a workflow.
fn rows(house: &Appliance) -> String {
    let all = sql(house, ".dump");
    let kept = |line: &&str| {
        !["events", "audit", "runs_live"]
            .iter()
            .any(|log| line.starts_with(&format!("INSERT INTO {log} ")))
    };
    all.lines().filter(kept).collect::<Vec<_>>().join("\n")
}

/// Files below a folder.
fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            Ok(_) => found.push(entry.path().display().to_string()),
            Err(_) => {}
        }
    }
    found
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

/// What a project keeps besides its runs.
fn furnish(house: &Appliance, project: &str) -> String {
    let api = format!("/api/v2/project/gh/{PROJECT}");
    house.api(
        "POST",
        &format!("{api}/envvar"),
        Some(r#"{"name":"VANISHING","value":"vanishing"}"#),
    );
    let schedule = r#"{"name":"vanishing","timetable":{"per-hour":1,"hours-of-day":[3],"days-of-week":["MON"]},
        "attribution-actor":"current","parameters":{"branch":"main"}}"#;
    id(&house.api("POST", &format!("{api}/schedule"), Some(schedule)));
    let path = format!("/api/appliance/v1/project/gh/{PROJECT}/protected");
    house.api("PUT", &path, Some(r#"{"branches":["vanishing"],"tags":[]}"#));
    let context = r#"{"name":"deploy","owner":{"slug":"gh/acme","type":"organization"}}"#;
    let context = id(&house.api("POST", "/api/v2/context", Some(context)));
    let other = id(&house.api("GET", "/api/v2/project/gh/acme/staying", None));
    for project in [project, &other] {
        let body = format!(r#"{{"restriction_type":"project","restriction_value":"{project}"}}"#);
        house.api("POST", &format!("/api/v2/context/{context}/restrictions"), Some(&body));
    }
    context
}

fn is_missing(house: &Appliance, paths: &[String]) {
    for path in paths {
        let answer = house.api("GET", path, None);
        let message = answer["message"].as_str().unwrap_or_default();
        assert!(message.ends_with("not found."), "{path}: {answer}");
    }
}

/// Deleting is refused while something goes on, and asks before it does.
fn refuse(house: &Appliance) {
    let body = Some(r#"{"parameters":{"slow":true}}"#);
    let slow = id(&house.api("POST", &format!("/api/v2/project/gh/{PROJECT}/pipeline"), body));
    wait_for("the slow job", || {
        let jobs = house.jobs(&slow);
        (jobs[0]["status"] == "running").then_some(())
    });
    delete(house, &[PROJECT, "--yes"], 1, "has 1 workflow that has not ended: cancel");
    house.cancel(&slow);
    delete(house, &[PROJECT], 2, "--yes");
    delete(house, &["acme/never", "--yes"], 3, "Project not found.");
    let (code, said) = delete_by_hand(house, "acme/vanished\n");
    assert!(code == Some(2) && said.contains("nothing was deleted"), "{code:?} {said}");
    assert_eq!(
        house.api("GET", &format!("/api/v2/project/gh/{PROJECT}"), None)["slug"],
        format!("gh/{PROJECT}")
    );
}

#[test]
fn a_deleted_project_leaves_nothing_though_the_service_is_killed_at_once() {
    if !may_run_jobs() {
        return;
    }
    let mut house = Appliance::start();
    let token = account(&house, "dev", "admin");
    let staying = WorkingCopy::new(&house, "acme/staying", &token);
    staying.commit("a.txt", "a\n", "[skip ci] First");
    staying.push();
    let bytes_before = files(&house.data().join("objects"));
    let copy = WorkingCopy::new(&house, PROJECT, &token);
    copy.commit(".circleci/config.yml", CONFIG, "Vanishing");
    copy.push();
    let project = id(&house.api("GET", &format!("/api/v2/project/gh/{PROJECT}"), None));
    let pipeline = id(&house.newest_pipeline(PROJECT));
    let states = house.wait_for_workflows(&pipeline);
    assert_eq!(states[0].1, "success", "{:?}", house.jobs(&pipeline));
    let workflow = id(&house.items(&format!("/api/v2/pipeline/{pipeline}/workflow"))[0]);
    let context = furnish(&house, &project);
    assert!(files(&house.data().join("objects")).len() > bytes_before.len());
    assert!(
        rows(&house).contains("anishing") && sql(&house, "SELECT count(*) FROM objects") != "0"
    );
    refuse(&house);

    let (code, said) = delete_by_hand(&house, &format!("{PROJECT}\n"));
    house.kill();
    assert!(code == Some(0) && said.contains("is deleted"), "{code:?} {said}");
    house.start_again();
    let url = house.git_url(PROJECT).replace("https://", &format!("https://{token}@"));
    copy.git(&["remote", "set-url", "origin", &url]);
    let api = format!("/api/v2/project/gh/{PROJECT}");
    let under = [
        "",
        "/pipeline",
        "/pipeline/1",
        "/job/1",
        "/1/artifacts",
        "/1/tests",
        "/envvar",
        "/schedule",
    ];
    let mut places: Vec<String> = under.iter().map(|rest| format!("{api}{rest}")).collect();
    places.push(format!("/api/v2/pipeline/{pipeline}"));
    places.push(format!("/api/v2/workflow/{workflow}"));
    is_missing(&house, &places);
    let clone = copy.try_git(&["ls-remote", "origin"]);
    assert!(!clone.status.success() && told(&clone).contains("not found"), "{}", told(&clone));
    let restrictions = house.items(&format!("/api/v2/context/{context}/restrictions"));
    assert_eq!(restrictions.len(), 1, "{restrictions:?}");

    wait_for_purge(&house);
    let left = rows(&house);
    let hex = project.replace('-', "");
    for word in [
        &hex,
        &project,
        &pipeline.replace('-', ""),
        &workflow.replace('-', "")[..20],
        &workflow[..23],
        "anishing",
    ] {
        let line = left.lines().find(|line| line.to_lowercase().contains(&*word.to_lowercase()));
        assert_eq!(line, None, "{word}");
    }
    assert_eq!(sql(&house, "SELECT count(*) FROM objects"), "0");
    let repos = files(&house.data().join("repos"));
    assert!(repos.iter().all(|file| file.contains("/acme/staying.git/")), "{repos:?}");

    // The same name begins anew.
    copy.commit("b.txt", "b\n", "Again");
    copy.push();
    let again = house.newest_pipeline(PROJECT);
    assert_eq!(again["number"], 1, "{again}");
    assert_ne!(id(&house.api("GET", &api, None)), project);
    house.cancel(&id(&again));
    delete(&house, &[PROJECT, "--yes"], 0, "is deleted");
    is_missing(&house, &places);
    wait_for_purge(&house);
    bytes_come_back(&house, &bytes_before);
    // The database keeps what a row was until its page is used again.
    for file in files(&house.data()).iter().filter(|file| !file.contains("/data/state/")) {
        let bytes = fs::read(file).unwrap_or_default();
        let is_named = bytes.windows(8).any(|part| part == b"anishing");
        assert!(!is_named && !file.contains("anishing"), "{file}");
    }
}

fn wait_for_purge(house: &Appliance) {
    wait_for("the purge", || (sql(house, "SELECT count(*) FROM removals") == "0").then_some(()));
}

/// Bytes of objects go within two minutes of their last row, for the sake of readers.
fn bytes_come_back(house: &Appliance, before: &[String]) {
    let (folder, until) = (house.data().join("objects"), Instant::now() + Duration::from_secs(180));
    loop {
        let mut now = files(&folder);
        now.retain(|file| !before.contains(file));
        if now.is_empty() {
            return;
        }
        assert!(Instant::now() < until, "{now:?}");
        std::thread::park_timeout(Duration::from_millis(500));
    }
}
