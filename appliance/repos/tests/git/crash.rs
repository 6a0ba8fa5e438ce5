//! What a cut leaves behind.

use super::{client::Place, server::name};
use repos::{Limits, Repos};

#[test]
fn leftovers_of_a_cut_are_removed_at_the_next_start() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main"]);
    let root = place.dir.path().join("root");
    std::fs::create_dir_all(root.join(".incoming/1-1/pack")).unwrap();
    std::fs::write(root.join(".incoming/1-1/pack/tmp"), "half").unwrap();
    std::fs::write(root.join("acme/relay.git/packed-refs.lock"), "half").unwrap();
    let repos = Repos::open(&root, Limits::default()).unwrap();
    assert_eq!(std::fs::read_dir(root.join(".incoming")).unwrap().count(), 0);
    assert!(!root.join("acme/relay.git/packed-refs.lock").exists());
    assert_eq!(repos.get(&name()).unwrap().branches().unwrap().len(), 1);
    copy.commit("x", "x");
    copy.git(&["push", "-q", "origin", "main"]);
}
