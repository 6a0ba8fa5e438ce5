//! The dashboard in a real browser: log in, approve, read a job's output, look at artifacts and
//! download one, trigger another pipeline.
//!
//! The driving itself is `tests/browser/drive.py`; it needs chromium and chromedriver, and the test
//! says so where they are missing.

use crate::{
    git::account,
    harness::{Appliance, announce, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use serde_json::json;
use std::{path::PathBuf, process::Command};

const CONFIG: &str = r#"version: 2.1
parameters:
  urgent: {type: boolean, default: false}
jobs:
  ship:
    machine: true
    steps:
      - run: |
          printf '\033[1;32mshipped\033[0m\n'
          echo crates > cargo.txt
          mkdir report
          echo '<link rel=stylesheet href=look.css><h1>Report</h1><script>document.write("a script ran")</script>' > report/index.html
          echo 'h1 { color: teal }' > report/look.css
      - store_artifacts: {path: cargo.txt}
      - store_artifacts: {path: report}
workflows:
  main:
    jobs:
      - hold: {type: approval}
      - ship: {requires: [hold]}
  express:
    when: << pipeline.parameters.urgent >>
    jobs: [ship]
"#;

/// Prints as many lines as asked for in bursts, so that the page has something to keep up with.
fn flood_config(lines: u32) -> String {
    format!(
        r#"version: 2.1
jobs:
  print:
    machine: true
    steps:
      - run: |
          sleep 2
          for burst in $(seq 0 19); do
            seq -f 'compiling module %.0f of {lines}' $((burst * {each} + 1)) $(((burst + 1) * {each}))
            sleep 0.5
          done
workflows:
  main:
    jobs:
      - hold: {{type: approval}}
      - print: {{requires: [hold]}}
"#,
        each = lines / 20
    )
}

fn may_browse() -> bool {
    let found = |tool: &str| {
        Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
    };
    let here = found("chromedriver") && found("python3");
    if !here {
        announce("skipped: the browser test needs chromium, chromedriver and python3");
    }
    here && may_run_jobs()
}

/// Drives the browser; what it printed.
fn drive(appliance: &Appliance, way: &str, rest: &[&str]) -> String {
    let shots: PathBuf = appliance.folder.path().join("shots");
    std::fs::create_dir(&shots).unwrap();
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/browser/drive.py"))
        .args([way, &appliance.base_url, &appliance.first_password()])
        .arg(&shots)
        .args(rest)
        .output()
        .unwrap();
    if let Ok(keep) = std::env::var("APPLIANCE_SHOTS") {
        Command::new("cp").arg("-r").arg(&shots).arg(keep).status().unwrap();
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_person_logs_in_approves_reads_and_downloads() {
    if !may_browse() {
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
    drive(&appliance, "tour", &["/pipelines/gh/acme/ship/1"]);
    let second = appliance.newest_pipeline("acme/ship");
    assert_eq!(
        (&second["number"], &second["trigger"]["actor"]["login"]),
        (&json!(2), &json!("admin"))
    );
    // A job that runs on when the service stops is not left behind by mistake.
    let second = second["id"].as_str().unwrap().to_owned();
    wait_for("the second pipeline to end", || {
        let workflows = appliance.items(&format!("/api/v2/pipeline/{second}/workflow"));
        let mut express = workflows.iter().filter(|one| one["name"] == "express");
        express.any(|one| one["status"] == "success").then_some(())
    });
}

/// `APPLIANCE_BROWSER_LINES=1000000` is the promise's own figure.
#[test]
fn the_page_of_a_long_log_stays_small_and_smooth() {
    if !may_browse() {
        return;
    }
    let lines = std::env::var("APPLIANCE_BROWSER_LINES").ok().and_then(|text| text.parse().ok());
    let lines: u32 = lines.unwrap_or(40_000);
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, "acme/long", &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", &flood_config(lines), "Print");
    copy.push();
    let pipeline = appliance.newest_pipeline("acme/long")["id"].as_str().unwrap().to_owned();
    let pages = ["/pipelines/gh/acme/long/1", "/gh/acme/long/1", &lines.to_string()];
    let told = drive(&appliance, "flood", &pages);
    announce(told.trim());
    appliance.wait_for_workflows(&pipeline);
}
