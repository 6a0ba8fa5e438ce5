//! `appliance run`: a working copy's workflows right here, without a server.

use crate::{
    harness::{BINARY, may_run_jobs, processes_of, wait_for},
    image::{BOX, archive, has_busybox},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const CONFIG: &str = r#"version: 2.1
jobs:
  good:
    machine: {image: 'ubuntu-2204:current'}
    steps:
      - checkout
      - run: cat README; echo "$COLOUR"
      - persist_to_workspace: {root: ., paths: [README]}
  after:
    machine: true
    steps:
      - attach_workspace: {at: there}
      - run: wc -c there/README
  bad:
    machine: true
    steps:
      - run: exit 3
  boxed:
    docker: [{image: 'site/none:1'}]
    steps:
      - run: 'true'
  housed:
    docker:
      - image: site/box:1
        entrypoint: [/bin/sh, -c, 'echo "entered, $COLOUR" > /dev/stderr; exec sleep 600']
      - image: site/box:1
        name: page
        entrypoint: [/bin/sh, -c, 'mkdir /www; echo from a service > /www/index.html; echo up > /dev/stdout; exec httpd -f -p 8080 -h /www']
    shell: /bin/sh -e
    steps:
      - checkout
      - run: until wget -q -O - http://page:8080/; do sleep 0.1; done
      - run: cat README > /dev/stderr; ls /etc/box-release
  long:
    machine: true
    steps:
      - run: echo begun; sleep 600
workflows:
  lasting:
    jobs: [long]
  images:
    jobs: [housed]
  fine:
    jobs:
      - good
      - after: {requires: [good]}
  failing:
    jobs: [bad]
  contained:
    jobs: [boxed]
"#;

fn command(folder: &Path, workflow: &str) -> Command {
    let mut command = Command::new(BINARY);
    command
        .args(["run", "--workflow", workflow, "--env", "COLOUR=turquoise"])
        .arg(folder.join("copy"))
        .env("HOME", folder)
        .env("XDG_CACHE_HOME", folder.join("cache"))
        .env("APPLIANCE_DATA_DIR", folder.join("data"));
    command
}

/// Runs one workflow; the exit code and everything that was printed.
fn run(folder: &Path, workflow: &str) -> (Option<i32>, String) {
    run_into(folder, workflow, Stdio::piped())
}

/// The same with its result going elsewhere.
fn run_into(folder: &Path, workflow: &str, result: Stdio) -> (Option<i32>, String) {
    let output = command(folder, workflow).stdout(result).stderr(Stdio::piped()).output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&told).into_owned())
}

/// A folder of the test's own, and a working copy in it.
fn working_copy() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy");
    fs::create_dir_all(copy.join(".circleci")).unwrap();
    fs::write(copy.join(".circleci/config.yml"), CONFIG).unwrap();
    (folder, copy)
}

/// The last process of a job may be on its way out when its run has ended.
fn assert_nothing_is_left(folder: &Path) {
    wait_for("the jobs to end with their run", || processes_of(folder).is_empty().then_some(()));
}

#[test]
fn a_working_copy_runs_here_and_its_exit_code_tells() {
    if !may_run_jobs() {
        return;
    }
    let (folder, copy) = working_copy();
    fs::write(copy.join("README"), "read me\n").unwrap();
    let (code, told) = run(folder.path(), "fine");
    assert_eq!(code, Some(0), "{told}");
    let warning = "the image `ubuntu-2204:current` is not known here";
    for text in ["read me", "8 there/README", warning] {
        assert!(told.contains(text), "`{text}` is missing:\n{told}");
    }
    assert!(!told.contains("turquoise"), "a variable was not masked:\n{told}");
    let (code, told) = run(folder.path(), "failing");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("exit status 3"), "{told}");
    let (code, told) = run(folder.path(), "contained");
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("appliance registry import"), "{told}");
    assert!(told.contains("--local"), "{told}");
    // What nobody can read is not run to its end.
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, told) = run_into(folder.path(), "fine", full.into());
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("cannot be written") && !told.contains("panicked"), "{told}");
    assert_nothing_is_left(folder.path());
}

#[test]
fn a_run_that_is_asked_to_end_takes_its_jobs_along() {
    if !may_run_jobs() {
        return;
    }
    let (folder, _copy) = working_copy();
    for signal in [Signal::TERM, Signal::HUP] {
        let mut run = command(folder.path(), "lasting").stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut lines = lines.skip_while(|line| !line.contains("begun"));
        assert!(lines.next().is_some(), "the job began");
        kill_process(Pid::from_child(&run), signal).unwrap();
        lines.for_each(drop);
        assert_eq!(run.wait().unwrap().code(), Some(1));
        assert_nothing_is_left(folder.path());
        let left = fs::read_dir(folder.path().join("cache/appliance")).unwrap().flatten();
        let mut left = left.filter(|entry| entry.file_name().to_string_lossy().starts_with("run-"));
        assert!(left.next().is_none(), "the folder of the run stays");
    }
}

/// Nobody tells it to end, and nobody its supervisors.
#[test]
fn a_run_that_is_killed_takes_its_jobs_along() {
    if !may_run_jobs() {
        return;
    }
    let (folder, _copy) = working_copy();
    let mut run = command(folder.path(), "lasting").stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(run.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.into_iter().any(|line| line.contains("begun")), "the job began");
    run.kill().unwrap();
    run.wait().unwrap();
    assert_nothing_is_left(folder.path());
}

#[test]
fn images_are_brought_in_for_runs_without_a_server() {
    if !has_busybox() || !may_run_jobs() {
        return;
    }
    let (folder, copy) = working_copy();
    fs::write(copy.join("README"), "read me\n").unwrap();
    let image = archive(folder.path(), &BOX);
    let registry = |arguments: &[&str]| {
        let mut command = Command::new(BINARY);
        command.arg("registry").args(arguments).env("XDG_CACHE_HOME", folder.path().join("cache"));
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    registry(&["import", "--local", image.to_str().unwrap()]);
    assert!(registry(&["list", "--local"]).contains("docker.io/site/box:1"));
    // The second finds the layers unpacked.
    for unpacks in [true, false] {
        let (code, told) = run(folder.path(), "images");
        assert_eq!(code, Some(0), "{told}");
        for text in [
            "entered, ****",
            "from a service",
            "| up",
            "Container site/box:1 (page)",
            "read me",
            "/etc/box-release",
        ] {
            assert!(told.contains(text), "`{text}` is missing:\n{told}");
        }
        assert_eq!(told.contains("Unpacking layer"), unpacks, "{told}");
    }
    assert_nothing_is_left(folder.path());
}
