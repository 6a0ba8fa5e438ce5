//! Images: imported from archives and layouts, found by any form of their name.

#![expect(clippy::unwrap_used, reason = "a test ends where its preparation fails")]

mod client;
mod layouts;
mod registry;
mod removal;

use base::time::Timestamp;
use objects::{
    Config, Entry, Objects, Quota,
    digest::hex,
    oci::{ImageError, Source},
};
use sha2::{Digest, Sha256};
use std::{path::Path, time::Duration};
use store::{SiteKey, Store};

async fn open(dir: &Path) -> Objects {
    let store = Store::open(&store::Config::new(dir.join("store")), SiteKey::new([7; 32])).unwrap();
    let own_names = vec!["box.site".to_owned()];
    let config = Config { keep_free: 0, own_names, ..Config::new(dir.join("blobs")) };
    Objects::open(config, store).await.unwrap()
}

/// All keys of the bucket of images.
async fn image_keys(objects: &Objects) -> Vec<String> {
    let page = objects.list("images", "", None, None, 1000).await.unwrap();
    let key = |entry| match entry {
        Entry::Object(info) => info.key,
        Entry::Prefix(prefix) => prefix,
    };
    page.entries.into_iter().map(key).collect()
}

/// Changes a few bytes of the only file that is kept beside the database.
fn rot(dir: &Path) {
    let shards = std::fs::read_dir(dir.join("blobs")).unwrap();
    let file = shards.flat_map(|shard| std::fs::read_dir(shard.unwrap().path()).unwrap()).next();
    let file = std::fs::File::options().write(true).open(file.unwrap().unwrap().path()).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"rot", 1000).unwrap();
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

fn tar(path: &Path, files: &[(&str, &[u8])]) {
    let mut tar = tar::Builder::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *bytes).unwrap();
    }
    tar.into_inner().unwrap();
}

const CONFIG: &[u8] = br#"{"config":{"Cmd":["sh"]},"rootfs":{"type":"layers","diff_ids":[]}}"#;

#[tokio::test]
async fn a_docker_archive_is_found_under_every_form_of_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let layer = vec![7_u8; 300_000];
    let manifest = br#"[{"Config":"c.json","RepoTags":["cimg/base:1"],"Layers":["l/layer.tar"]}]"#;
    let path = dir.path().join("image.tar");
    tar(&path, &[("c.json", CONFIG), ("l/layer.tar", &layer), ("manifest.json", manifest)]);
    let tagged = objects.image_import(Source::at(path), None, objects::alone).await.unwrap();
    assert_eq!(tagged[0].reference, "docker.io/cimg/base:1");
    for name in ["cimg/base:1", "docker.io/cimg/base:1", &format!("cimg/base@{}", tagged[0].digest)]
    {
        let source = objects.image_source(name, Duration::from_secs(60)).await.unwrap();
        assert_eq!(source.digest, tagged[0].digest);
        assert_eq!(source.config.as_bytes(), CONFIG);
        assert_eq!(
            (source.layers[0].digest.as_str(), source.layers[0].size),
            (digest(&layer).as_str(), 300_000)
        );
        assert!(source.layers[0].from.url.expose().starts_with("/s3/images/blobs/sha256/"));
    }
    assert_eq!(objects.image_list().await.unwrap(), tagged);
    let left = objects.list("images", "importing/", None, None, 10).await.unwrap();
    assert!(left.entries.is_empty());
}

