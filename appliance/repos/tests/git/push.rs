//! Pushing.

use super::{
    client::{Copy, Place, command, noise},
    limits::{pack, post},
};
use repos::{PushPolicy, Rev, Standing};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

#[test]
fn a_first_push_makes_the_branch_and_tells_the_watcher_and_the_person() {
    let place = Place::new();
    let copy = place.copy("a");
    let head = copy.head();
    let said = copy.git_says(&["push", "origin", "main"]);
    assert!(said.contains("remote: pipeline https://example.test/pipelines/1"), "{said}");
    let repository = place.server.repository();
    let commit = repository.resolve(Rev::Branch("main")).unwrap();
    assert_eq!(commit.revision, head);
    assert_eq!(commit.subject, "Write README.md");
    assert_eq!(commit.author, "Ada");
    let file = repository.read_file(&head, "README.md", 100).unwrap();
    assert_eq!(file.as_deref(), Some(&b"hello\n"[..]));
    let before = place.server.watcher.before.lock().unwrap().clone();
    assert_eq!(before, *place.server.watcher.after.lock().unwrap());
    assert_eq!(before[0].updates[0].name, "refs/heads/main");
    assert_eq!(before[0].updates[0].old, None);
    assert_eq!(before[0].updates[0].new.as_deref(), Some(head.as_str()));
    place.fsck();
}

#[test]
fn the_default_branch_follows_the_first_push_and_cannot_be_deleted() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main:trunk"]);
    assert_eq!(place.server.repository().default_branch().unwrap(), "trunk");
    copy.git(&["push", "-q", "origin", "main:main"]);
    assert_eq!(place.server.repository().default_branch().unwrap(), "trunk");
    let said = copy.git_fails(&["push", "origin", ":trunk"]);
    assert!(said.contains("refusing to delete the default branch"), "{said}");
    let clone = place.clone("b", &[]);
    assert_eq!(clone.git(&["branch", "--show-current"]), "trunk");
}

#[test]
fn branches_and_tags_come_and_go() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["tag", "light"]);
    copy.git(&["tag", "-a", "v1", "-m", "one"]);
    copy.git(&["branch", "feature/a"]);
    copy.git(&["push", "-q", "origin", "main", "feature/a", "--tags"]);
    let repository = place.server.repository();
    let tags = repository.tags().unwrap();
    assert_eq!(tags.iter().map(|tag| tag.name.as_str()).collect::<Vec<_>>(), ["light", "v1"]);
    assert!(tags.iter().all(|tag| tag.revision == copy.head()));
    assert_eq!(repository.resolve(Rev::Tag("v1")).unwrap().revision, copy.head());
    copy.git(&["push", "-q", "origin", "--delete", "feature/a", "v1"]);
    assert_eq!(repository.branches().unwrap().len(), 1);
    assert_eq!(repository.tags().unwrap().len(), 1);
    place.fsck();
}

/// A commit with these parents at this second, whatever the clock says.
fn commit_at(copy: &Copy, parents: &[&str], second: u32) -> String {
    let parents = parents.iter().flat_map(|parent| ["-p", parent]);
    let told = ["commit-tree", "HEAD^{tree}", "-m", "x"].into_iter().chain(parents);
    let date = format!("@{second} +0000");
    let mut make = command(&copy.dir, &told.collect::<Vec<_>>());
    let made = make.env("GIT_COMMITTER_DATE", date).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_builds_on_what_is_found_whatever_clocks_say() {
    let place = Place::new();
    let copy = place.copy("a");
    let root = commit_at(&copy, &[], 9_000_000);
    let old = commit_at(&copy, &[&root], 5);
    let older = commit_at(&copy, &[&old], 8_000_000);
    let side = commit_at(&copy, &[&root], 90_000_000);
    let merge = commit_at(&copy, &[&older, &side], 1);
    let other = commit_at(&copy, &[&side, &old], 70_000_000);
    let all = [root, old, older, side, merge, other];
    let pairs = all.iter().flat_map(|from| all.iter().map(move |to| (from, to)));
    for (from, to) in pairs.filter(|(from, to)| from != to) {
        *place.server.policy.lock().unwrap() = PushPolicy::ALL;
        copy.git(&["push", "-q", "--force", "origin", &format!("{from}:refs/heads/x")]);
        *place.server.policy.lock().unwrap() = PushPolicy::default();
        let push = ["push", "-q", "--force", "origin", &format!("{to}:refs/heads/x")];
        let pushed = command(&copy.dir, &push).status().unwrap().success();
        let ask = ["merge-base", "--is-ancestor", from, to];
        let builds_on = command(&copy.dir, &ask).status().unwrap().success();
        assert_eq!(pushed, builds_on, "{from} {to}: {all:?}");
    }
}

#[test]
fn force_and_deletion_need_permission() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main", "main:other"]);
    *place.server.policy.lock().unwrap() = PushPolicy::default();
    copy.git(&["commit", "-q", "--amend", "-m", "again"]);
    let said = copy.git_fails(&["push", "--force", "origin", "main"]);
    assert!(said.contains("force is not allowed"), "{said}");
    let said = copy.git_fails(&["push", "origin", ":other"]);
    assert!(said.contains("deletion is not allowed"), "{said}");
    assert_eq!(place.server.repository().branches().unwrap().len(), 2);
    *place.server.policy.lock().unwrap() = PushPolicy::ALL;
    copy.git(&["push", "-q", "--force", "origin", "main", ":other"]);
    let revision = place.server.repository().resolve(Rev::Branch("main")).unwrap().revision;
    assert_eq!(revision, copy.head());
    place.fsck();
}

