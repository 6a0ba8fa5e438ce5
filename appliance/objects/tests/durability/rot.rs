//! Stored bytes that change on the disk: found, kept from readers, put back.

use crate::load::{Value, noise, open};
use futures_util::TryStreamExt;
use http_body_util::BodyExt;
use objects::{Error, Objects};
use std::{
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};
use tower::ServiceExt;

const BIG: Value = Value { seed: 3, size: 200_000 };

/// The only file below a folder.
pub(crate) fn only_file(dir: &Path) -> Option<PathBuf> {
    std::fs::read_dir(dir).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() { only_file(&path) } else { Some(path) }
    })
}

fn rot(path: &Path) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(b"rot", 100_000).unwrap();
}

async fn read(objects: &Objects) -> Result<Vec<u8>, Error> {
    objects.get_small("caches", "big", 1 << 20).await
}

#[tokio::test]
async fn the_scrubber_finds_rot_keeps_it_from_readers_and_takes_the_bytes_back() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    objects.put("caches", "big", noise(BIG)).await.unwrap();
    objects.put("caches", "small", b"few".to_vec()).await.unwrap();
    let scrubbed = objects.scrub_all().await.unwrap();
    assert_eq!((scrubbed.blobs, scrubbed.files, scrubbed.rotten), (2, 1, 0));
    rot(&only_file(&dir.path().join("blobs")).unwrap());
    assert_eq!(objects.scrub_all().await.unwrap().rotten, 1);
    assert!(matches!(read(&objects).await, Err(Error::Damaged(_))));
    assert_eq!(objects.scrub_all().await.unwrap().rotten, 1, "it stays rotten");
    let rotten = objects.rotten().await.unwrap();
    assert_eq!((rotten.len(), rotten[0].size), (1, 200_000));
    assert!(!objects.heal(rotten[0].hash, b"other bytes".to_vec()).await.unwrap());
    assert!(objects.heal(rotten[0].hash, noise(BIG)).await.unwrap());
    assert!(read(&objects).await.unwrap() == noise(BIG));
    assert_eq!(objects.rotten().await.unwrap(), []);
    assert_eq!(crate::kill::on_disk(&dir.path().join("blobs")), 1, "the rotten file is gone");
    objects.delete("caches", "big").await.unwrap();
    assert_eq!(objects.gc_now().await.unwrap().bytes, 200_000, "healing holds nothing back");
}

#[tokio::test]
async fn an_upload_of_the_same_bytes_heals_them_and_a_lost_file_counts_as_rot() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    objects.put("caches", "big", noise(BIG)).await.unwrap();
    std::fs::remove_file(only_file(&dir.path().join("blobs")).unwrap()).unwrap();
    assert_eq!(objects.scrub_all().await.unwrap().rotten, 1);
    objects.put("caches", "again", noise(BIG)).await.unwrap();
    assert!(read(&objects).await.unwrap() == noise(BIG));
    assert_eq!(objects.scrub_all().await.unwrap().rotten, 0);
    rot(&only_file(&dir.path().join("blobs")).unwrap());
    assert_eq!(objects.scrub_all().await.unwrap().rotten, 1);
    objects.put("caches", "again", noise(BIG)).await.unwrap();
    objects.gc_now().await.unwrap();
    assert_eq!(crate::kill::on_disk(&dir.path().join("blobs")), 1, "the rotten file goes");
}

/// Reads until a reader is told that the bytes are damaged.
async fn read_until_told(objects: &Objects) {
    // A sample of the reads is compared; other tests of this process share the count.
    let mut told = 0;
    for _ in 0..64 {
        // A file that is read at once is told before an answer begins.
        told += match objects.get("caches", "big", None).await {
            Ok(found) => usize::from(found.bytes.try_collect::<Vec<_>>().await.is_err()),
            Err(Error::Damaged(_)) => 1,
            Err(other) => panic!("{other}"),
        };
    }
    assert!(told >= 1, "no read noticed");
}

