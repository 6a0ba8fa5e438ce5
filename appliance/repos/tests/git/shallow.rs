//! Shallow clones, and making them deeper.

use super::client::{Copy, Place};

const VERSIONS: [&str; 2] = ["protocol.version=0", "protocol.version=2"];

/// Ten commits a day apart, the first on 2026-01-01.
fn place_with_days() -> (Place, Copy) {
    let place = Place::new();
    let copy = place.copy("a");
    for day in 1..=10 {
        copy.write("file", format!("{day}\n"));
        copy.git(&["add", "-A"]);
        let date = format!("2026-01-{day:02}T12:00:00Z");
        let mut commit =
            super::client::command(&copy.dir, &["commit", "-q", "-m", &format!("day {day}")]);
        commit.env("GIT_COMMITTER_DATE", &date).env("GIT_AUTHOR_DATE", &date);
        assert!(commit.status().unwrap().success());
        if day == 4 {
            copy.git(&["tag", "day4"]);
        }
    }
    copy.git(&["push", "-q", "origin", "main", "--tags"]);
    (place, copy)
}

fn depth(copy: &Copy) -> usize {
    copy.git(&["rev-list", "--count", "HEAD"]).parse().unwrap()
}

#[test]
fn a_shallow_clone_has_as_many_commits_as_asked_for() {
    let (place, copy) = place_with_days();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        for count in [1, 3] {
            let name = format!("c{n}-{count}");
            let clone = place.clone(&name, &["-c", version, "--depth", &count.to_string()]);
            assert_eq!(depth(&clone), count, "{version}");
            assert_eq!(clone.git(&["status", "--porcelain"]), "");
            assert_eq!(clone.head(), copy.head());
            clone.fsck();
        }
    }
}

#[test]
fn a_shallow_clone_can_be_deepened_and_completed() {
    let (place, copy) = place_with_days();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let clone = place.clone(&format!("c{n}"), &["-c", version, "--depth", "2"]);
        clone.git(&["-c", version, "fetch", "-q", "--depth", "4"]);
        assert_eq!(depth(&clone), 4, "{version}");
        clone.git(&["-c", version, "fetch", "-q", "--deepen", "2"]);
        assert_eq!(depth(&clone), 6, "{version}");
        clone.fsck();
        clone.git(&["-c", version, "fetch", "-q", "--unshallow"]);
        assert_eq!(depth(&clone), 11, "{version}: ten days and the first commit");
        assert_eq!(clone.git(&["rev-parse", "--is-shallow-repository"]), "false");
        clone.fsck();
        assert_eq!(clone.head(), copy.head());
    }
}

#[test]
fn a_shallow_clone_can_be_cut_by_date_and_by_reference() {
    let (place, _copy) = place_with_days();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let since = place
            .clone(&format!("s{n}"), &["-c", version, "--shallow-since", "2026-01-08T00:00:00Z"]);
        assert_eq!(depth(&since), 3, "{version}");
        since.fsck();
        let exclude = place.clone(&format!("e{n}"), &["-c", version, "--shallow-exclude", "day4"]);
        assert_eq!(depth(&exclude), 6, "{version}");
        exclude.fsck();
    }
}

#[test]
fn a_shallow_clone_can_fetch_on_and_push() {
    let (place, copy) = place_with_days();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let clone = place.clone(&format!("c{n}"), &["-c", version, "--depth", "1"]);
        copy.git(&["pull", "-q", "origin", "main"]);
        copy.commit(&format!("new{n}"), "new");
        copy.git(&["push", "-q", "origin", "main"]);
        clone.git(&["-c", version, "pull", "-q"]);
        assert_eq!(clone.head(), copy.head(), "{version}");
        assert_eq!(depth(&clone), 2, "{version}");
        clone.commit(&format!("mine{n}"), "mine");
        clone.git(&["push", "-q", "origin", "main"]);
        clone.fsck();
    }
    place.fsck();
}

#[test]
fn a_full_clone_can_be_made_shallow() {
    let (place, _copy) = place_with_days();
    let clone = place.clone("c", &[]);
    clone.git(&["fetch", "-q", "--depth", "1"]);
    assert_eq!(depth(&clone), 1);
    clone.fsck();
}

#[test]
fn a_clone_is_completed_though_it_wants_little() {
    let (place, copy) = place_with_days();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let clone = place.clone(&format!("c{n}"), &["-c", version, "--depth", "2"]);
        // Of what the clone then wants nothing leads to its history.
        let tag = format!("tree{n}");
        copy.git(&["tag", "-m", "a tree", &tag, "HEAD^{tree}"]);
        copy.git(&["push", "-q", "origin", &tag]);
        clone.git(&["-c", version, "fetch", "-q", "--unshallow"]);
        assert_eq!(depth(&clone), 11, "{version}");
        assert_eq!(clone.git(&["rev-parse", "--is-shallow-repository"]), "false");
        clone.fsck();
    }
}

#[test]
fn what_a_clone_has_of_another_place_is_no_hindrance() {
    let (place, _copy) = place_with_days();
    let other = place.copy("other");
    other.commit("elsewhere", "1");
    other.commit("elsewhere", "2");
    let elsewhere = format!("file://{}", other.dir.display());
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let clone = place.clone(&format!("c{n}"), &["-c", version, "--depth", "2"]);
        clone.git(&["fetch", "-q", "--depth", "1", &elsewhere, "main"]);
        clone.git(&["-c", version, "fetch", "-q", "--deepen", "2"]);
        assert_eq!(depth(&clone), 4, "{version}");
        clone.fsck();
    }
}
