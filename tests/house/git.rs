//! Pushing with the real git, over TLS.

use crate::{
    harness::{Appliance, wait_for},
    workspace::WorkingCopy,
};
use std::process::Command;

pub(crate) const HELLO: &str = "version: 2.1\njobs:\n  hello:\n    machine: true\n    steps:\n      - run: echo hello\nworkflows:\n  main:\n    jobs: [hello]\n";

/// An account with a token, as `login:token` for a URL.
pub(crate) fn account(appliance: &Appliance, login: &str, role: &str) -> String {
    let body = format!(r#"{{"login":"{login}","role":"{role}"}}"#);
    appliance.api("POST", "/api/appliance/v1/user", Some(&body));
    let path = format!("/api/appliance/v1/user/{login}/token");
    let made = appliance.api("POST", &path, Some(r#"{"label":"test"}"#));
    format!("{login}:{}", made["token"].as_str().unwrap())
}

#[test]
fn a_push_makes_the_project_and_shows_its_pipeline() {
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, "acme/relay", &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", HELLO, "First");
    let told = copy.push();
    let pipeline = appliance.newest_pipeline("acme/relay");
    let address = format!("{}/pipelines/gh/acme/relay/{}", appliance.base_url, pipeline["number"]);
    assert!(told.contains("remote: ") && told.contains(&address), "{told}");
    assert_eq!(pipeline["state"], "created");
    assert_eq!(pipeline["vcs"]["branch"], "main");
    assert_eq!(pipeline["trigger"]["type"], "webhook");
    assert_eq!(pipeline["trigger"]["actor"]["login"], "dev");
    // A running job would go on without the appliance, and be found as left behind.
    appliance.wait_for_workflows(pipeline["id"].as_str().unwrap());
}

#[test]
fn a_configuration_error_names_file_line_and_column() {
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, "acme/broken", &account(&appliance, "dev", "member"));
    copy.commit(
        ".circleci/config.yml",
        &HELLO.replace("- run: echo hello", "- runn: echo hello"),
        "Broken",
    );
    copy.push();
    let pipeline = appliance.newest_pipeline("acme/broken");
    assert_eq!(pipeline["state"], "errored");
    let message = pipeline["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("config.yml:6:9"), "{message}");
    assert_eq!(pipeline["errors"][0]["type"], "config");
}

#[test]
fn a_commit_that_skips_makes_no_pipeline_and_says_so() {
    let appliance = Appliance::start();
    let copy = WorkingCopy::new(&appliance, "acme/skip", &account(&appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", HELLO, "[ci skip] docs");
    copy.push();
    assert!(appliance.items("/api/v2/project/gh/acme/skip/pipeline").is_empty());
}

#[test]
fn viewers_and_strangers_may_not_push() {
    let appliance = Appliance::start();
    for credentials in [account(&appliance, "eve", "viewer"), "eve:wrong".to_owned()] {
        let copy = WorkingCopy::new(&appliance, "acme/closed", &credentials);
        copy.commit(".circleci/config.yml", HELLO, "First");
        assert!(!copy.try_git(&["push", "origin", "main"]).status.success());
    }
}

#[test]
fn clone_fetch_shallow_tags_and_deletion_work_with_every_protocol() {
    let appliance = Appliance::start();
    let credentials = account(&appliance, "dev", "member");
    let copy = WorkingCopy::new(&appliance, "acme/relay", &credentials);
    for n in 0..5 {
        copy.commit("file.txt", &format!("{n}\n"), &format!("[skip ci] Commit {n}"));
    }
    copy.git(&["tag", "-a", "v1", "-m", "[skip ci] one"]);
    copy.git(&["push", "--quiet", "origin", "main", "main:side"]);
    copy.git(&["push", "--quiet", "origin", "v1"]);
    for version in ["0", "1", "2"] {
        for depth in [None, Some("--depth=2")] {
            let folder = tempfile::tempdir().unwrap();
            let url = copy.git_output(&["remote", "get-url", "origin"]);
            let ca = appliance.data().join("tls/ca.pem");
            let mut clone = Command::new("git");
            clone
                .args(["-c", &format!("protocol.version={version}"), "clone", "--quiet"])
                .env("GIT_SSL_CAINFO", &ca);
            let status =
                clone.args(depth).arg(url.trim()).arg(folder.path().join("copy")).status().unwrap();
            assert!(status.success(), "protocol {version} {depth:?}");
            let fsck = Command::new("git")
                .args(["fsck", "--strict"])
                .current_dir(folder.path().join("copy"))
                .output();
            assert!(fsck.unwrap().status.success());
        }
    }
    copy.git(&["push", "--quiet", "origin", ":side"]);
    let left =
        wait_for("the branch to be gone", || Some(copy.git_output(&["ls-remote", "origin"])));
    assert!(!left.contains("refs/heads/side") && left.contains("refs/tags/v1"), "{left}");
}
