//! What older tools ask of version 1.1: the builds of a project.

use crate::{
    clients::run,
    doors::{BASE, WORD, ask, text},
    site::{
        Site,
        past::{self, Run},
    },
};
use base::state::JobState;
use store::access::Role;

/// Builds as older tools list, cancel and repeat them.
#[tokio::test]
async fn version_1_lists_cancels_and_repeats_builds() {
    let site = Site::open(BASE).await;
    let project = site.project("acme/relay").await;
    for (number, state) in [(1, JobState::Success), (2, JobState::Failed), (3, JobState::Success)] {
        let jobs = vec![past::ended(past::good("compile", &[], 1, 2), state)];
        let branch = if number == 3 { "fix/x" } else { "main" };
        site.past(Run { project, branch, jobs, ..run(number) }).await;
    }
    let config =
        "version: 2.1\njobs: {j: {machine: true, steps: [run: x]}}\nworkflows: {w: {jobs: [j]}}\n";
    site.engine.trigger(past::trigger(&Run { project, config, ..run(4) })).await.unwrap();
    let user = site.account("mira", Role::Member, WORD, false).await;
    let token = site.token(user, Role::Member).await;
    let viewer = site.account("vera", Role::Viewer, WORD, false).await;
    let viewer = site.token(viewer, Role::Viewer).await;
    let place = "/api/v1.1/project/github/acme/relay";
    let call = async |token: &str, method: &str, path: &str| {
        let answer =
            ask(&site, method, &format!("{place}{path}"), &[("circle-token", token)], "").await;
        let status = answer.status().as_u16();
        (status, serde_json::from_str::<serde_json::Value>(&text(answer).await).unwrap())
    };
    for (path, expected) in [
        ("", vec![4, 3, 2, 1]),
        ("?limit=2&offset=1", vec![3, 2]),
        ("?filter=failed", vec![2]),
        ("?filter=completed&limit=1", vec![3]),
        ("/tree/main?filter=successful", vec![1]),
        ("/tree/fix%2Fx", vec![3]),
    ] {
        let (status, told) = call(&token, "GET", path).await;
        let numbers: Vec<u64> =
            told.as_array().unwrap().iter().map(|one| one["build_num"].as_u64().unwrap()).collect();
        assert_eq!((status, numbers), (200, expected), "{path}");
    }
    let listed = call(&token, "GET", "?limit=1").await.1;
    assert_eq!(
        (&listed[0]["lifecycle"], &listed[0]["reponame"]),
        (&"queued".into(), &"relay".into())
    );
    assert_eq!(call(&token, "GET", "?filter=x").await.0, 400);
    for path in ["/4/cancel", "/4/retry"] {
        assert_eq!(call(&viewer, "POST", path).await.0, 403, "{path}");
    }
    let (status, canceled) = call(&token, "POST", "/4/cancel").await;
    assert_eq!((status, &canceled["status"]), (200, &"canceled".into()), "{canceled}");
    let (status, again) = call(&token, "POST", "/4/retry").await;
    assert_eq!((status, &again["build_num"]), (200, &5.into()), "{again}");
    assert_eq!(again["workflows"]["job_name"], "j", "{again}");
    assert_eq!(call(&token, "POST", "/9/retry").await.0, 404);
}
