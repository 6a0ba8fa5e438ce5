//! Caches and workspace layers: kept, found, and listed to the jobs downstream.

use super::*;
use base::protocol::{CacheHit, Workspace};

/// Two jobs side by side, and one that requires both.
const FORK: &str = "version: 2.1
jobs:
  left: { machine: true, steps: [ run: 'true' ] }
  right: { machine: true, steps: [ run: 'true' ] }
  join: { machine: true, steps: [ run: 'true' ] }
workflows:
  main: { jobs: [ left, right, join: { requires: [ left, right ] } ] }
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cache_is_kept_once_and_found_by_its_prefix() {
    let site = site().await;
    site.trigger().await;
    let held = site.claim().await;
    let none: Option<CacheHit> = site.ask(&of(&held, "cache"), &keys(&["deps-v1-", "deps-"])).await;
    assert!(none.is_none());
    let request = StoreRequest::Cache { key: "deps-v1-abc".into() };
    let confirm = site.keep(&held, request.clone(), "caches").await;
    let () = site.ask(&of(&held, "confirm"), &confirm).await;
    assert!(site.state.objects.head("caches", &confirm.key).await.is_ok(), "repeated, not dropped");
    let hit: Option<CacheHit> = site.ask(&of(&held, "cache"), &keys(&["other", "deps-"])).await;
    let hit = hit.unwrap();
    assert_eq!((hit.key.as_str(), hit.size, hit.build), ("deps-v1-abc", 5, held.job_number));
    assert_eq!(hit.paths, ["out.txt"]);
    let again: StoreTarget = site.ask(&of(&held, "store"), &request).await;
    assert_eq!(again, StoreTarget::Exists);
}

fn keys(list: &[&str]) -> serde_json::Value {
    serde_json::json!({ "keys": list })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_layer_reaches_the_job_downstream() {
    let site = site().await;
    site.trigger().await;
    let held = site.claim().await;
    site.keep(&held, StoreRequest::Workspace, "workspaces").await;
    let own: Workspace = site.ask(&of(&held, "workspace"), &keys(&[])).await;
    assert!(own.layers.is_empty(), "a job does not see its own layer");
    site.report(&held, 0, vec![Progress::Started { at: Timestamp(1) }, ended()]).await;
    let next = site.claim().await;
    assert_eq!(next.job_name, "next");
    let Workspace { layers, conflict } = site.ask(&of(&next, "workspace"), &keys(&[])).await;
    assert_eq!((layers.len(), layers[0].job_name.as_str(), conflict), (1, "build", None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_newer_cache_comes_before_an_older_one_of_that_very_key() {
    let site = site().await;
    site.trigger().await;
    let held = site.claim().await;
    for key in ["deps", "deps-2", "other"] {
        site.keep(&held, StoreRequest::Cache { key: key.into() }, "caches").await;
    }
    let hit: Option<CacheHit> = site.ask(&of(&held, "cache"), &keys(&["none", "deps"])).await;
    assert_eq!(hit.unwrap().key, "deps-2");
}

/// Long ones, of which nothing is left out: 100,000 of them are 12 MB.
fn names(job: &str) -> Vec<String> {
    let folder = format!("node_modules/@{job}/{}", "a-long-folder/".repeat(6));
    (0..100_000).map(|nth| format!("{folder}file-{nth}.js")).collect()
}

/// Claims both jobs side by side, and has them persist these.
async fn fork(site: &Site, of_job: impl Fn(&str) -> Vec<String>) -> Assignment {
    site.trigger_with(FORK).await;
    for held in site.claim_all(2).await {
        let names = Names::pack(of_job(&held.job_name)).unwrap();
        site.keep_named(&held, StoreRequest::Workspace, "workspaces", names).await;
        site.report(&held, 0, vec![Progress::Started { at: Timestamp(1) }, ended()]).await;
    }
    site.claim().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn layers_of_a_hundred_thousand_files_are_kept_and_listed() {
    let site = site().await;
    let join = fork(&site, names).await;
    let (status, answer) = site.send(Method::POST, &of(&join, "workspace"), b"{}".to_vec()).await;
    assert!(status.is_success() && answer.len() < 10_000, "{status}, {} bytes", answer.len());
    let Workspace { layers, conflict } = serde_json::from_slice(&answer).unwrap();
    assert_eq!((layers.len(), conflict), (2, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_file_of_a_hundred_thousand_that_both_have_is_named() {
    let site = site().await;
    let shared = names("shared").pop().unwrap();
    let join = fork(&site, |job| [names(job), vec![shared.clone()]].concat()).await;
    let Workspace { conflict, .. } = site.ask(&of(&join, "workspace"), &keys(&[])).await;
    let conflict = conflict.unwrap();
    assert_eq!(conflict.path, shared);
    let mut jobs = conflict.jobs;
    jobs.sort();
    assert_eq!(jobs, ["left", "right"]);
}
