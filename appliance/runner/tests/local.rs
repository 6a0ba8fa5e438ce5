//! `appliance run` without a server: a working copy's workflows, their order, caches and ends.
//!
//! These need root, because sandboxes do; without it they say so and pass.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests")]

use base::protocol::ImageSource;
use runner::{HostConfig, SiteNetwork, local};
use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

const RUNNER: &str = env!("CARGO_BIN_EXE_runner-alone");

/// A store that has no image.
struct NoImages;

impl local::Images for NoImages {
    fn find<'a>(&'a self, reference: &'a str) -> local::Pending<'a, ImageSource> {
        Box::pin(async move { Err(format!("image {reference} is not here")) })
    }

    fn fetch<'a>(&'a self, digest: &'a str, _: &'a Path) -> local::Pending<'a, ()> {
        Box::pin(async move { Err(format!("layer {digest} is not here")) })
    }
}

fn make_copy(copy: &Path, config: &str) {
    fs::create_dir_all(copy.join(".circleci")).unwrap();
    fs::write(copy.join(".circleci/config.yml"), config).unwrap();
    fs::write(copy.join("hello.txt"), "from the working copy\n").unwrap();
}

/// Runs `config` in the working copy of one file in `keep`; what was printed, and whether all was well.
async fn check(
    keep: &Path,
    config: &str,
    change: impl FnOnce(&mut local::Options),
) -> Option<(Result<bool, String>, String)> {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: sandboxes need root");
        return None;
    }
    let copy = keep.join("copy");
    make_copy(&copy, config);
    let data = tempfile::tempdir().unwrap();
    let printed = Arc::new(Mutex::new(String::new()));
    let lines = printed.clone();
    let mut options = local::Options {
        orbs: pipeline::Orbs::default(),
        directory: copy,
        workflows: Vec::new(),
        job: None,
        parameters: indexmap::IndexMap::new(),
        environment: Vec::new(),
        approve: false,
        slots: 2,
        keep: keep.into(),
        images: Arc::new(NoImages),
        host: HostConfig {
            version: "test".into(),
            data: data.path().into(),
            layers: keep.join("layers"),
            executable: RUNNER.into(),
            machine_root: None,
            machine_images: std::collections::BTreeMap::new(),
            masks: Vec::new(),
            disk: None,
            first_id: 300_000,
            network: SiteNetwork::default(),
        },
        print: Arc::new(move |job, line| {
            lines.lock().unwrap().push_str(&format!("{job}| {line}\n"))
        }),
    };
    change(&mut options);
    let result =
        local::run(options, std::future::pending()).await.map_err(|error| error.to_string());
    let printed = printed.lock().unwrap().clone();
    Some((result, printed))
}

const CONFIG: &str = r#"
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - checkout
      - restore_cache: {key: "v1-{{ checksum \"hello.txt\" }}"}
      - run: cat hello.txt; mkdir -p out; echo built-$CIRCLE_JOB > out/x
      - save_cache: {key: "v1-{{ checksum \"hello.txt\" }}", paths: [out]}
      - persist_to_workspace: {root: out, paths: [x]}
      - store_artifacts: {path: out}
  test:
    machine: true
    steps:
      - attach_workspace: {at: /tmp/ws}
      - run: cat /tmp/ws/x
  never:
    machine: true
    steps: [{run: "echo never"}]
