//! Cloning and fetching.

use super::client::{Copy, Place};

const VERSIONS: [&str; 3] = ["protocol.version=0", "protocol.version=1", "protocol.version=2"];

/// A place with some history: two branches, a merge, tags.
fn place_with_history() -> (Place, Copy) {
    let place = Place::new();
    let copy = place.copy("a");
    for n in 0..8 {
        copy.commit(&format!("src/f{n}"), format!("{n}\n").repeat(50));
        if n == 3 {
            copy.git(&["tag", "-a", "v1", "-m", "one"]);
            copy.git(&["branch", "side"]);
        }
    }
    copy.git(&["checkout", "-q", "side"]);
    copy.commit("side", "side");
    copy.git(&["checkout", "-q", "main"]);
    copy.git(&["merge", "-q", "--no-ff", "-m", "Merge side", "side"]);
    copy.git(&["push", "-q", "origin", "main", "side", "--tags"]);
    (place, copy)
}

#[test]
fn a_clone_is_whole_in_every_version() {
    let (place, copy) = place_with_history();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let clone = place.clone(&format!("c{n}"), &["-c", version]);
        assert_eq!(clone.head(), copy.head(), "{version}");
        assert_eq!(clone.git(&["tag"]), "v1");
        assert_eq!(clone.git(&["status", "--porcelain"]), "");
        clone.fsck();
    }
}

#[test]
fn a_fetch_brings_what_is_new_in_every_version() {
    let (place, copy) = place_with_history();
    let clones: Vec<Copy> = VERSIONS
        .iter()
        .enumerate()
        .map(|(n, version)| place.clone(&format!("c{n}"), &["-c", version]))
        .collect();
    copy.commit("src/f1", "changed");
    copy.git(&["tag", "-a", "v2", "-m", "two"]);
    copy.git(&["push", "-q", "origin", "main", "v2"]);
    for (clone, version) in clones.iter().zip(VERSIONS) {
        clone.commit("local", "mine");
        clone.git(&["-c", version, "fetch", "-q", "origin"]);
        assert_eq!(clone.git(&["rev-parse", "origin/main"]), copy.head(), "{version}");
        assert_eq!(clone.git(&["tag"]), "v1\nv2", "the tag comes with its commit");
        clone.fsck();
        let packed = clone.git(&["count-objects", "-v"]);
        assert!(!packed.contains("garbage: 1"), "{packed}");
    }
}

#[test]
fn a_fetch_of_a_little_sends_little() {
    let (place, copy) = place_with_history();
    let clone = place.clone("c", &[]);
    copy.commit("src/f1", "changed");
    copy.git(&["push", "-q", "origin", "main"]);
    let said = clone.git_says(&["fetch", "--progress", "origin"]);
    // One commit, the root folder, `src` and the file.
    assert!(said.contains("Sending 4 objects"), "{said}");
}

#[test]
fn long_diverged_histories_are_negotiated_in_every_version() {
    let (place, copy) = place_with_history();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let clone = place.clone(&format!("c{n}"), &["-c", version]);
        for m in 0..40 {
            clone.git(&["commit", "-q", "--allow-empty", "-m", &format!("mine {m}")]);
        }
        copy.commit("src/f2", version);
        copy.git(&["push", "-q", "origin", "main"]);
        clone.git(&["fetch", "-q", "origin"]);
        assert_eq!(clone.git(&["rev-parse", "origin/main"]), copy.head(), "{version}");
        clone.fsck();
    }
}

#[test]
fn an_empty_repository_can_be_cloned() {
    let place = Place::new();
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let clone = place.clone(&format!("c{n}"), &["-c", version]);
        // Only version 2 can name a branch that is not born.
        if version == VERSIONS[2] {
            assert_eq!(clone.git(&["symbolic-ref", "HEAD"]), "refs/heads/main");
        }
    }
}