#[tokio::test]
async fn a_layout_is_imported_as_a_folder_and_as_an_archive() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let layer: &[u8] = b"\x1f\x8blayer";
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{{"digest":"{}","size":{}}},"layers":[{{"mediaType":"x/tar+gzip","digest":"{}","size":7}}]}}"#,
        digest(CONFIG),
        CONFIG.len(),
        digest(layer)
    );
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"digest":"{}","size":{}}}]}}"#,
        digest(manifest.as_bytes()),
        manifest.len()
    );
    let name = |bytes: &[u8]| format!("blobs/sha256/{}", &digest(bytes)[7..]);
    let files = [
        (name(CONFIG), CONFIG),
        (name(layer), layer),
        (name(manifest.as_bytes()), manifest.as_bytes()),
        ("index.json".into(), index.as_bytes()),
    ];
    let folder = dir.path().join("layout");
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    for (name, bytes) in &files {
        std::fs::write(folder.join(name), bytes).unwrap();
    }
    let archive = dir.path().join("layout.tar");
    let listed: Vec<(&str, &[u8])> =
        files.iter().map(|(name, bytes)| (name.as_str(), *bytes)).collect();
    tar(&archive, &listed);
    for path in [folder.clone(), archive] {
        let tagged = objects
            .image_import(Source::at(path), Some("site/tool:2"), objects::alone)
            .await
            .unwrap();
        assert_eq!(tagged[0].digest, digest(manifest.as_bytes()));
    }
    // As `registry export` and newer Docker write it: a layout and a `docker save` archive at once.
    let saved = format!(
        r#"[{{"Config":"{}","RepoTags":["site/both:1"],"Layers":["{}"]}}]"#,
        name(CONFIG),
        name(layer)
    );
    let both = dir.path().join("both.tar");
    tar(&both, &[&listed[..], &[("manifest.json", saved.as_bytes())]].concat());
    let tagged = objects
        .image_import(Source::at(both.clone()), Some("site/tool:2"), objects::alone)
        .await
        .unwrap();
    assert_eq!(tagged[0].digest, digest(manifest.as_bytes()), "the digest is kept");
    // Only the archive's part of it names the image.
    let tagged = objects.image_import(Source::at(both), None, objects::alone).await.unwrap();
    assert_eq!(tagged[0].reference, "docker.io/site/both:1");
    let source = objects.image_source("site/tool:2", Duration::from_secs(60)).await.unwrap();
    assert_eq!(source.layers[0].media_type, "x/tar+gzip");
    let unnamed = objects
        .image_import(Source::at(folder), None, objects::alone)
        .await
        .unwrap_err()
        .to_string();
    assert!(unnamed.contains("--tag"), "{unnamed}");
}

#[tokio::test]
async fn a_damaged_archive_is_no_image() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let layer: &[u8] = b"a layer";
    let config = format!(r#"{{"rootfs":{{"type":"layers","diff_ids":["{}"]}}}}"#, digest(layer));
    let name = |bytes: &[u8]| format!("blobs/sha256/{}", &digest(bytes)[7..]);
    // In each form of an archive one byte of the layer is another.
    for place in [name(layer), "l/layer.tar".into()] {
        let manifest =
            format!(r#"[{{"Config":"c.json","RepoTags":["site/bad:1"],"Layers":["{place}"]}}]"#);
        for (bytes, whole) in [(layer, true), (b"a lazer", false)] {
            let path = dir.path().join("image.tar");
            let files = [
                ("c.json", config.as_bytes()),
                (place.as_str(), bytes),
                ("manifest.json", manifest.as_bytes()),
            ];
            tar(&path, &files);
            let imported = objects.image_import(Source::at(path), None, objects::alone).await;
            let told = imported.as_ref().err().map(|error| told(error));
            assert_eq!(imported.is_ok(), whole, "{place}: {told:?}");
            assert!(told.is_none_or(|told| told.contains("damaged")), "{place}");
        }
    }
}

#[tokio::test]
async fn an_import_beyond_the_quota_says_what_it_is_and_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let manifest = br#"[{"Config":"c.json","RepoTags":["cimg/base:1"],"Layers":["layer.tar"]}]"#;
    let path = dir.path().join("image.tar");
    tar(&path, &[("c.json", CONFIG), ("layer.tar", &[7; 9000]), ("manifest.json", manifest)]);
    // The layer does not fit; all files do, and not what is written down of them.
    for (bytes, count) in [(Some(4096), None), (None, Some(4))] {
        let quota = Quota { bytes, objects: count };
        objects.bucket_quota("images", quota, objects::alone).await.unwrap();
        let refused = objects.image_import(Source::at(path.clone()), None, objects::alone).await;
        let Err(ImageError::Quota(bound)) = &refused else { panic!("{refused:?}") };
        assert!(bound == "at most 4 KiB" || bound == "at most 4 objects", "{bound}");
        assert!(told(&refused.unwrap_err()).contains("appliance bucket quota images"));
    }
}

