//! Putting packs together, and checking.

use super::client::{Place, noise};
use std::fs;

#[test]
fn many_pushes_end_in_few_packs_and_lose_nothing() {
    let place = Place::new();
    let copy = place.copy("a");
    for n in 0..30 {
        copy.commit(&format!("f{}", n % 5), format!("{n}\n").repeat(20 + n));
        copy.git(&["push", "-q", "origin", "main"]);
    }
    // The last push may still be tidying up: its client was answered before.
    let packs = place.dir.path().join("root/acme/relay.git/objects/pack");
    let count = || fs::read_dir(&packs).unwrap().count();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while count() > 2 * 24 {
        assert!(std::time::Instant::now() < deadline, "{} files", count());
        std::thread::yield_now();
    }
    place.fsck();
    assert_eq!(place.server.repository().check().unwrap(), Vec::<String>::new());
    let clone = place.clone("b", &[]);
    assert_eq!(clone.head(), copy.head());
    clone.fsck();
}

#[test]
fn damage_is_found() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.commit("x", noise(3, 50_000));
    copy.git(&["push", "-q", "origin", "main"]);
    assert_eq!(place.server.repository().check().unwrap(), Vec::<String>::new());
    let packs = place.dir.path().join("root/acme/relay.git/objects/pack");
    let pack = fs::read_dir(&packs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "pack"))
        .unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::remove_file(&pack).unwrap();
    fs::write(&pack, bytes).unwrap();
    assert_eq!(place.server.repository().check().unwrap().len(), 1);
}

#[test]
fn a_repository_that_was_set_aside_is_gone_and_nothing_of_it_comes_back() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.commit("x", noise(3, 50_000));
    copy.git(&["push", "-q", "origin", "main"]);
    let (repos, old) = (&place.server.repos, place.server.repository());
    let name = old.name().clone();
    repos.set_aside(&name, "first").unwrap();
    repos.set_aside(&name, "first").unwrap();
    let root = place.dir.path().join("root");
    assert!(!root.join("acme/relay.git").exists() && root.join(".removed/first/HEAD").exists());
    assert!(repos.list().unwrap().is_empty());
    let new = repos.create(&name).unwrap();
    assert!(new.branches().unwrap().is_empty(), "the name is free");
    // Whoever had it open changes neither this one nor the other.
    assert!(old.set_default_branch("main").is_err());
    repos.discard("first").unwrap();
    repos.discard("first").unwrap();
    assert!(!root.join(".removed/first").exists() && root.join("acme/relay.git/HEAD").exists());
    copy.git(&["push", "-q", "origin", "main"]);
    assert_eq!(new.branches().unwrap().len(), 1);
}
