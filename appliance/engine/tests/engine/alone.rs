//! Tests that read their own process's figures, or have it killed, run in a process of their own.

#![expect(clippy::disallowed_methods, reason = "a test starts itself again")]

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// This binary once more, to run the one test `name` with `variable` set.
pub(crate) fn again(name: &str, variable: &str, value: &OsStr) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture"]).env(variable, value).stdin(Stdio::null());
    command
}

/// One life of the test `name` as a child over `dir`, cut `after` it printed that it begins.
pub(crate) fn one_life(name: &str, variable: &str, dir: &Path, after: Duration) {
    let mut child = again(name, variable, dir.as_os_str())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("begins"))).unwrap().unwrap();
    let dies = Instant::now() + after;
    while Instant::now() < dies && child.try_wait().unwrap().is_none() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Runs the test `name` in a process of its own; false there, where the test is to do its work.
#[expect(clippy::print_stdout, reason = "a measurement is told to who asked for it")]
pub(crate) fn by_itself(name: &str) -> bool {
    const HERE: &str = "APPLIANCE_TEST_ALONE";
    if std::env::var_os(HERE).is_some() {
        return false;
    }
    let output = again(name, HERE, "1".as_ref()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    said.lines().filter(|line| line.contains(": ")).for_each(|line| println!("{line}"));
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    true
}