workflows:
  main:
    jobs:
      - build
      - test: {requires: [build]}
      - hold: {type: approval, requires: [test]}
      - never: {requires: [hold]}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_working_copy_runs_as_on_a_server() {
    let keep = tempfile::tempdir().unwrap();
    let Some((result, printed)) = check(keep.path(), CONFIG, |_| ()).await else { return };
    assert_eq!(result, Ok(true), "{printed}");
    for line in ["build| from the working copy", "test| built-build", "never| ── not run"] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let build: Vec<&str> = printed.lines().filter(|line| line.starts_with("build|")).collect();
    let at = |text: &str| build.iter().position(|line| line.ends_with(text)).unwrap();
    assert!(
        at("── cat hello.txt; mkdir -p out; echo built-$CIRCLE_JOB > out/x")
            < at("from the working copy"),
        "{printed}"
    );
    assert!(at("from the working copy") < at("── Saving cache"), "{printed}");
    let mut projects = fs::read_dir(keep.path().join("artifacts")).unwrap().flatten();
    let project = projects.next().unwrap().path();
    assert!(project.file_name().unwrap().to_string_lossy().starts_with("copy-"), "{project:?}");
    let artifact = project.join("main/build/out/x");
    assert_eq!(fs::read_to_string(&artifact).unwrap(), "built-build\n");
    fs::write(project.join("old"), "of an earlier run").unwrap();
    // The cache is there the next time.
    let (result, printed) =
        check(keep.path(), CONFIG, |options| options.job = Some("build".into())).await.unwrap();
    assert_eq!(result, Ok(true));
    assert!(printed.contains("build| Found a cache from build 1 at v1-"), "{printed}");
    assert!(!printed.contains("test|"), "{printed}");
    assert!(artifact.exists() && !project.join("old").exists());
    // Another working copy has caches and artifacts of its own.
    let other = keep.path().join("other/copy");
    make_copy(&other, CONFIG);
    let (result, printed) = check(keep.path(), CONFIG, |options| {
        (options.directory, options.job) = (other, Some("build".into()));
    })
    .await
    .unwrap();
    assert_eq!(result, Ok(true));
    assert!(!printed.contains("Found a cache"), "{printed}");
    assert!(artifact.exists());
}

const SHARED: &str = r#"
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: mkdir -p out; echo mine-$NAP > out/x
      - persist_to_workspace: {root: out, paths: [x]}
      - store_artifacts: {path: out}
      - run: sleep $NAP
  test:
    machine: true
    steps:
      - attach_workspace: {at: /tmp/ws}
      - run: cat /tmp/ws/x
workflows: {main: {jobs: [build, {test: {requires: [build]}}]}}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_runs_at_once_in_one_working_copy_keep_out_of_each_other_s_way() {
    let keep = tempfile::tempdir().unwrap();
    let run = |nap: &'static str| {
        check(keep.path(), SHARED, move |options| {
            let value = base::secret::Secret::new(nap);
            options.environment = vec![base::protocol::Variable { name: "NAP".into(), value }];
        })
    };
    let (Some((short, told)), Some((long, tells))) = tokio::join!(run("0.1"), run("3.1")) else {
        return;
    };
    assert_eq!((short, long), (Ok(true), Ok(true)), "{told}\n{tells}");
    let artifacts = fs::read_dir(keep.path().join("artifacts")).unwrap().flatten();
    let read = |run: fs::DirEntry| fs::read_to_string(run.path().join("main/build/out/x")).unwrap();
    let mut kept: Vec<String> = artifacts.map(read).collect();
    kept.sort();
    assert_eq!(kept, ["mine-0.1\n", "mine-3.1\n"]);
}

const NODES: &str = r#"
version: 2.1
jobs:
  a:
    machine: true
    parallelism: 2
    steps: [{run: echo $CIRCLE_JOB $CIRCLE_NODE_INDEX > /tmp/x}, {store_artifacts: {path: /tmp/x, destination: x}}]
  a-0:
    machine: true
    steps: [{run: echo $CIRCLE_JOB > /tmp/x}, {store_artifacts: {path: /tmp/x, destination: x}}]
workflows: {main: {jobs: [a, a-0]}}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_called_as_the_node_of_another_has_artifacts_of_its_own() {
    let keep = tempfile::tempdir().unwrap();
    let Some((result, printed)) = check(keep.path(), NODES, |_| ()).await else { return };
    assert_eq!(result, Ok(true), "{printed}");
    let mut projects = fs::read_dir(keep.path().join("artifacts")).unwrap().flatten();
    let folders = fs::read_dir(projects.next().unwrap().path().join("main")).unwrap().flatten();
    let mut kept: Vec<String> =
        folders.map(|job| fs::read_to_string(job.path().join("x")).unwrap()).collect();
    kept.sort();
    assert_eq!(kept, ["a 0\n", "a 1\n", "a-0\n"], "{printed}");
}

