//! The command line as a person and a script use it: what it finds, what it refuses, and what its
//! exit code says.

use crate::{
    git::account,
    harness::{Appliance, BINARY, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use std::{
    fs::{self, OpenOptions},
    io::Write,
    process::{Command, Output, Stdio},
};

const PROJECT: &str = "acme/line";

const CONFIG: &str = r#"version: 2.1
parameters:
  loud: {type: boolean, default: false}
jobs:
  twice:
    machine: true
    parallelism: 2
    steps:
      - run: mkdir out; echo "$CIRCLE_NODE_INDEX" > out/node.txt; echo once > out/$CIRCLE_NODE_INDEX.txt
      - store_artifacts: {path: out, destination: out}
workflows:
  main:
    jobs: [twice, {hold: {type: approval, requires: [twice]}}]
"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The exit code, and both outputs together.
fn told(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

/// The command's end and words.
fn check(house: &Appliance, arguments: &[&str], code: i32, words: &[&str]) -> String {
    let (found, said) = told(&house.cli(arguments));
    assert_eq!(found, Some(code), "{arguments:?}: {said}");
    for word in words {
        assert!(said.contains(word), "{arguments:?} lacks `{word}`: {said}");
    }
    said
}

/// Sets a variable from what comes through a pipe.
fn set(house: &Appliance, value: &[u8]) -> (Option<i32>, String) {
    let mut child = Command::new(BINARY)
        .args(["project", "set-env", PROJECT, "KEY", "--data-dir"])
        .arg(house.data())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // One that refuses may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(value);
    told(&child.wait_with_output().unwrap())
}

/// With its result going to a full disk, or to a reader that left.
fn unwritable(house: &Appliance, arguments: &[&str], to: Stdio) -> (Option<i32>, String) {
    let output = Command::new(BINARY)
        .args(arguments)
        .arg("--data-dir")
        .arg(house.data())
        .stdout(to)
        .stderr(Stdio::piped())
        .output();
    told(&output.unwrap())
}

#[test]
fn a_person_finds_everything_from_the_terminal() {
    if !may_run_jobs() {
        return;
    }
    let house = Appliance::start();
    let copy = WorkingCopy::new(&house, PROJECT, &account(&house, "dev", "member"));
    copy.commit(".circleci/config.yml", CONFIG, "Twice \x1b[31m");
    copy.push();
    wait_for("the approval", || {
        let (_, said) = told(&house.cli(&["pipeline", "list", PROJECT]));
        assert!(!said.contains('\x1b'), "a subject may not command the terminal: {said:?}");
        said.contains("on_hold").then_some(())
    });
    let shown = check(&house, &["pipeline", "show", PROJECT, "1"], 0, &["twice", "hold"]);
    let workflow = shown.split_once("workflow main (").unwrap().1.split_once(')').unwrap().0;
    check(&house, &["workflow", "approve", workflow, "nope"], 3, &["no job `nope`"]);
    check(&house, &["workflow", "approve", workflow], 0, &[]);
    check(&house, &["pipeline", "watch", PROJECT, "1"], 0, &["main/twice: success"]);
    let data = house.cli(&["pipeline", "watch", PROJECT, "1", "--json"]);
    let data: serde_json::Value = serde_json::from_slice(&data.stdout).unwrap();
    assert_eq!(data["workflows"][0]["status"], "success");
    check(&house, &["pipeline", "show", PROJECT], 2, &["give the number of one"]);
    check(&house, &["pipeline", "list", &format!("github/{PROJECT}")], 0, &["success"]);

    // Each node's file of the same name, in a folder of its own.
    let folder = house.folder.path().join("got");
    let to = folder.display().to_string();
    check(&house, &["artifact", "get", PROJECT, "1", "-o", &to], 0, &["1/out/node.txt"]);
    check(&house, &["artifact", "list", PROJECT, "1"], 0, &["2 B", "out/node.txt"]);
    let one = ["artifact", "get", PROJECT, "1", "out/node.txt", "-o", "-"];
    check(&house, &one, 2, &["2 artifacts", "--node"]);
    check(&house, &["artifact", "get", PROJECT, "1", "nope"], 3, &["no artifact `nope`"]);
    let told = house.cli(&[&one[..], &["--node", "1"]].concat());
    assert_eq!(text(&told.stdout), "1\n", "and nothing else");
    for node in ["0", "1"] {
        let path = folder.join(node).join("out/node.txt");
        assert_eq!(fs::read_to_string(path).unwrap(), format!("{node}\n"));
        assert!(folder.join(format!("out/{node}.txt")).exists());
    }

    // What cannot work is told, and is no success.
    let trigger = ["pipeline", "trigger", PROJECT, "-p", "lout=true"];
    check(&house, &trigger, 8, &["errored", "lout"]);
    let quoted = ["pipeline", "trigger", PROJECT, "-p", "loud=\"true\""];
    check(&house, &quoted, 8, &["errored", "type string"]);
    check(&house, &["token", "create", "admin", "x", "--days", "0"], 2, &["days must be 1 to"]);
    check(&house, &["pipeline", "list", PROJECT, "--branch", "a b&c#d"], 0, &["NUMBER"]);
    check(&house, &["workflow", "jobs", "no such"], 3, &["not found"]);

    assert_eq!(set(&house, b"first\n").0, Some(0));
    let (code, said) = set(&house, b"");
    assert!(code == Some(2) && said.contains("no value"), "{said}");
    let (code, said) = set(&house, &[b'x'; 40_000]);
    assert!(code == Some(2) && said.contains("longer than"), "{said}");
    check(&house, &["project", "env", PROJECT], 0, &["xxxxst"]);
    check(&house, &["project", "unset-env", PROJECT, "KEY"], 0, &["KEY is removed"]);
    check(&house, &["project", "unset-env", PROJECT, "KEY"], 3, &["not found"]);
    check(&house, &["context", "create", "acme", "deploy"], 0, &[]);
    check(&house, &["context", "env", "acme", "deploy"], 0, &["VARIABLE"]);
    check(&house, &["context", "unset-env", "acme", "deploy", "KEY"], 3, &["not found"]);
    check(&house, &["context", "unset-env", "acme", "nope", "KEY"], 3, &["no context `nope`"]);

    let artifact = [&one[..], &["--node", "1"]].concat();
    for arguments in [&["user", "list"][..], &artifact[..]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let (code, said) = unwritable(&house, arguments, full.into());
        let is_told = said.contains("No space left") && !said.contains("panic");
        assert!(code == Some(1) && is_told, "{arguments:?}: {said}");
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let left = unwritable(&house, arguments, writer.into());
        assert_eq!(left, (Some(141), String::new()), "{arguments:?}");
    }
}
