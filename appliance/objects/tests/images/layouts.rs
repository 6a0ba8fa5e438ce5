//! Layouts as other tools write them: several entries, signatures, other machines, packed, from a pipe.

use crate::{CONFIG, client::Client, digest, image_keys, open, rot, tar, told};
use futures_util::TryStreamExt;
use objects::{
    Objects,
    oci::{ImageError, Source},
};
use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
};

const LAYER: &[u8] = b"a layer";

/// Files of a layout and the entries of its index.
#[derive(Default)]
struct Layout {
    files: Vec<(String, Vec<u8>)>,
    entries: Vec<Value>,
}

impl Layout {
    fn new() -> Self {
        let mut layout = Self::default();
        layout.blob(CONFIG);
        layout.blob(LAYER);
        layout
    }

    fn blob(&mut self, bytes: &[u8]) -> String {
        let digest = digest(bytes);
        self.files.push((format!("blobs/sha256/{}", &digest[7..]), bytes.to_vec()));
        digest
    }

    /// An image told from others by `mark`; `more` fields of its manifest.
    fn manifest(&mut self, mark: &str, more: &Value) -> Value {
        let part = |bytes: &[u8], kind: &str| json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
        let mut manifest = json!({
            "schemaVersion": 2,
            "config": part(CONFIG, "application/vnd.oci.image.config.v1+json"),
            "layers": [part(LAYER, "application/vnd.oci.image.layer.v1.tar")],
            "annotations": { "mark": mark },
        });
        for (key, value) in more.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        let text = manifest.to_string();
        json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": self.blob(text.as_bytes()),
            "size": text.len(),
        })
    }

    fn about(&mut self, mark: &str, subject: &Value) -> Value {
        self.manifest(mark, &json!({ "subject": subject, "artifactType": "test/signature" }))
    }

    fn index_of(&mut self, manifests: &[Value]) -> Value {
        let text = json!({ "schemaVersion": 2, "manifests": manifests }).to_string();
        json!({
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "digest": self.blob(text.as_bytes()),
            "size": text.len(),
        })
    }

    fn list(&mut self, mut entry: Value, annotations: &[(&str, &str)]) -> String {
        for (key, value) in annotations {
            entry["annotations"][*key] = json!(value);
        }
        let digest = entry["digest"].as_str().unwrap().to_owned();
        self.entries.push(entry);
        digest
    }

    fn write(&self, path: &Path) -> PathBuf {
        let index = json!({ "schemaVersion": 2, "manifests": self.entries }).to_string();
        let mut files: Vec<(&str, &[u8])> =
            self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        files.push(("index.json", index.as_bytes()));
        tar(path, &files);
        path.to_owned()
    }
}

const NAME: &str = "org.opencontainers.image.ref.name";

fn only(digest: &str) -> Vec<String> {
    vec![digest.to_owned()]
}