#[test]
fn the_default_branch_is_rewritten_by_few() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main", "main:other"]);
    *place.server.policy.lock().unwrap() =
        PushPolicy { force: true, force_default: false, delete: false };
    copy.git(&["commit", "-q", "--amend", "-m", "again"]);
    let said = copy.git_fails(&["push", "--force", "origin", "main"]);
    assert!(said.contains("force is not allowed"), "{said}");
    copy.git(&["push", "-q", "--force", "origin", "main:other"]);
}

#[test]
fn an_atomic_push_moves_all_or_nothing() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main"]);
    *place.server.policy.lock().unwrap() = PushPolicy::default();
    copy.git(&["branch", "good"]);
    copy.git(&["commit", "-q", "--amend", "-m", "again"]);
    let said = copy.git_fails(&["push", "--atomic", "--force", "origin", "good", "main"]);
    assert!(said.contains("atomic push failed"), "{said}");
    assert_eq!(place.server.repository().branches().unwrap().len(), 1);
    let said = copy.git_fails(&["push", "--force", "origin", "good", "main"]);
    assert!(said.contains("force is not allowed"), "{said}");
    assert_eq!(place.server.repository().branches().unwrap().len(), 2);
}

#[test]
fn a_watcher_may_refuse_and_then_nothing_changes() {
    let place = Place::new();
    let copy = place.copy("a");
    *place.server.watcher.refusal.lock().unwrap() = Some("the project is archived".into());
    let said = copy.git_fails(&["push", "origin", "main"]);
    assert!(said.contains("the project is archived"), "{said}");
    assert!(place.server.repository().branches().unwrap().is_empty());
    assert!(place.server.watcher.after.lock().unwrap().is_empty());
    let packs = place.dir.path().join("root/acme/relay.git/objects/pack");
    assert_eq!(std::fs::read_dir(packs).unwrap().count(), 0);
}

fn closed() -> Standing {
    Standing::Closed("it is closed to you".into())
}

#[test]
fn a_closed_reference_is_not_made_moved_or_removed_and_others_are() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main"]);
    let before = place.server.repository().resolve(Rev::Branch("main")).unwrap().revision;
    *place.server.watcher.standing.lock().unwrap() = Some(("refs/heads/main", closed()));
    copy.git(&["commit", "-q", "--allow-empty", "-m", "more"]);
    let said = copy.git_fails(&["push", "origin", "main", "main:open"]);
    assert!(said.contains("it is closed to you"), "{said}");
    assert_eq!(place.server.repository().resolve(Rev::Branch("main")).unwrap().revision, before);
    let open = place.server.repository().resolve(Rev::Branch("open")).unwrap().revision;
    assert_eq!(open, copy.head());
    let passed = place.server.watcher.after.lock().unwrap().last().cloned().unwrap();
    assert_eq!(passed.updates.len(), 1, "what was refused is not told");
    *place.server.watcher.standing.lock().unwrap() = Some(("refs/heads/open", closed()));
    copy.git_fails(&["push", "origin", ":open"]);
    *place.server.watcher.standing.lock().unwrap() = Some(("refs/tags/v1", closed()));
    copy.git(&["tag", "v1"]);
    copy.git_fails(&["push", "origin", "v1"]);
    assert!(place.server.repository().tags().unwrap().is_empty());
}

#[test]
fn a_kept_reference_is_made_and_added_to_and_never_rewritten() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main:other"]);
    let kept = Standing::Kept("it is added to, never rewritten".into());
    *place.server.watcher.standing.lock().unwrap() = Some(("refs/heads/main", kept));
    copy.git(&["push", "-q", "origin", "main"]);
    copy.git(&["commit", "-q", "--allow-empty", "-m", "more"]);
    copy.git(&["push", "-q", "origin", "main"]);
    copy.git(&["commit", "-q", "--amend", "--allow-empty", "-m", "again"]);
    for command in [["push", "--force", "origin", "main"], ["push", "--force", "origin", ":main"]] {
        let said = copy.git_fails(&command);
        assert!(said.contains("it is added to, never rewritten"), "{command:?}: {said}");
    }
    copy.git(&["push", "-q", "--force", "origin", "main:other"]);
}

#[test]
fn a_branch_cannot_be_a_folder_of_another_unless_that_one_goes() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main", "main:a"]);
    let said = copy.git_fails(&["push", "origin", "main:a/b"]);
    assert!(said.contains("cannot stand beside refs/heads/a"), "{said}");
    copy.git(&["push", "-q", "origin", ":a", "main:a/b"]);
    place.fsck();
}

