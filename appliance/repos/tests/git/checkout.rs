//! The archive of a checkout, in the eyes of the real Git.

use super::client::{Copy, Place};
use repos::Checkout;
use std::os::unix::fs::PermissionsExt;

/// Unpacks the archive of `copy`'s head as the runner does.
fn unpack(place: &Place, copy: &Copy, branch: Option<&str>) -> Copy {
    let checkout = Checkout {
        revision: copy.head(),
        branch: branch.map(str::to_owned),
        url: "https://ci.example.test/git/acme/relay.git".into(),
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let mut archive = Vec::new();
    place.server.repository().write_checkout(&checkout, now.as_secs(), &mut archive).unwrap();
    let dir = place.dir.path().join(format!("work-{}", branch.unwrap_or("detached")));
    std::fs::create_dir(&dir).unwrap();
    let mut archive = tar::Archive::new(archive.as_slice());
    archive.set_preserve_permissions(true);
    archive.unpack(&dir).unwrap();
    Copy { dir }
}

fn place_with_everything() -> (Place, Copy) {
    let place = Place::new();
    let copy = place.copy("a");
    copy.write("run.sh", "#!/bin/sh\n");
    std::fs::set_permissions(copy.dir.join("run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink("run.sh", copy.dir.join("link")).unwrap();
    copy.write("win/.gitattributes", "*.bat eol=crlf\n");
    copy.write("win/a.bat", "echo\n");
    copy.write(&format!("{}/deep", "long-folder-name/".repeat(12)), "deep\n");
    copy.write("name with spaces ü", "x");
    copy.write("empty", "");
    copy.git(&["add", "-A"]);
    let id = copy.head();
    std::fs::create_dir_all(copy.dir.join("vendor/lib")).unwrap();
    let cache = format!("160000,{id},vendor/lib");
    copy.git(&["update-index", "--add", "--cacheinfo", &cache]);
    copy.git(&["commit", "-q", "-m", "Everything"]);
    copy.git(&["tag", "-a", "v1.2", "-m", "release"]);
    copy.commit("more", "more");
    copy.git(&["push", "-q", "origin", "main", "main:other", "--tags"]);
    (place, copy)
}

#[test]
fn a_checkout_is_a_clean_working_copy_on_its_branch() {
    let (place, copy) = place_with_everything();
    let work = unpack(&place, &copy, Some("main"));
    // Plumbing does not look into files: the times in the index must hold.
    work.git(&["diff-index", "--quiet", "HEAD", "--"]);
    work.git(&["diff-files", "--quiet"]);
    assert_eq!(work.git(&["status", "--porcelain"]), "");
    assert!(work.git(&["status"]).contains("up to date with 'origin/main'"));
    assert_eq!(work.git(&["log", "--format=%s"]), copy.git(&["log", "--format=%s"]));
    assert!(work.git(&["describe"]).starts_with("v1.2-1-g"));
    assert_eq!(work.git(&["branch", "--show-current"]), "main");
    assert_eq!(work.git(&["branch", "-r"]).lines().count(), 3, "main, other and HEAD");
    assert_eq!(
        work.git(&["remote", "get-url", "origin"]),
        "https://ci.example.test/git/acme/relay.git"
    );
    work.fsck();
}

#[test]
fn files_come_with_their_modes_links_and_line_ends() {
    let (place, copy) = place_with_everything();
    let work = unpack(&place, &copy, None);
    assert_eq!(work.git(&["status", "--porcelain"]), "");
    assert_eq!(work.git(&["rev-parse", "--abbrev-ref", "HEAD"]), "HEAD");
    let mode =
        |file: &str| std::fs::metadata(work.dir.join(file)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run.sh"), mode("README.md")), (0o755, 0o644));
    assert_eq!(std::fs::read_link(work.dir.join("link")).unwrap().to_str(), Some("run.sh"));
    assert_eq!(std::fs::read(work.dir.join("win/a.bat")).unwrap(), b"echo\r\n");
    assert!(work.dir.join("vendor/lib").is_dir());
    assert_eq!(std::fs::read(work.dir.join("name with spaces ü")).unwrap(), b"x");
}

#[test]
fn a_change_after_the_checkout_is_seen() {
    let (place, copy) = place_with_everything();
    let work = unpack(&place, &copy, Some("main"));
    work.write("README.md", "HELLO\n");
    assert_eq!(work.git(&["status", "--porcelain"]).trim(), "M README.md");
    work.commit("README.md", "HELLO\n");
    work.fsck();
}

#[test]
fn a_branch_that_moved_on_is_checked_out_where_it_was() {
    let (place, copy) = place_with_everything();
    let built = copy.head();
    copy.commit("later", "later");
    copy.git(&["push", "-q", "origin", "main"]);
    copy.git(&["checkout", "-q", &built]);
    let work = unpack(&place, &copy, Some("main"));
    assert_eq!(work.head(), built);
    assert_eq!(work.git(&["status", "--porcelain"]), "");
}