async fn referrers(objects: &Objects, name: &str, digest: &str) -> Vec<String> {
    let answer = Client::new(objects).get(&format!("/v2/{name}/referrers/{digest}")).await;
    let all = answer.json()["manifests"].as_array().unwrap().clone();
    all.iter().map(|one| one["digest"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_signature_beside_an_image_is_its_referrer_and_never_gets_the_name() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let mut layout = Layout::new();
    let image = layout.manifest("image", &json!({}));
    let signature = layout.about("signature", &image);
    let remark = layout.about("about the signature", &signature);
    let image = layout.list(image, &[]);
    let (signature, remark) = (layout.list(signature, &[]), layout.list(remark, &[]));
    let path = layout.write(&dir.path().join("signed.tar"));
    let tagged = objects
        .image_import(Source::at(path), Some("site/signed:1"), objects::alone)
        .await
        .unwrap();
    assert_eq!(tagged.len(), 1);
    assert_eq!(tagged[0].digest, image);
    assert_eq!(objects.image_digest("site/signed:1").await.unwrap(), image);
    let name = "docker.io/site/signed";
    assert_eq!(referrers(&objects, "site/signed", &image).await, only(&signature), "{name}");
    assert_eq!(referrers(&objects, "site/signed", &signature).await, only(&remark));

    // Taken out and brought in elsewhere it is signed as before.
    let bytes = objects.image_export("site/signed:1").await.unwrap();
    let bytes: Vec<u8> = bytes.try_collect::<Vec<_>>().await.unwrap().concat();
    let path = dir.path().join("out.tar");
    std::fs::write(&path, bytes).unwrap();
    let other = tempfile::tempdir().unwrap();
    let other_objects = open(other.path()).await;
    let tagged = other_objects.image_import(Source::at(path), None, objects::alone).await.unwrap();
    assert_eq!((tagged.len(), tagged[0].digest.as_str()), (1, image.as_str()));
    assert_eq!(referrers(&other_objects, "site/signed", &image).await, only(&signature));
    assert_eq!(referrers(&other_objects, "site/signed", &signature).await, only(&remark));
}

#[tokio::test]
async fn a_named_image_with_a_signature_without_a_name_is_imported() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let mut layout = Layout::new();
    let image = layout.manifest("image", &json!({}));
    let signature = layout.about("signature", &image);
    // The signature first, and another one that the index does not list.
    let unlisted = layout.about("unlisted", &image)["digest"].as_str().unwrap().to_owned();
    let signature = layout.list(signature, &[]);
    let image = layout.list(image, &[(NAME, "site/named:1")]);
    let path = layout.write(&dir.path().join("named.tar"));
    let tagged = objects.image_import(Source::at(path), None, objects::alone).await.unwrap();
    assert_eq!(tagged[0].reference, "docker.io/site/named:1");
    let mut expected = [signature, unlisted];
    expected.sort();
    let mut found = referrers(&objects, "site/named", &image).await;
    found.sort();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn signatures_of_older_tools_keep_their_tags_there_and_back() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let mut layout = Layout::new();
    let (image, signature) =
        (layout.manifest("image", &json!({})), layout.manifest("signature", &json!({})));
    let image = layout.list(image, &[("kind", "dev.cosignproject.cosign/image")]);
    let signature = layout.list(signature, &[("kind", "dev.cosignproject.cosign/sigs")]);
    let path = layout.write(&dir.path().join("saved.tar"));
    let tagged =
        objects.image_import(Source::at(path), Some("site/old:1"), objects::alone).await.unwrap();
    assert_eq!((tagged.len(), tagged[0].digest.as_str()), (1, image.as_str()));
    let tag = format!("site/old:sha256-{}.sig", &image[7..]);
    assert_eq!(objects.image_digest(&tag).await.unwrap(), signature);

    let bytes = objects.image_export("site/old:1").await.unwrap();
    let bytes: Vec<u8> = bytes.try_collect::<Vec<_>>().await.unwrap().concat();
    let path = dir.path().join("out.tar");
    std::fs::write(&path, bytes).unwrap();
    let other = tempfile::tempdir().unwrap();
    let other_objects = open(other.path()).await;
    let tagged = other_objects
        .image_import(Source::at(path), Some("site/new:2"), objects::alone)
        .await
        .unwrap();
    assert_eq!((tagged.len(), tagged[0].digest.as_str()), (1, image.as_str()));
    let tag = format!("site/new:sha256-{}.sig", &image[7..]);
    assert_eq!(other_objects.image_digest(&tag).await.unwrap(), signature);
}

#[tokio::test]
async fn one_name_is_not_given_to_several_images() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let mut layout = Layout::new();
    let (first, second) =
        (layout.manifest("first", &json!({})), layout.manifest("second", &json!({})));
    let first = layout.list(first, &[(NAME, "site/first:1")]);
    let second = layout.list(second, &[(NAME, "site/second:1")]);
    let path = layout.write(&dir.path().join("two.tar"));
    let refused =
        objects.image_import(Source::at(path.clone()), Some("site/x:1"), objects::alone).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains(&first) && refused.contains(&second), "{refused}");
    assert!(refused.contains("--tag"), "{refused}");
    assert!(matches!(objects.image_digest("site/x:1").await, Err(ImageError::Missing(_))));
    assert_eq!(
        objects.image_import(Source::at(path), None, objects::alone).await.unwrap().len(),
        2
    );

    let saved = br#"[{"Config":"c.json","RepoTags":["a/b:1"],"Layers":[]},{"Config":"d.json","RepoTags":["a/c:1"],"Layers":[]}]"#;
    let path = dir.path().join("saved.tar");
    tar(&path, &[("c.json", CONFIG), ("d.json", b"{}"), ("manifest.json", saved)]);
    let refused = objects.image_import(Source::at(path), Some("site/x:1"), objects::alone).await;
    assert!(refused.unwrap_err().to_string().contains("2 images"));
    assert!(matches!(objects.image_digest("site/x:1").await, Err(ImageError::Missing(_))));
}

#[tokio::test]
async fn an_index_for_other_machines_is_taken_and_a_job_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let mut layout = Layout::new();
    let mut variant = layout.manifest("elsewhere", &json!({}));
    variant["platform"] = json!({ "os": "linux", "architecture": "s390x" });
    let mut left_out = layout.manifest("left out", &json!({}));
    layout.files.pop();
    left_out["platform"] = json!({ "os": "linux", "architecture": "ppc64le" });
    let index = layout.index_of(&[left_out, variant]);
    let index = layout.list(index, &[]);
    let path = layout.write(&dir.path().join("elsewhere.tar"));
    objects.image_import(Source::at(path), Some("site/else:1"), objects::alone).await.unwrap();
    assert_eq!(objects.image_digest("site/else:1").await.unwrap(), index);
    let minute = std::time::Duration::from_secs(60);
    let job = objects.image_source("site/else:1", minute).await.unwrap_err();
    assert!(matches!(job, ImageError::Platform { .. }), "{job}");

    let mut empty = Layout::new();
    let gone = empty.manifest("left out", &json!({}));
    empty.files.pop();
    let index = empty.index_of(&[gone]);
    empty.list(index, &[]);
    let path = empty.write(&dir.path().join("empty.tar"));
    let refused = objects
        .image_import(Source::at(path), Some("site/none:1"), objects::alone)
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("does not hold it"), "{refused}");
}