#[test]
fn a_reference_that_is_named_twice_is_not_removed_when_both_are_refused() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main", "main:victim"]);
    let (id, zero, wrong) = (copy.head(), "0".repeat(40), "1".repeat(40));
    let lines = [
        format!("{wrong} {id} refs/heads/victim\0report-status"),
        format!("{id} {zero} refs/heads/victim"),
        format!("{zero} {id} refs/heads/new"),
    ];
    let mut body: Vec<u8> = lines
        .iter()
        .flat_map(|line| format!("{:04x}{line}", line.len() + 4).into_bytes())
        .collect();
    body.extend(b"0000");
    body.extend(pack(&copy, "HEAD\n"));
    let answer = post(&place, &body);
    assert!(answer.contains("ng refs/heads/victim stale info"), "{answer}");
    assert!(answer.contains("ng refs/heads/victim it is named twice in one push"), "{answer}");
    assert!(answer.contains("ok refs/heads/new"), "{answer}");
    let victim = place.server.repository().resolve(Rev::Branch("victim")).unwrap();
    assert_eq!(victim.revision, id);
}

#[test]
fn a_push_whose_head_cannot_follow_has_moved_and_is_told() {
    let place = Place::new();
    let copy = place.copy("a");
    let lock = place.dir.path().join("root/acme/relay.git/HEAD.lock");
    std::fs::write(&lock, "").unwrap();
    copy.git(&["push", "-q", "origin", "main:trunk"]);
    assert_eq!(place.server.watcher.after.lock().unwrap().len(), 1);
    assert_eq!(place.server.repository().default_branch().unwrap(), "trunk");
    assert!(lock.exists());
}

#[test]
fn push_options_reach_the_watcher() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "-o", "ci.skip", "origin", "main"]);
    assert_eq!(place.server.watcher.before.lock().unwrap()[0].options, ["ci.skip"]);
}

#[test]
fn a_stale_push_is_told_to_fetch_first() {
    let place = Place::new();
    let copy = place.copy("a");
    copy.git(&["push", "-q", "origin", "main"]);
    let other = place.clone("b", &[]);
    other.commit("x", "x");
    other.git(&["push", "-q", "origin", "main"]);
    copy.commit("y", "y");
    copy.git_fails(&["push", "origin", "main"]);
    copy.git(&["pull", "-q", "--rebase", "origin", "main"]);
    copy.git(&["push", "-q", "origin", "main"]);
    place.fsck();
}

#[test]
fn pushes_at_the_same_time_all_arrive() {
    let place = Place::new();
    let copies: Vec<_> = (0..6).map(|n| place.copy(&format!("c{n}"))).collect();
    std::thread::scope(|scope| {
        for (n, copy) in copies.iter().enumerate() {
            scope.spawn(move || {
                for round in 0..3 {
                    copy.commit(&format!("f{round}"), format!("{n} {round}"));
                    copy.git(&["push", "-q", "origin", &format!("main:b{n}")]);
                }
            });
        }
    });
    let branches = place.server.repository().branches().unwrap();
    assert_eq!(branches.len(), 6);
    for (branch, copy) in branches.iter().zip(&copies) {
        assert_eq!(branch.revision, copy.head());
    }
    place.fsck();
}

#[test]
fn a_push_of_many_commits_arrives_in_chunks_and_is_whole() {
    let place = Place::new();
    let copy = place.copy("a");
    for n in 0..20 {
        copy.commit(&format!("dir{}/f{n}", n % 3), noise(n, 200_000));
    }
    copy.git(&["push", "-q", "origin", "main"]);
    copy.commit("dir1/f1", "small change");
    copy.git(&["push", "-q", "origin", "main"]);
    place.fsck();
    let clone = place.clone("b", &[]);
    assert_eq!(clone.head(), copy.head());
    clone.fsck();
}

/// Why a push is refused before its pack is read reaches the one who pushes.
#[test]
fn commands_that_cannot_be_taken_are_reported() {
    let place = Place::new();
    let copy = place.copy("a");
    let check = |further: &[&[u8]], expected: &str| {
        let mut push = command(&copy.dir, &["push", "origin", "main"]);
        push.args(further.iter().map(|argument| OsStr::from_bytes(argument)));
        let output = push.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(expected) && !said.contains("bad band"), "{said}");
        assert!(said.contains("main -> main (unpacker error)"), "{said}");
        assert!(place.server.repository().branches().unwrap().is_empty());
    };
    check(&[b"main:refs/heads/caf\xe9"], "a reference name is not UTF-8");
    check(
        &[format!("main:refs/heads/{}", "x".repeat(1100)).as_bytes()],
        "a reference name has at most",
    );
    let options: Vec<&[u8]> = (0..70).map(|_| &b"--push-option=x"[..]).collect();
    check(&options, "a push has at most 64 options");
    copy.git(&["push", "-q", "origin", "main"]);
}