/// Who was told that bytes are damaged sends them again at once: nobody has looked at them by then.
#[tokio::test]
async fn an_upload_heals_bytes_that_a_reader_has_just_found_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let blobs = dir.path().join("blobs");
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    objects.put("caches", "big", noise(BIG)).await.unwrap();
    let rotten = only_file(&blobs).unwrap();
    rot(&rotten);
    read_until_told(&objects).await;
    objects.put("caches", "big", noise(BIG)).await.unwrap();
    assert!(read(&objects).await.unwrap() == noise(BIG));
    objects.look_at_suspects().await.unwrap();
    assert!(read(&objects).await.unwrap() == noise(BIG));
    assert_eq!(objects.rotten().await.unwrap(), []);
    objects.gc_now().await.unwrap();
    assert!(!rotten.exists(), "the rotten file goes");
    assert_eq!(crate::kill::on_disk(&blobs), 1);
}

#[tokio::test]
async fn readers_notice_rot_by_themselves_before_long() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    objects.put("caches", "big", noise(BIG)).await.unwrap();
    rot(&only_file(&dir.path().join("blobs")).unwrap());
    read_until_told(&objects).await;
    objects.look_at_suspects().await.unwrap();
    assert!(matches!(read(&objects).await, Err(Error::Damaged(_))));
}

/// Asks for the large object as a client does: the status, and the code of the error.
async fn answer(objects: &Objects) -> (u16, bool) {
    let minute = std::time::Duration::from_secs(60);
    let asked = objects.presign(&http::Method::GET, "caches", "big", minute, "");
    let app = axum::Router::new().nest("/s3", objects::s3::router(objects.clone()));
    let request = http::Request::get(asked.url.expose()).body(axum::body::Body::empty()).unwrap();
    let answer = app.oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8_lossy(&body).contains("<Code>InternalError</Code>"))
}

async fn check_lost(lose: fn(&Path)) {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    objects.put("caches", "big", noise(BIG)).await.unwrap();
    assert_eq!(answer(&objects).await, (200, false));
    lose(&dir.path().join("blobs"));
    assert_eq!(answer(&objects).await, (500, true));
    assert!(matches!(objects.get("caches", "big", None).await, Err(Error::Bytes { .. })));
    objects.look_at_suspects().await.unwrap();
    assert_eq!(objects.rotten().await.unwrap().len(), 1);
    assert_eq!(answer(&objects).await, (500, true));
    assert!(matches!(read(&objects).await, Err(Error::Damaged(_))));
}

#[tokio::test]
async fn bytes_that_are_gone_are_told_before_an_answer_begins_and_counted_as_rot() {
    check_lost(|blobs| std::fs::remove_file(only_file(blobs).unwrap()).unwrap()).await;
    check_lost(|blobs| std::fs::remove_dir_all(blobs).unwrap()).await;
    check_lost(|blobs| {
        let file = std::fs::File::options().write(true).open(only_file(blobs).unwrap()).unwrap();
        file.set_len(100_000).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_full_bucket_refuses_more_and_takes_deletes() {
    let dir = tempfile::tempdir().unwrap();
    let (objects, _store) = open(dir.path(), None).await.unwrap();
    assert!(objects.bucket_create("site", "ann", objects::alone).await.unwrap());
    assert!(!objects.bucket_create("site", "ann", objects::alone).await.unwrap());
    let quota = objects::Quota { bytes: Some(1000), objects: None };
    objects.bucket_quota("site", quota, objects::alone).await.unwrap();
    objects.put("site", "a", vec![1; 900]).await.unwrap();
    assert!(matches!(objects.put("site", "b", vec![2; 200]).await, Err(Error::Quota)));
    objects.put("site", "a", vec![3; 1000]).await.expect("a replacement counts once");
    let infos = objects.bucket_infos().await.unwrap();
    let site = infos.iter().find(|info| info.name == "site").unwrap();
    assert_eq!((site.usage.bytes, site.usage.objects, site.quota), (1000, 1, quota));
    assert!(!objects.bucket_delete("site", objects::alone).await.unwrap());
    objects.delete("site", "a").await.unwrap();
    assert!(objects.bucket_delete("site", objects::alone).await.unwrap());
    assert!(matches!(objects.bucket_delete("logs", objects::alone).await, Err(Error::House(_))));
}
