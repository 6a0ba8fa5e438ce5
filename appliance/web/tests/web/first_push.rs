//! Which pushes make a project.

use crate::git::Site;
use std::path::Path;
use store::access::Role;

/// Not by a look, nor by a push that is refused; a large one, before which the client sends an empty
/// one, makes it.
#[tokio::test(flavor = "multi_thread")]
async fn a_project_is_made_by_a_push_that_is_taken() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let (copy, url) = (site.copy("a").await, site.url("mira"));
    let bare = site.dir.path().join("repos/acme/relay.git");
    copy.git(&["push", "--dry-run", &url, "main"]).await;
    assert!(site.project().await.is_none() && !bare.exists(), "a look has made it");
    let mut refused = vec!["push"; 1];
    refused.extend(["--push-option=x"; 70]);
    let said = copy.fails(&[&refused[..], &[&url, "main"]].concat()).await;
    assert!(said.contains("at most 64 options"), "{said}");
    assert_eq!(site.project().await, None);
    for _ in 0..100 {
        if !bare.exists() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(!bare.exists(), "the repository of the refused push stays");
    let noise: Vec<u8> =
        (0..2_000_000u32).flat_map(|n| n.wrapping_mul(n ^ 0x9e37_79b9).to_le_bytes()).collect();
    std::fs::write(Path::new(&copy.dir).join("noise"), noise).unwrap();
    copy.git(&["add", "-A"]).await;
    copy.commit("Large").await;
    copy.git(&["-c", "http.postBuffer=65536", "push", "-q", &url, "main"]).await;
    assert_eq!(site.pipelines().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn first_pushes_at_once_make_one_project() {
    let site = Site::open().await;
    site.account("mira", Role::Member).await;
    let (copy, url) = (site.copy("a").await, site.url("mira"));
    let branches = ["main:a", "main:b", "main:c"];
    let pushes = branches.map(|branch| {
        let mut push = copy.run(&["push", "-q", &url, branch]);
        tokio::task::spawn_blocking(move || push.output())
    });
    for push in pushes {
        let output = push.await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(site.pipelines().await.len(), 3);
}