#[tokio::test]
async fn packed_archives_and_pipes_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let mut layout = Layout::new();
    let image = layout.manifest("packed", &json!({}));
    let image = layout.list(image, &[]);
    let plain = std::fs::read(layout.write(&dir.path().join("plain.tar"))).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let gzip = gzip.finish().unwrap();
    for (name, bytes) in [("i.tar", &plain), ("i.tar.zst", &zstd), ("i.tar.gz", &gzip)] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let tagged =
            objects.image_import(Source::at(path), Some("site/packed:1"), objects::alone).await;
        assert_eq!(tagged.unwrap()[0].digest, image, "{name}");
        // As the command line hands over its standard input.
        let (reader, mut writer) = std::io::pipe().unwrap();
        let bytes = bytes.clone();
        let write = std::thread::spawn(move || writer.write_all(&bytes));
        let fd = std::os::fd::AsRawFd::as_raw_fd(&reader);
        let source = Source::at(format!("/proc/{}/fd/{fd}", std::process::id()).into());
        let tagged = objects.image_import(source, Some("site/piped:1"), objects::alone).await;
        assert_eq!(tagged.unwrap()[0].digest, image, "{name}");
        write.join().unwrap().unwrap();
    }
    let path = dir.path().join("cut.tar.zst");
    std::fs::write(&path, &zstd[..zstd.len() / 2]).unwrap();
    let cut = objects
        .image_import(Source::at(path), Some("site/cut:1"), objects::alone)
        .await
        .unwrap_err();
    assert!(matches!(cut, ImageError::Read { .. }), "{}", told(&cut));
}

/// Nothing has a name of which nobody could be told who brought it in.
#[tokio::test]
async fn what_cannot_be_noted_is_not_imported_with_any_part() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let mut layout = Layout::new();
    let image = layout.manifest("image", &json!({}));
    let (new, old) = (layout.about("new", &image), layout.manifest("old", &json!({})));
    layout.list(image, &[]);
    layout.list(new, &[]);
    layout.list(old, &[("kind", "dev.cosignproject.cosign/sigs")]);
    let path = layout.write(&dir.path().join("signed.tar"));
    let refuse = |_: &store::Txn<'_>| Err(store::Error::Closed);
    let source = Source::at(path.clone());
    assert!(objects.image_import(source, Some("site/signed:1"), refuse).await.is_err());
    let keys = image_keys(&objects).await;
    assert!(keys.iter().all(|key| key.starts_with("blobs/")), "{keys:?}");
    let named = objects.image_import(Source::at(path), Some("site/signed:1"), objects::alone).await;
    assert_eq!(named.unwrap().len(), 1);
    let keys = image_keys(&objects).await;
    let count = |prefix: &str| keys.iter().filter(|key| key.starts_with(prefix)).count();
    assert_eq!((count("tags/"), count("manifests/"), count("referrers/")), (2, 3, 1), "{keys:?}");
}

#[tokio::test]
async fn an_image_whose_signature_is_damaged_is_not_exported() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let mut layout = Layout::new();
    let image = layout.manifest("image", &json!({}));
    let bytes = vec![5; 70_000];
    let signed = layout.blob(&bytes);
    let layers = json!([{ "mediaType": "test/layer", "digest": signed, "size": bytes.len() }]);
    let signature = layout.manifest("signature", &json!({ "subject": image, "layers": layers }));
    layout.list(image, &[(NAME, "site/signed:1")]);
    layout.list(signature, &[]);
    let path = layout.write(&dir.path().join("signed.tar"));
    objects.image_import(Source::at(path), None, objects::alone).await.unwrap();
    rot(dir.path());
    // One read of eight is compared where the bytes are kept, the others here.
    for _ in 0..9 {
        let Ok(bytes) = objects.image_export("site/signed:1").await else { break };
        let cut = bytes.try_collect::<Vec<_>>().await.unwrap_err().to_string();
        assert!(cut.contains("site/signed:1") && cut.contains(&signed), "{cut}");
    }
    objects.scrub_all().await.unwrap();
    let refused = objects.image_export("site/signed:1").await.err().unwrap().to_string();
    assert!(refused.contains(&signed), "{refused}");
}
