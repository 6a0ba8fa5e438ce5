//! Images that are taken away, and what goes with them when.

use crate::{CONFIG, client::Client, digest, image_keys, open};
use base::time::Timestamp;
use objects::{
    Objects,
    oci::{AGE, ImageError},
    registry::Caller,
};
use std::time::Duration;

fn now() -> Timestamp {
    Timestamp(jiff::Timestamp::now().as_microsecond())
}

/// A moment that is later than everything until now, and earlier than everything from now on.
async fn moment() -> Timestamp {
    let pause = Duration::from_millis(2);
    tokio::time::sleep(pause).await;
    let now = now();
    tokio::time::sleep(pause).await;
    now
}

async fn by_registry(objects: &Objects) {
    let answer = Client::new(objects).send("DELETE", "/v2/ns/app/manifests/1", &[], b"").await;
    assert_eq!(answer.status, 202);
}

async fn by_command(objects: &Objects) {
    objects.image_remove("ns/app:1", objects::alone).await.unwrap();
}

/// A plan may have pinned what the tag led to a moment ago.
async fn check_grace(remove: impl AsyncFn(&Objects)) {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let (_, digest) = Client::new(&objects).image("ns/app", "1", b"layer").await;
    let before = moment().await;
    remove(&objects).await;
    objects.image_sweep(before.plus(AGE)).await.unwrap();
    let pinned = format!("ns/app@{digest}");
    objects.image_source(&pinned, Duration::from_secs(60)).await.unwrap();
    objects.image_sweep(moment().await.plus(AGE)).await.unwrap();
    assert!(objects.image_digest(&pinned).await.is_err());
}

#[tokio::test]
async fn an_image_whose_tag_is_removed_stays_for_a_day_whoever_removes_it() {
    check_grace(by_registry).await;
    check_grace(by_command).await;
}

#[tokio::test]
async fn a_digest_takes_the_names_away_that_lead_to_it_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let client = Client::new(&objects);
    let (_, first) = client.image("ns/app", "1", b"first").await;
    client.image("ns/app", "latest", b"second").await;
    objects.image_remove(&format!("ns/app@{first}"), objects::alone).await.unwrap();
    let names: Vec<_> =
        objects.image_list().await.unwrap().into_iter().map(|one| one.reference).collect();
    assert_eq!(names, ["docker.io/ns/app:latest"]);
    let again = objects.image_remove("ns/app:1", objects::alone).await.unwrap_err();
    assert!(matches!(again, ImageError::NoName(_)));
    let told = again.to_string();
    assert!(told.contains("registry list") && !told.contains("import"), "{told}");
}

#[tokio::test]
async fn a_plan_writes_nothing_and_counts_as_the_sweep_does() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    // As a program wrote it that kept no records.
    let manifest = crate::client::image(b"layer").to_string().into_bytes();
    for bytes in [CONFIG, b"layer", &manifest] {
        let key = digest(bytes).replace("sha256:", "blobs/sha256/");
        objects.put("images", &key, bytes.to_vec()).await.unwrap();
    }
    let tag = digest(&manifest).into_bytes();
    objects.put("images", "tags/docker.io/old/app:1", tag).await.unwrap();
    objects.put("images", "blobs/sha256/nobodys", b"five!".to_vec()).await.unwrap();
    let (before, later) = (image_keys(&objects).await, now().plus(2 * AGE));
    assert_eq!(objects.image_plan(later).await.unwrap(), (1, 5));
    assert_eq!(image_keys(&objects).await, before);
    assert_eq!(objects.image_sweep(later).await.unwrap(), 1);
    objects.image_source("old/app:1", Duration::from_secs(60)).await.unwrap();
}

/// Nothing is done of which nobody could be told who did it.
#[tokio::test]
async fn what_cannot_be_noted_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    Client::new(&objects).image("ns/app", "1", b"layer").await;
    let before = image_keys(&objects).await;
    let refuse = |_: &store::Txn<'_>| Err(store::Error::Closed);
    assert!(objects.image_remove("ns/app:1", refuse).await.is_err());
    let copied = objects.image_copy("ns/app:1", "ns/b:2", |_, _| Err(store::Error::Closed));
    assert!(copied.await.is_err());
    let noting = Caller::new(|_, _| true).noting(refuse);
    let client = Client { caller: Some(noting), objects: objects.clone() };
    let layer = digest(b"layer");
    for path in ["manifests/1".to_owned(), format!("blobs/{layer}")] {
        let answer = client.send("DELETE", &format!("/v2/ns/app/{path}"), &[], b"").await;
        assert_eq!(answer.status, 500, "{path}");
    }
    assert_eq!(image_keys(&objects).await, before);
}