#[test]
fn a_partial_clone_gets_files_when_it_needs_them() {
    let (place, copy) = place_with_history();
    let clone = place.clone("c", &["--filter=blob:none", "--no-checkout"]);
    let missing = clone.git(&["rev-list", "--objects", "--all", "--missing=print"]);
    assert!(missing.lines().any(|line| line.starts_with('?')), "{missing}");
    clone.git(&["checkout", "-q", "main"]);
    assert_eq!(clone.git(&["status", "--porcelain"]), "");
    assert_eq!(clone.head(), copy.head());
    let treeless = place.clone("t", &["--filter=tree:0"]);
    assert_eq!(treeless.git(&["status", "--porcelain"]), "");
    let sized = place.clone("s", &["--filter=blob:limit=50"]);
    assert_eq!(sized.git(&["status", "--porcelain"]), "");
}

#[test]
fn filters_keep_back_what_is_deep_and_what_each_of_them_keeps_back() {
    let (place, copy) = place_with_history();
    copy.commit("deep/er/and/deeper.txt", "deep");
    copy.commit("top.txt", "top");
    copy.git(&["push", "-q", "origin", "main"]);
    let check = |name: &str, filters: &[&str], expected: &[&str]| {
        let clone = place.clone(name, &[filters, &["--no-checkout", "--bare"]].concat());
        let listed = clone.git(&["rev-list", "--objects", "--all", "--missing=allow-any"]);
        let mut paths: Vec<&str> =
            listed.lines().filter_map(|line| Some(line.split_once(' ')?.1)).collect();
        paths.retain(|path| path.starts_with("deep") || *path == "top.txt");
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths, expected, "{filters:?}");
        let clone = place.clone(&format!("{name}-whole"), filters);
        assert_eq!(clone.git(&["status", "--porcelain"]), "");
        assert_eq!(clone.head(), copy.head());
        copy.commit(&format!("later-{name}"), name);
        copy.git(&["push", "-q", "origin", "main"]);
        clone.git(&["pull", "-q"]);
        assert_eq!(clone.head(), copy.head());
    };
    check("one", &["--filter=tree:1"], &[]);
    check("two", &["--filter=tree:2"], &["deep", "top.txt"]);
    check("three", &["--filter=tree:3"], &["deep", "deep/er", "top.txt"]);
    let both = ["--filter=blob:none", "--filter=tree:3"];
    check("both", &both, &["deep", "deep/er"]);
}

#[test]
fn one_revision_can_be_fetched_by_its_id() {
    let (place, copy) = place_with_history();
    let wanted = copy.git(&["rev-parse", "HEAD~2"]);
    for (n, version) in VERSIONS.into_iter().enumerate() {
        let other = place.copy(&format!("o{n}"));
        other.git(&["-c", version, "fetch", "-q", "--depth", "1", "origin", &wanted]);
        assert_eq!(other.git(&["rev-parse", "FETCH_HEAD"]), wanted, "{version}");
        let unknown = "1234567890123456789012345678901234567890";
        let said = other.git_fails(&["-c", version, "fetch", "origin", unknown]);
        assert!(said.contains("not our ref") || said.contains("unadvertised"), "{said}");
    }
}

#[test]
fn ls_remote_lists_what_is_there() {
    let (_place, copy) = place_with_history();
    for version in VERSIONS {
        let listed = copy.git(&["-c", version, "ls-remote", "--symref", "origin"]);
        assert!(listed.contains("ref: refs/heads/main\tHEAD"), "{version}: {listed}");
        assert!(listed.contains("refs/tags/v1^{}"), "{version}: {listed}");
        assert_eq!(listed.lines().count(), 6, "{version}: {listed}");
    }
}

#[test]
fn what_both_sides_have_is_told_without_a_pack() {
    let (place, copy) = place_with_history();
    let clone = place.clone("c", &[]);
    clone.commit("local", "mine");
    let ask = ["-c", "protocol.version=2", "fetch", "--negotiate-only", "--negotiation-tip=main"];
    let common = clone.git(&[&ask[..], &["origin"]].concat());
    assert!(common.contains(&copy.head()) && !common.contains(&clone.head()), "{common}");
    let packs = clone.git(&["count-objects", "-v"]);
    assert!(packs.contains("packs: 1"), "{packs}");
}
