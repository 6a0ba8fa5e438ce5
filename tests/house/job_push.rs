//! `git push` from inside a job, with the key that the job has.

use crate::{
    git::account,
    harness::{Appliance, may_run_jobs},
    workspace::WorkingCopy,
};
use std::process::Command;

const PROJECT: &str = "acme/pusher";

/// Keeps its key for later, fetches, and tries to push to some branches; on `made` it does nothing.
const PUSH: &str = r#"version: 2.1
jobs:
  push:
    machine: true
    steps:
      - checkout
      - run: |
          if [ "$CIRCLE_BRANCH" = made ]; then circleci-agent step halt; exit 0; fi
          printf %s "$APPLIANCE_GIT_KEY" > /tmp/key
          git config user.name ci
          git config user.email ci@example.org
          git fetch --quiet origin && echo "fetched well"
          attempt() {
            if git push "$@" > told 2>&1; then echo "$*: pushed"; else echo "$*: refused"; fi
            sed 's/^/| /' told
          }
          git commit --quiet --allow-empty --message "Made [ci skip]"
          attempt origin HEAD:made
          attempt origin HEAD:main
          git commit --quiet --allow-empty --amend --message "Made again"
          attempt --force origin HEAD:main
          attempt --force origin HEAD:made
          attempt "${APPLIANCE_URL}/git/acme/other.git" HEAD:main
          code=$(curl --silent --output /dev/null --write-out '%{http_code}' --user "job:$APPLIANCE_GIT_KEY" "$APPLIANCE_URL/api/v2/me")
          echo "the API says $code"
      - store_artifacts: {path: /tmp/key}
workflows:
  main:
    jobs: [push]
"#;

/// The log of the job with that number, when its workflow has succeeded.
fn told(appliance: &Appliance, pipeline: &str, job: u64) -> String {
    let states = appliance.wait_for_workflows(pipeline);
    let output = appliance.cli(&["job", "log", PROJECT, &job.to_string()]);
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(states[0].1, "success", "{log}");
    log
}

/// Runs the pipeline of a branch; the log of its job.
fn run(appliance: &Appliance, branch: &str, job: u64) -> String {
    let path = format!("/api/v2/project/gh/{PROJECT}/pipeline");
    let made = appliance.api("POST", &path, Some(&format!(r#"{{"branch":"{branch}"}}"#)));
    told(appliance, made["id"].as_str().unwrap(), job)
}

fn has(log: &str, lines: &[&str]) {
    for line in lines {
        assert!(log.contains(line), "`{line}` is missing:\n{log}");
    }
}

#[test]
fn a_job_pushes_where_its_project_lets_it() {
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "root", "admin"));
    copy.commit(".circleci/config.yml", PUSH, "[skip ci] First");
    copy.git(&["push", "--quiet", "origin", "main", "main:feature"]);

    let log = run(&appliance, "main", 1);
    has(&log, &["fetched well", "HEAD:made: refused", "HEAD:main: refused", "`jobs_may_push`"]);
    has(&log, &["the API says 403"]);
    ended_with_its_job(&appliance, &copy);

    let project = format!("/api/appliance/v1/project/gh/{PROJECT}");
    let on = appliance.api(
        "PUT",
        &format!("{project}/jobs-may-push"),
        Some(r#"{"jobs_may_push":true}"#),
    );
    assert_eq!(on["jobs_may_push"], true, "{on}");
    let protect = Some(r#"{"branches":["main"]}"#);
    appliance.api("PUT", &format!("{project}/protected"), protect);
    // The force push brings a pipeline forth; the one that asks to skip does not.
    let log = run(&appliance, "feature", 2);
    has(&log, &["HEAD:made: pushed", "No pipeline for made", "Pipeline 3 for made"]);
    has(&log, &["HEAD:main: refused", "only a job of a protected branch"]);
    has(&log, &["acme/other.git HEAD:main: refused", "opens its own project"]);
    let pipeline = appliance.newest_pipeline(PROJECT);
    assert_eq!(pipeline["vcs"]["branch"], "made", "{pipeline}");
    assert_eq!(pipeline["trigger"]["actor"]["login"], "job/2", "{pipeline}");
    told(&appliance, pipeline["id"].as_str().unwrap(), 3);

    let log = run(&appliance, "main", 4);
    has(&log, &["origin HEAD:main: pushed", "--force origin HEAD:main: refused"]);
    has(
        &log,
        &["a job may add to it, not rewrite or remove it", "--force origin HEAD:made: pushed"],
    );
    let newest = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    appliance.wait_for_workflows(&newest);
    assert_eq!(
        noted(&appliance, "job/4"),
        ["acme/pusher refs/heads/made", "acme/pusher refs/heads/main"]
    );
}

/// The pushes that the audit log has of somebody.
fn noted(appliance: &Appliance, actor: &str) -> Vec<String> {
    let page = Command::new("curl")
        .args(["--silent", "--max-time", "30", "--unix-socket"])
        .arg(appliance.data().join("control.sock"))
        .arg("http://localhost/audit")
        .output()
        .unwrap();
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    let rows = page.split("<tr").filter(|row| row.contains(actor) && row.contains("git.push"));
    let subject = |row: &str| {
        let at = row.find(PROJECT).unwrap();
        row[at..].split('<').next().unwrap().to_owned()
    };
    let mut found: Vec<String> = rows.map(subject).collect();
    found.sort();
    found
}

/// The key that the first job kept opens nothing any more.
fn ended_with_its_job(appliance: &Appliance, copy: &WorkingCopy) {
    let got = appliance.cli(&["artifact", "get", PROJECT, "1", "-o", "-"]);
    assert!(got.status.success(), "{}", String::from_utf8_lossy(&got.stderr));
    let key = String::from_utf8_lossy(&got.stdout).into_owned();
    assert!(key.starts_with("apj_"), "{key}");
    let url = appliance.git_url(PROJECT).replace("https://", &format!("https://job:{key}@"));
    let refused = copy.try_git(&["ls-remote", &url]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("Authentication failed"), "{said}");
}
