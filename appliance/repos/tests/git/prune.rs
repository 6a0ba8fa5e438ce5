//! Throwing away what nothing reaches, with pushes beside it and cuts in between.

use super::{
    client::{Copy, Place, noise},
    server::{Server, name},
};
use repos::{Limits, Pruned, Repos, Rev};
use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

/// Rounds of the test that kills; set `REPOS_KILLS` for more.
const KILLS: u64 = 6;

/// A time by which every pack is old.
fn future() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::from(u32::MAX))
}

/// Pushes `main` and a branch of waste in one pack, and deletes the branch; its revision.
fn waste(copy: &Copy, seed: u64) -> String {
    copy.git(&["checkout", "-q", "-B", "waste", "main"]);
    let gone = copy.commit("big", noise(seed, 200_000));
    copy.git(&["checkout", "-q", "main"]);
    copy.commit("small", format!("{seed}"));
    copy.git(&["push", "-q", "origin", "main", "waste"]);
    copy.git(&["push", "-q", "origin", "--delete", "waste"]);
    gone
}

#[test]
fn what_nothing_reaches_goes_and_all_else_stays() {
    let place = Place::new();
    let copy = place.copy("a");
    let gone = waste(&copy, 1);
    let kept = waste(&copy, 2);
    let repository = place.server.repository();
    let keep = [kept.clone(), "no revision".into()];
    let young = repository.prune(&keep, SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(young, Pruned::default(), "nothing is old enough");
    let pruned = repository.prune(&keep, future()).unwrap();
    assert_eq!(pruned.objects, 3, "a commit, a tree, a file");
    assert!(pruned.bytes > 150_000, "{pruned:?}");
    assert!(repository.resolve(Rev::Revision(&gone)).is_err());
    assert_eq!(repository.resolve(Rev::Revision(&kept)).unwrap().revision, kept);
    assert_eq!(repository.check().unwrap(), Vec::<String>::new());
    assert_eq!(repository.prune(&keep, future()).unwrap(), Pruned::default());
    place.fsck();
    assert_eq!(place.clone("b", &[]).head(), copy.head());
    // The one who still has it brings it back whole.
    copy.git(&["push", "-q", "origin", &format!("{gone}:refs/heads/back")]);
    assert_eq!(repository.resolve(Rev::Branch("back")).unwrap().revision, gone);
    place.fsck();
}

#[test]
fn pushes_go_on_while_objects_go() {
    let place = Place::new();
    let copy = place.copy("a");
    let done = AtomicBool::new(false);
    let repository = place.server.repository();
    let pruned = std::thread::scope(|scope| {
        let pruner = scope.spawn(|| {
            let mut objects = 0;
            while !done.load(Ordering::Acquire) {
                objects += repository.prune(&[], future()).unwrap().objects;
            }
            objects + repository.prune(&[], future()).unwrap().objects
        });
        (0..8).for_each(|seed| drop(waste(&copy, seed)));
        done.store(true, Ordering::Release);
        pruner.join().unwrap()
    });
    assert_eq!(pruned, 8 * 3);
    assert_eq!(repository.check().unwrap(), Vec::<String>::new());
    place.fsck();
    assert_eq!(place.clone("b", &[]).head(), copy.head());
}

/// Not a test: what [`a_cut_loses_nothing`] kills.
#[test]
#[ignore = "started by another test"]
fn prune_until_killed() {
    let Some(root) = std::env::var_os("REPOS_PRUNE_IN") else { return };
    let repos = Repos::open(Path::new(&root), Limits::default()).unwrap();
    repos.get(&name()).unwrap().prune(&[], future()).unwrap();
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test kills a process of its own")]
fn a_cut_loses_nothing() {
    let mut place = Place::new();
    let copy = place.copy("a");
    let root = place.dir.path().join("root");
    let rounds = std::env::var("REPOS_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    for round in 0..rounds {
        waste(&copy, round);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "git::prune::prune_until_killed"])
            .env("REPOS_PRUNE_IN", &root)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::park_timeout(Duration::from_millis(3 + round * 17 % 90));
        child.kill().unwrap();
        child.wait().unwrap();
        // Who is cut starts again, and looks anew at what is there.
        place.server = Server::start(&root, Limits::default());
        copy.git(&["remote", "set-url", "origin", &place.server.url()]);
        let repository = place.server.repository();
        assert_eq!(repository.check().unwrap(), Vec::<String>::new());
        assert_eq!(repository.resolve(Rev::Branch("main")).unwrap().revision, copy.head());
    }
    place.server.repository().prune(&[], future()).unwrap();
    place.fsck();
    let packs = std::fs::read_dir(root.join("acme/relay.git/objects/pack")).unwrap();
    let names: Vec<_> = packs.map(|entry| entry.unwrap().path()).collect();
    assert!(names.iter().all(|path| path.with_extension("idx").exists()), "{names:?}");
    let size: u64 = names.iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(size < 200_000, "waste is left: {size}");
}