/// An error with its causes.
fn told(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", told(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}

#[tokio::test]
async fn a_missing_image_tells_how_to_import_it_and_a_broken_archive_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let missing = objects.image_digest("cimg/base:9").await.unwrap_err();
    assert!(matches!(missing, ImageError::Missing(_)));
    assert!(missing.to_string().contains("appliance registry import"), "{missing}");
    let path = dir.path().join("broken.tar");
    tar(
        &path,
        &[
            ("manifest.json", br#"[{"Config":"c.json","RepoTags":["a/b:1"],"Layers":["no.tar"]}]"#),
            ("c.json", CONFIG),
        ],
    );
    let broken =
        objects.image_import(Source::at(path), None, objects::alone).await.unwrap_err().to_string();
    assert!(broken.contains("no.tar"), "{broken}");

    // The words of what is no archive are not repeated.
    let path = dir.path().join("passwd");
    std::fs::write(&path, "root:x:0:0:root:/root:/bin/sh\n".repeat(40)).unwrap();
    let other =
        told(&objects.image_import(Source::at(path), None, objects::alone).await.unwrap_err());
    assert!(other.contains("no tar archive") && !other.contains("root:x"), "{other}");
    let path = dir.path().join("cut.tar");
    tar(&path, &[("c.json", CONFIG), ("layer", &[b'x'; 4000])]);
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(2000).unwrap();
    let cut =
        told(&objects.image_import(Source::at(path), None, objects::alone).await.unwrap_err());
    assert!(cut.contains("breaks off"), "{cut}");
    assert!(matches!(objects.image_digest("a/b:1").await, Err(ImageError::Missing(_))));
}

#[tokio::test]
async fn an_index_leads_to_the_variant_of_this_machine_also_when_it_is_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let here = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let entry = |bytes: &[u8], more: &str| {
        format!(r#"{{"digest":"{}","size":{}{more}}}"#, digest(bytes), bytes.len())
    };
    let platform = |name: &str| format!(r#","platform":{{"os":"linux","architecture":"{name}"}}"#);
    let manifest = format!(r#"{{"schemaVersion":2,"config":{},"layers":[]}}"#, entry(CONFIG, ""));
    // The other variant is named and, as many tools do, left out of the file.
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{}]}}"#,
        entry(b"left out", &platform("other")),
        entry(manifest.as_bytes(), &platform(here))
    );
    let named = r#","annotations":{"io.containerd.image.name":"docker.io/library/both:1"}"#;
    let top = format!(r#"{{"manifests":[{}]}}"#, entry(index.as_bytes(), named));
    let name = |bytes: &[u8]| format!("blobs/sha256/{}", &digest(bytes)[7..]);
    let path = dir.path().join("both.tar");
    tar(
        &path,
        &[
            ("index.json", top.as_bytes()),
            (&name(CONFIG), CONFIG),
            (&name(manifest.as_bytes()), manifest.as_bytes()),
            (&name(index.as_bytes()), index.as_bytes()),
        ],
    );
    objects.image_import(Source::at(path), None, objects::alone).await.unwrap();
    for reference in ["both:1", &format!("both@{}", digest(index.as_bytes()))] {
        let source = objects.image_source(reference, Duration::from_secs(60)).await.unwrap();
        assert_eq!(source.digest, digest(manifest.as_bytes()), "{reference}");
    }
    objects.put("images", "importing/cut", b"x".to_vec()).await.unwrap();
    let days =
        |count: i64| Timestamp(jiff::Timestamp::now().as_microsecond() + count * 86_400_000_000);
    assert_eq!(objects.image_sweep(days(0)).await.unwrap(), 0, "what is young stays");
    // The cut import and the file's own `index.json` go; the index that a plan may pin stays.
    assert_eq!(objects.image_sweep(days(2)).await.unwrap(), 2);
    for reference in ["both:1", &format!("both@{}", digest(index.as_bytes()))] {
        objects.image_source(reference, Duration::from_secs(60)).await.unwrap();
    }
    objects.image_remove("both:1", objects::alone).await.unwrap();
    // Index, manifest and configuration, with two records and a link.
    assert_eq!(objects.image_sweep(days(2)).await.unwrap(), 6);
    let left = objects.list("images", "", None, None, 10).await.unwrap();
    assert!(left.entries.is_empty(), "{left:?}");
    assert!(matches!(objects.image_digest("both:1").await, Err(ImageError::Missing(_))));
    assert!(matches!(
        objects.image_remove("both:1", objects::alone).await,
        Err(ImageError::NoName(_))
    ));
}
