//! Protected branches: who may push to them, and what their jobs find of others' jobs.

use crate::{
    git::account,
    harness::{Appliance, announce, may_run_jobs},
    workspace::WorkingCopy,
};
use std::path::Path;

const PROJECT: &str = "acme/trusted";

/// Tells what it finds under a key, keeps its own under it, and then tries its key of S3.
const TRY: &str = r#"version: 2.1
jobs:
  try:
    machine: true
    steps:
      - restore_cache: {keys: [deps-v1]}
      - run: |
          echo "found $(cat deps/who 2>/dev/null || echo nothing)"
          mkdir -p deps
          echo "deps of $CIRCLE_BRANCH" > deps/who
      - save_cache: {key: deps-v1, paths: [deps]}
      - restore_cache: {keys: [tools-]}
      - run: |
          echo "tools $(cat tools/who 2>/dev/null || echo missing)"
          mkdir -p tools
          echo "of $CIRCLE_BRANCH" > tools/who
      - save_cache: {key: "tools-{{ .Branch }}", paths: [tools]}
      - run: |
          ask() {
            printf '%s %s ' "$1" "$2"
            curl --silent --show-error --write-out ' %{http_code}\n' --aws-sigv4 aws:amz:us-east-1:s3 \
              --user "$APPLIANCE_S3_ACCESS_KEY_ID:$APPLIANCE_S3_SECRET_ACCESS_KEY" \
              --header "x-amz-security-token: $APPLIANCE_S3_SESSION_TOKEN" \
              --header "x-amz-content-sha256: UNSIGNED-PAYLOAD" \
              --request "$1" ${3:+--data "$3"} "$APPLIANCE_S3_URL/$2" |
              tr -d '\n' | sed -E 's/<\?xml.*<Code>([A-Za-z]+)<.*>/\1/'
            echo
          }
          ask PUT given/release "$CIRCLE_BRANCH"
          ask DELETE given/other
          ask PUT "made-by-$CIRCLE_BRANCH"
          ask PUT given/unprotected/try "$CIRCLE_BRANCH"
          ask GET given/unprotected/try
          ask GET given/release
workflows:
  main:
    jobs: [try]
"#;

/// The log of the job with that number, whose pipeline is the newest and succeeds.
fn told(appliance: &Appliance, job: u32) -> String {
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    let states = appliance.wait_for_workflows(&pipeline);
    let output = appliance.cli(&["job", "log", PROJECT, &job.to_string()]);
    let log = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(states[0].1, "success", "{log}");
    log
}

fn has(log: &str, lines: &[&str]) {
    for line in lines {
        assert!(log.contains(line), "`{line}` is missing:\n{log}");
    }
}

fn protect_main(appliance: &Appliance) {
    let path = format!("/api/appliance/v1/project/gh/{PROJECT}/protected");
    let body = r#"{"branches":["main"],"tags":["/v[0-9]+/"]}"#;
    let kept = appliance.api("PUT", &path, Some(body));
    assert_eq!(kept["branches"][0], "main", "{kept}");
    let wrong = appliance.api("PUT", &path, Some(r#"{"branches":["/(/"]}"#));
    assert!(wrong["message"].as_str().unwrap().contains("unclosed group"), "{wrong}");
    assert_eq!(appliance.api("GET", &path, None), kept, "what is wrong changes nothing");
}

#[test]
fn only_administrators_push_to_what_is_protected() {
    let appliance = Appliance::start();
    let admin = account(&appliance, "root", "admin");
    let owner = WorkingCopy::new(&appliance, PROJECT, &admin);
    owner.commit("a.txt", "a\n", "[skip ci] First");
    owner.push();
    protect_main(&appliance);
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.git(&["pull", "--quiet", "origin", "main"]);
    copy.commit("a.txt", "b\n", "[skip ci] Second");
    for what in ["main", "main:v7", "HEAD:refs/tags/v7", ":main"] {
        let refused = copy.try_git(&["push", "origin", what]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        let is_branch = what == "main:v7";
        assert_eq!(refused.status.success(), is_branch, "{what}: {said}");
        let wanted = "protected: only an administrator may push to it";
        assert!(is_branch || said.contains(wanted), "{what}: {said}");
    }
    owner.git(&["pull", "--quiet", "origin", "v7"]);
    owner.git(&["push", "--quiet", "origin", "main", "HEAD:refs/tags/v7"]);
}

#[test]
fn what_a_feature_branch_leaves_does_not_reach_the_protected_one() {
    if !may_run_jobs() {
        return;
    }
    // Jobs see the programs of the system, not those of its users.
    if !Path::new("/usr/bin/curl").exists() {
        announce("skipped: the test of levels needs curl");
        return;
    }
    let appliance = Appliance::start();
    let created = appliance.cli(&["bucket", "create", "given", "--owner", PROJECT]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    let admin = account(&appliance, "root", "admin");
    let owner = WorkingCopy::new(&appliance, PROJECT, &admin);
    owner.commit("a.txt", "a\n", "[skip ci] First");
    owner.push();
    protect_main(&appliance);
    let copy = WorkingCopy::new(&appliance, PROJECT, &account(&appliance, "dev", "member"));
    copy.git(&["pull", "--quiet", "origin", "main"]);
    copy.commit(".circleci/config.yml", TRY, "Try");
    copy.git(&["push", "--quiet", "origin", "main:feature"]);
    let denied = [
        "PUT given/release AccessDenied 403",
        "DELETE given/other AccessDenied 403",
        "PUT made-by-feature AccessDenied 403",
        "PUT given/unprotected/try  200",
        "GET given/unprotected/try feature 200",
    ];
    let log = told(&appliance, 1);
    has(&log, &["found nothing", "tools missing"]);
    has(&log, &denied);

    owner.git(&["pull", "--quiet", "origin", "feature"]);
    owner.push();
    let log = told(&appliance, 2);
    has(
        &log,
        &["found nothing", "tools missing", "PUT given/release  200", "PUT made-by-main  200"],
    );
    has(&log, &["GET given/unprotected/try AccessDenied 403", "GET given/release main 200"]);

    copy.commit("a.txt", "c\n", "Again");
    copy.git(&["push", "--quiet", "origin", "main:feature"]);
    let log = told(&appliance, 3);
    has(&log, &["found deps of feature", "tools of main", "GET given/release main 200"]);
    has(&log, &denied);
}
