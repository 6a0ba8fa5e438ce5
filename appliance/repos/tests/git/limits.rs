//! Pushes that are not taken.

use super::client::{Place, noise};
use base::units::Bytes;
use repos::Limits;
use std::{
    io::{Read, Write},
    net::TcpStream,
    path::Path,
};

/// Nothing of a refused push is left.
pub(crate) fn assert_untouched(place: &Place) {
    assert!(place.server.repository().branches().unwrap().is_empty());
    let count = |dir: &Path| std::fs::read_dir(dir).unwrap().count();
    let root = place.dir.path().join("root");
    assert_eq!(count(&root.join("acme/relay.git/objects/pack")), 0);
    assert_eq!(count(&root.join(".incoming")), 0);
    assert!(place.server.watcher.before.lock().unwrap().is_empty());
}

#[test]
fn a_pack_with_too_many_bytes_is_refused_with_the_limit() {
    let place = Place::with(Limits { pack: Bytes::kib(100), ..Limits::default() });
    let copy = place.copy("a");
    copy.commit("big", noise(1, 3_000_000));
    let said = copy.git_fails(&["push", "origin", "main"]);
    assert!(said.contains("larger than the 100 KiB"), "{said}");
    assert_untouched(&place);
}

#[test]
fn a_pack_with_too_many_objects_is_refused_with_the_limit() {
    let place = Place::with(Limits { objects: 3, ..Limits::default() });
    let copy = place.copy("a");
    copy.commit("x", "x");
    let said = copy.git_fails(&["push", "origin", "main"]);
    assert!(said.contains("more than the 3"), "{said}");
    assert_untouched(&place);
}

#[test]
fn an_object_too_large_for_memory_is_refused() {
    let place = Place::with(Limits { object: Bytes::kib(64), ..Limits::default() });
    let copy = place.copy("a");
    copy.commit("big", "0".repeat(1 << 20));
    copy.git_fails(&["push", "origin", "main"]);
    assert_untouched(&place);
}

#[test]
fn a_push_of_too_many_references_is_refused() {
    let place = Place::with(Limits { updates: 3, ..Limits::default() });
    let copy = place.copy("a");
    let all: Vec<String> = (0..4).map(|n| format!("main:b{n}")).collect();
    let mut arguments = vec!["push", "origin"];
    arguments.extend(all.iter().map(String::as_str));
    let said = copy.git_fails(&arguments);
    assert!(said.contains("at most 3 references"), "{said}");
    assert_untouched(&place);
}

/// Sends `body` to receive-pack and reads the whole answer.
pub(crate) fn post(place: &Place, body: &[u8]) -> String {
    let url = place.server.url();
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap().to_owned();
    let mut stream = TcpStream::connect(&host).unwrap();
    write!(
        stream,
        "POST /acme/relay.git/git-receive-pack HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/x-git-receive-pack-request\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

fn command(copy: &super::client::Copy) -> Vec<u8> {
    let zero = "0".repeat(40);
    let line = format!("{zero} {} refs/heads/main\0report-status", copy.head());
    format!("{:04x}{line}0000", line.len() + 4).into_bytes()
}

pub(crate) fn pack(copy: &super::client::Copy, revisions: &str) -> Vec<u8> {
    copy.write(".git/revisions", revisions);
    let mut command =
        super::client::command(&copy.dir, &["pack-objects", "--revs", "--stdout", "-q"]);
    let list = std::fs::File::open(copy.dir.join(".git/revisions")).unwrap();
    command.stdin(list).output().unwrap().stdout
}

#[test]
fn broken_packs_are_refused_and_leave_nothing() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.commit("x", noise(7, 10_000));
    let good = pack(&copy, "HEAD\n");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let cut = &good[..good.len() - 30];
    // What the second commit needs is not there.
    let lacking = pack(&copy, "HEAD\n^HEAD~1\n");
    for (what, bytes) in [
        ("flipped", &flipped[..]),
        ("cut", cut),
        ("lacking", &lacking),
        ("none", b""),
        ("text", b"hello, world"),
    ] {
        let answer = post(&place, &[&command(&copy), bytes].concat());
        assert!(answer.contains("ng refs/heads/main"), "{what}: {answer}");
        assert!(!answer.contains("unpack ok"), "{what}: {answer}");
        assert_untouched(&place);
    }
    let answer = post(&place, &[&command(&copy), &good[..]].concat());
    assert!(answer.contains("unpack ok") && answer.contains("ok refs/heads/main"), "{answer}");
    place.fsck();
}

#[test]
fn names_that_reach_into_the_git_folder_are_refused() {
    let place = Place::new();
    let copy = place.copy("a");
    let blob = copy.git(&["rev-parse", "HEAD:README.md"]);
    for name in [".git", ".GIT", "git~1", ".."] {
        copy.write(".git/entry", format!("100644 blob {blob}\t{name}\n"));
        let mut make = super::client::command(&copy.dir, &["mktree"]);
        let entry = std::fs::File::open(copy.dir.join(".git/entry")).unwrap();
        let made = make.stdin(entry).output().unwrap();
        assert!(made.status.success());
        let tree = String::from_utf8(made.stdout).unwrap();
        let commit = copy.git(&["commit-tree", tree.trim(), "-m", "bad"]);
        let said = copy.git_fails(&["push", "origin", &format!("{commit}:refs/heads/main")]);
        assert!(said.contains("tree"), "{said}");
        assert_untouched(&place);
    }
}

#[test]
fn requests_that_are_not_gits_are_refused() {
    let place = Place::new();
    for body in [&b"hello"[..], b"0009hello0000", b"ffff", b""] {
        let answer = post(&place, body);
        assert!(
            answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.1 400"),
            "{answer}"
        );
        assert!(!answer.contains("ok refs"), "{answer}");
    }
    assert_untouched(&place);
}
