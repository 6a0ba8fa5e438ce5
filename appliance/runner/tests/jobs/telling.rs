//! What a step tells of its waits, and what it does not tell of secrets.

use crate::{Bench, assign::run, named};
use base::{
    plan::{Action, When},
    protocol::Progress,
    state::TaskOutcome,
};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_waits_long_tells_what_for_once() {
    let Some(bench) = Bench::start() else { return };
    bench.control.state.lock().unwrap().slow = Some(("/cache", Duration::from_secs(6)));
    let restore = Action::RestoreCache { keys: vec!["v1".into()] };
    let done = bench.finish(&[named("restore", When::OnSuccess, restore), run("true")]).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{:#?}", done.progress);
    let told = done.text_of("restore");
    let expected = "Waiting for the search for a cache...\nNo cache is found for key: v1\n";
    assert_eq!(told, expected);
}

/// The value of `TOKEN` stands in names that the job chose.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_in_the_names_of_tests_and_artifacts_are_hidden() {
    let Some(bench) = Bench::start() else { return };
    let make = "mkdir -p junit out; for n in 1 2; do echo $n > out/$TOKEN-$n; done
        for end in '' %3D; do echo x > \"out/log-$TOKEN$end\"; done; mkdir out/d; echo y > out/d/x$TOKEN
        echo \"<testsuite><testcase classname='c $TOKEN' name='n $TOKEN' file='f/$TOKEN'><failure>m $TOKEN</failure></testcase></testsuite>\" > junit/$TOKEN.xml";
    let artifacts = Action::StoreArtifacts { path: "out".into(), destination: None };
    let tests = Action::StoreTestResults { path: "junit".into() };
    let steps = [
        run(make),
        named("artifacts", When::OnSuccess, artifacts),
        named("tests", When::OnSuccess, tests),
    ];
    let done = bench.finish(&steps).await;
    assert_eq!(done.outcome(), Some(TaskOutcome::Success), "{:#?}", done.progress);
    let all = format!("{:?}{}", done.progress, done.text_of("artifacts"));
    assert!(!all.contains("hunter2hunter2"), "{all}");
    let paths = done.progress.iter().filter_map(|one| match one {
        Progress::Artifact { path, .. } => Some(path.as_str()),
        _ => None,
    });
    let mut paths: Vec<_> = paths.collect();
    paths.sort_unstable();
    let expected = ["out/****-1", "out/****-2", "out/d/x****", "out/log-****", "out/log-****%3D"];
    assert_eq!(paths, expected);
    let tests = done.progress.iter().filter_map(|one| match one {
        Progress::Tests { tests } => Some(tests),
        _ => None,
    });
    let test = &tests.flatten().next().expect("one test");
    let told = [&test.classname, &test.name, &test.message];
    assert_eq!(told, ["c ****", "n ****", "m ****"]);
    assert_eq!(test.file.as_deref(), Some("f/****"));
    assert!(test.source.ends_with("****.xml"), "{}", test.source);
}
