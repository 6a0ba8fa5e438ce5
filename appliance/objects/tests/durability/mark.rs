//! Above the high-water mark: what is refused, what goes on, and how room comes back.

use crate::{load::BUCKET, s3::S3};
use objects::{Config, Error, Objects};
use std::path::Path;
use store::{SiteKey, Store};

/// More than any disk has free.
const ABOVE: u64 = 1 << 60;

async fn open(dir: &Path, keep_free: u64) -> (Objects, Store) {
    let settings = store::Config::new(dir.join("store"));
    let store = tokio::task::spawn_blocking(move || Store::open(&settings, SiteKey::new([7; 32])));
    let store = store.await.unwrap().unwrap();
    let config = Config { keep_free, ..Config::new(dir.join("blobs")) };
    (Objects::open(config, store.clone()).await.unwrap(), store)
}

async fn close((objects, store): (Objects, Store)) {
    drop(objects);
    tokio::task::spawn_blocking(move || store.close()).await.unwrap().unwrap();
}

fn small(number: usize) -> Vec<u8> {
    let mut bytes = vec![7; 16 << 10];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn database(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("store").join(store::DATABASE)).unwrap().len()
}

#[tokio::test]
async fn small_objects_that_were_deleted_make_room_for_others() {
    const COUNT: usize = 300;
    let dir = tempfile::tempdir().unwrap();
    let below = open(dir.path(), 0).await;
    for number in 0..COUNT {
        below.0.put("caches", &format!("k{number}"), small(number)).await.unwrap();
    }
    close(below).await;
    let above = open(dir.path(), ABOVE).await;
    let objects = &above.0;
    let before = database(dir.path());
    assert!(matches!(objects.put("caches", "more", small(9999)).await, Err(Error::Full)));
    for number in 0..COUNT {
        objects.delete("caches", &format!("k{number}")).await.unwrap();
    }
    objects.gc_now().await.unwrap();
    let large = objects.put("caches", "large", vec![7; 300_000]).await;
    assert!(matches!(large, Err(Error::Full)), "a file finds no room in the database");
    let mut taken = 0;
    let refused = loop {
        match objects.put("caches", &format!("n{taken}"), small(1000 + taken)).await {
            Ok(_) => taken += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(refused, Error::Full), "{refused}");
    assert!(taken > COUNT / 2 && taken < COUNT, "{taken}");
    above.1.copy_home().await;
    close(above).await;
    let grown = database(dir.path()).saturating_sub(before);
    assert!(grown < 1 << 20, "the file grew by {grown} bytes");
}

#[tokio::test]
async fn above_the_mark_nothing_adds_rows_and_what_makes_room_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let below = open(dir.path(), 0).await;
    let s3 = S3::new(&below.0).await.unwrap();
    let ask = async |s3: &S3, method, key, query, body: &str, from: Option<&str>| {
        s3.ask(method, BUCKET, key, query, body.into(), from).await
    };
    ask(&s3, "PUT", "a", "", "bytes", None).await.unwrap();
    let begun = ask(&s3, "POST", "b", "uploads=", "", None).await.unwrap();
    let upload = begun.split_once("<UploadId>").unwrap().1.split_once('<').unwrap().0;
    let abort = format!("uploadId={upload}");
    drop(s3);
    close(below).await;

    let above = open(dir.path(), ABOVE).await;
    let objects = &above.0;
    // Asking again for the bucket that is there is refused as well.
    let s3 = S3::unprepared(objects);
    const TAGS: &str =
        "<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>";
    for (method, key, query, body, from) in [
        ("PUT", "c", "", "bytes", None),
        ("PUT", "c", "", "", Some("/load/a")),
        ("POST", "c", "uploads=", "", None),
        ("PUT", "a", "tagging=", TAGS, None),
        ("PUT", "", "tagging=", TAGS, None),
    ] {
        let refused = ask(&s3, method, key, query, body, from).await.unwrap_err();
        assert!(refused.starts_with("503"), "{method} {key}?{query}: {refused}");
    }
    let bucket = s3.ask("PUT", "another", "", "", Vec::new(), None).await.unwrap_err();
    assert!(bucket.starts_with("503"), "{bucket}");
    assert!(matches!(
        objects.bucket_create("another", "load", objects::alone).await,
        Err(Error::Full)
    ));
    let begun = crate::push::try_begin(objects, "above").await.unwrap_err();
    assert!(begun.contains("507"), "{begun}");

    const RULE: &str = "<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix></Prefix></Filter><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>";
    ask(&s3, "PUT", "", "lifecycle=", RULE, None).await.unwrap();
    assert_eq!(ask(&s3, "GET", "a", "", "", None).await.unwrap(), "bytes");
    ask(&s3, "DELETE", "b", &abort, "", None).await.unwrap();
    ask(&s3, "DELETE", "a", "", "", None).await.unwrap();
    drop(s3);
    close(above).await;
}

#[tokio::test]
async fn an_import_above_the_mark_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let above = open(dir.path(), ABOVE).await;
    let folder = dir.path().join("layout");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("index.json"), r#"{"manifests":[]}"#).unwrap();
    let source = objects::oci::Source::at(folder);
    let error = above.0.image_import(source, None, objects::alone).await.unwrap_err();
    let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(cause.contains("objects_keep_free_mib"), "{error}: {cause}");
    let images = above.0.image_copy("a:1", "b:1", |_, _| Ok(())).await.unwrap_err();
    assert!(matches!(images, objects::oci::ImageError::Objects(Error::Full)), "{images}");
    close(above).await;
}
