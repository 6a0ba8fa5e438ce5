//! The dashboard in a real browser: log in, approve, read a job's output, download an artifact.
//!
//! The driving itself is `tests/browser/drive.py`; it needs chromium and chromedriver, and the test
//! says so where they are missing.

use crate::{
    git::account,
    harness::{Appliance, announce, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use std::process::Command;

const CONFIG: &str = r#"version: 2.1
jobs:
  ship:
    machine: true
    steps:
      - run: |
          printf '\033[1;32mshipped\033[0m\n'
          echo crates > cargo.txt
      - store_artifacts: {path: cargo.txt}
workflows:
  main:
    jobs:
      - hold: {type: approval}
      - ship: {requires: [hold]}
"#;

#[test]
fn a_person_logs_in_approves_reads_and_downloads() {
    let found = |tool: &str| {
        Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    if !(found("chromedriver") && found("python3")) {
        announce("skipped: the browser test needs chromium, chromedriver and python3");
        return;
    }
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, "acme/ship", &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", CONFIG, "Ship it");
    copy.push();
    let pipeline = appliance.newest_pipeline("acme/ship")["id"].as_str().unwrap().to_owned();
    wait_for("the hold", || {
        let workflows = appliance.items(&format!("/api/v2/pipeline/{pipeline}/workflow"));
        (workflows[0]["status"] == "on_hold").then_some(())
    });
    let shots = appliance.folder.path().join("shots");
    std::fs::create_dir(&shots).unwrap();
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/browser/drive.py"))
        .args([&appliance.base_url, &appliance.first_password(), "/pipelines/gh/acme/ship/1"])
        .arg(&shots)
        .output()
        .unwrap();
    if let Ok(keep) = std::env::var("APPLIANCE_SHOTS") {
        Command::new("cp").arg("-r").arg(&shots).arg(keep).status().unwrap();
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