const TWO: &str = r#"
version: 2.1
jobs:
  build:
    machine: true
    steps:
      - run: echo of $FROM > /tmp/a
      - store_artifacts: {path: /tmp/a, destination: a}
workflows:
  one: {jobs: [{build: {context: [deploy, other]}}]}
  two: {jobs: [{build: {context: deploy}}, {hold: {type: approval}}]}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflows_are_told_apart_and_contexts_are_told_to_be_absent() {
    let keep = tempfile::tempdir().unwrap();
    let Some((result, printed)) = check(keep.path(), TWO, |_| ()).await else { return };
    assert_eq!(result, Ok(true), "{printed}");
    for line in ["one/build| ── artifact ", "two/build| ── artifact ", "two/hold| ── waits for"]
    {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    for folder in ["/one/build/a\n", "/two/build/a\n"] {
        assert!(printed.contains(folder), "{folder}: {printed}");
    }
    for name in ["deploy", "other"] {
        let line = format!("| The context `{name}` is not here: give its variables with --env");
        assert_eq!(printed.matches(&line).count(), 1, "{printed}");
    }
    assert!(printed.contains("Network: off: this runner gives jobs none"), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_and_an_error_are_told() {
    let keep = tempfile::tempdir().unwrap();
    let failing = "version: 2.1\njobs:\n  build:\n    machine: true\n    steps: [{run: exit 4}]\n";
    let Some((result, printed)) = check(keep.path(), failing, |_| ()).await else { return };
    assert_eq!(result, Ok(false), "{printed}");
    assert!(printed.contains("build| Exited with code exit status 4"), "{printed}");
    let (result, _) =
        check(keep.path(), "version: 2.1\njobs:\n  build:\n    steps: []\n", |_| ()).await.unwrap();
    let error = result.unwrap_err();
    assert!(error.contains("config.yml"), "{error}");
    let (result, _) =
        check(keep.path(), failing, |options| options.job = Some("nope".into())).await.unwrap();
    assert_eq!(result.unwrap_err(), "no job is named `nope`: there are build");
}

const LOOK: std::time::Duration = std::time::Duration::from_millis(20);

/// Processes that have this word among their arguments.
fn called_with(word: &str) -> usize {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let lines = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(word)).count()
}

/// By SIGKILL, say: nobody tells the supervisors.
#[test]
fn a_run_that_is_gone_takes_its_jobs_along_and_the_next_what_it_left() {
    let keep = tempfile::tempdir().unwrap();
    let data = tempfile::tempdir().unwrap();
    let jobs = data.path().join("jobs");
    let run = |script: &str| {
        let config =
            format!("version: 2.1\njobs: {{build: {{machine: true, steps: [run: {script}]}}}}\n");
        let (data, keep) = (data.path().to_owned(), keep.path().to_owned());
        async move { check(&keep, &config, |options| options.host.data = data).await }
    };
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let is_up = |job: fs::DirEntry| {
        fs::read_to_string(job.path().join("step-2.out")).is_ok_and(|text| text.contains("up"))
    };
    let first = runtime();
    let ended = first.block_on(async {
        let up = async {
            while !fs::read_dir(&jobs).is_ok_and(|mut jobs| jobs.any(|job| job.is_ok_and(is_up))) {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::select! {
            ended = run("echo up; sleep 1000") => Some(ended),
            () = up => None,
        }
    });
    if let Some(ended) = ended {
        return assert!(ended.is_none(), "{ended:?}");
    }
    let name = data.path().to_str().unwrap();
    assert!(called_with(name) > 0);
    drop(first);
    let gone = async {
        while called_with(name) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    let gone = async { tokio::time::timeout(std::time::Duration::from_secs(20), gone).await };
    runtime().block_on(gone).expect("its job ends with it");
    assert_eq!(fs::read_dir(&jobs).unwrap().count(), 1, "what it left");
    let (result, printed) = runtime().block_on(run("echo next")).unwrap();
    assert_eq!(result, Ok(true), "{printed}");
    assert_eq!(fs::read_dir(&jobs).unwrap().count(), 0);
}
