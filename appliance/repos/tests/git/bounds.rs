//! Working trees that are too large to be checked out.

use super::client::{Copy, Place};
use http_body_util::BodyExt;
use repos::{Checkout, Limits};
use std::{
    io::{self, Write},
    time::Duration,
};

/// Longer than any refusal takes.
const SOON: Duration = Duration::from_secs(60);

fn tree(copy: &Copy, entries: &str) -> String {
    copy.write(".git/entries", entries);
    let mut make = super::client::command(&copy.dir, &["mktree"]);
    let list = std::fs::File::open(copy.dir.join(".git/entries")).unwrap();
    let made = make.stdin(list).output().unwrap();
    assert!(made.status.success());
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

/// Pushes a commit of a tree of `wide` entries, each the same tree, `levels` deep, with `bottom`
/// as the lowest.
fn push_levels(copy: &Copy, levels: usize, wide: usize, bottom: &str) -> Checkout {
    let mut below = tree(copy, bottom);
    for _ in 0..levels {
        let entries: String = (0..wide).map(|n| format!("040000 tree {below}\td{n}\n")).collect();
        below = tree(copy, &entries);
    }
    let revision = copy.git(&["commit-tree", &below, "-m", "levels"]);
    copy.git(&["push", "-q", "origin", &format!("{revision}:refs/heads/main")]);
    Checkout { revision, branch: None, url: "https://ci.example.test/x.git".into() }
}

/// What whoever asks for the checkout hears: the status, and the message.
fn asked(place: &Place, checkout: Checkout) -> (u16, String) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let repository = place.server.repository();
    let heard = runtime.block_on(async {
        let asking = async {
            let answer = repos::http::checkout(repository, checkout).await;
            let status = answer.status().as_u16();
            (status, answer.into_body().collect().await.unwrap().to_bytes())
        };
        tokio::time::timeout(SOON, asking).await
    });
    runtime.shutdown_background();
    let (status, body) = heard.expect("an answer in time");
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn check(place: &Place, checkout: Checkout, expected: &str) {
    let (status, message) = asked(place, checkout);
    assert_eq!((status, message.trim_end()), (422, expected));
}

#[test]
fn a_few_trees_that_stand_for_countless_folders_are_refused_at_once() {
    let place = Place::new();
    let checkout = push_levels(&place.copy("a"), 12, 10, "");
    let expected = "the working tree is larger than the number of 1000000 files and folders that is allowed here";
    check(&place, checkout, expected);
}

#[test]
fn countless_files_of_few_trees_are_refused_though_their_history_fills_a_chunk() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.commit("large", super::client::noise(3, 200_000));
    copy.git(&["push", "-q", "origin", "main:other"]);
    let blob = copy.git(&["rev-parse", "HEAD:README.md"]);
    let files: String = (0..10).map(|n| format!("100644 blob {blob}\tf{n}\n")).collect();
    let checkout = push_levels(&copy, 9, 10, &files);
    let expected = "the working tree is larger than the number of 1000000 files and folders that is allowed here";
    check(&place, checkout, expected);
}

#[test]
fn a_tree_that_is_too_deep_is_refused_with_the_depth() {
    let place = Place::new();
    let checkout = push_levels(&place.copy("a"), 200, 1, "");
    let expected = "the working tree is larger than the depth of 200 folders that is allowed here";
    check(&place, checkout, expected);
}

#[test]
fn long_paths_are_bounded_in_sum() {
    let place = Place::with(Limits { paths: base::units::Bytes::kib(1), ..Limits::default() });
    let checkout = push_levels(&place.copy("a"), 3, 10, "");
    let expected = "the working tree is larger than the sum of 1 KiB of paths that is allowed here";
    check(&place, checkout, expected);
}

/// Takes everything, and is gone when asked for the last time.
struct Leaving {
    asked: usize,
}

impl Write for Leaving {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            self.asked = self.asked.checked_sub(1).ok_or(io::ErrorKind::BrokenPipe)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_reader_that_left_is_noticed_among_folders_alone() {
    let place = Place::new();
    let checkout = push_levels(&place.copy("a"), 4, 10, "");
    let written = |asked| {
        let reader = Leaving { asked };
        place
            .server
            .repository()
            .write_checkout(&checkout, 1, reader)
            .map_err(|error| error.to_string())
    };
    let left = Err("the transfer ended early".to_owned());
    assert_eq!(written(3), left, "while trees are counted");
    assert_eq!(written(100), left, "while folders are walked");
    assert_eq!(written(20_000), Ok(()));
}
