//! What a cut leaves behind.

use super::{
    client::{Place, command, noise},
    server::{Server, name},
};
use repos::{Limits, Repos, Rev};
use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Rounds of the test that kills a server; set `REPOS_KILLS` for more.
const KILLS: u64 = 6;

/// Where the child server leaves its address.
const ADDRESS: &str = "address";

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

/// Not a test: the server that [`a_server_killed_in_mid_push_loses_nothing`] kills.
#[test]
#[ignore = "started by another test"]
fn serve_until_killed() {
    let Some(dir) = std::env::var_os("REPOS_SERVE_IN") else { return };
    let dir = Path::new(&dir);
    let server = Server::start(&dir.join("root"), Limits::default());
    std::fs::write(dir.join("address.new"), server.url()).unwrap();
    std::fs::rename(dir.join("address.new"), dir.join(ADDRESS)).unwrap();
    loop {
        std::thread::park();
    }
}

#[expect(clippy::disallowed_methods, reason = "the test kills a process of its own")]
#[expect(clippy::zombie_processes, reason = "the caller kills it and waits; a failed test ends")]
fn start_child(dir: &Path) -> (Child, String) {
    let _ = std::fs::remove_file(dir.join(ADDRESS));
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "git::crash::serve_until_killed"])
        .env("REPOS_SERVE_IN", dir)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Ok(url) = std::fs::read_to_string(dir.join(ADDRESS)) {
            return (child, url);
        }
        assert!(Instant::now() < deadline, "the server did not start");
        std::thread::yield_now();
    }
}

/// Lets `span` pass, or less if the push ends before.
fn wait_for(push: &mut Child, span: Duration) {
    let deadline = Instant::now() + span;
    while Instant::now() < deadline && push.try_wait().unwrap().is_none() {
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

#[test]
fn a_server_killed_in_mid_push_loses_nothing() {
    let place = Place::new();
    let copy = place.copy("a");
    let dir = place.dir.path().join("victim");
    std::fs::create_dir(&dir).unwrap();
    let rounds = std::env::var("REPOS_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(KILLS);
    let mut acknowledged = None;
    for round in 0..rounds {
        let (mut server, url) = start_child(&dir);
        let after = copy.commit("big", noise(round, 1_500_000));
        copy.git(&["branch", "-f", "twin"]);
        let mut push = command(&copy.dir, &["push", "-q", "--force", &url, "main", "twin"]);
        let mut push = push.stderr(Stdio::null()).spawn().unwrap();
        wait_for(&mut push, Duration::from_millis(5 + round * 67 % 400));
        server.kill().unwrap();
        server.wait().unwrap();
        if push.wait().unwrap().success() {
            acknowledged = Some(after.clone());
        }
        let repos = Repos::open(dir.join("root"), Limits::default()).unwrap();
        let repository = repos.get(&name()).unwrap();
        let branches = repository.branches().unwrap();
        assert!(branches.windows(2).all(|two| two[0].revision == two[1].revision), "{branches:?}");
        if acknowledged.is_some() {
            assert_eq!(branches.len(), 2, "what was acknowledged is there");
        }
        if acknowledged.as_ref() == Some(&after) {
            assert_eq!(repository.resolve(Rev::Branch("main")).unwrap().revision, after);
        }
        assert!(
            branches.iter().all(|branch| repository.resolve(Rev::Branch(&branch.name)).is_ok())
        );
        assert_eq!(repository.check().unwrap(), Vec::<String>::new());
    }
    let (mut server, url) = start_child(&dir);
    copy.git(&["push", "-q", "--force", &url, "main", "twin"]);
    server.kill().unwrap();
    server.wait().unwrap();
}

/// A small file system of its own, if the machine lets us have one.
struct Small<'a>(&'a Path);

#[expect(clippy::disallowed_methods, reason = "mounts for a test")]
fn tool(name: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(name);
    command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        tool("umount", &["-l", &self.0.to_string_lossy()]);
    }
}

#[test]
fn a_full_disk_refuses_the_push_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().to_string_lossy().into_owned();
    if !tool("mount", &["-t", "tmpfs", "-o", "size=1m", "none", &small]) {
        eprintln!("skipped: no file system of one's own here");
        return;
    }
    let mounted = Small(dir.path());
    let place = Place::new();
    let server = Server::start(&dir.path().join("root"), Limits::default());
    let copy = place.copy("a");
    copy.git(&["push", "-q", &server.url(), "main"]);
    copy.commit("big", noise(1, 3_000_000));
    let said = copy.git_fails(&["push", &server.url(), "main"]);
    assert!(said.contains("disk of the server is full"), "{said}");
    copy.git(&["reset", "-q", "--hard", "HEAD~1"]);
    copy.commit("little", "x");
    copy.git(&["push", "-q", &server.url(), "main"]);
    let check = server.repository().check().unwrap();
    assert_eq!(check, Vec::<String>::new());
    drop(server);
    drop(mounted);
}
