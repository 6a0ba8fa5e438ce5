//! Stored bytes that change on the disk and come back from a peer: another room over its own S3 face.

use crate::load::{Value, noise};
use base::{secret::Secret, time::Timestamp};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use objects::{Asked, Config, Error, Objects, Owner, Peer, Place, Scope};
use std::{fs, path::Path, sync::Arc};
use store::{SiteKey, Store};
use tokio::net::TcpListener;

const BUCKET: &str = "kept";

const LARGE: Value = Value { seed: 5, size: 6 << 20 };

/// A room with its face.
struct Site {
    dir: tempfile::TempDir,
    objects: Objects,
    store: Store,
    address: String,
}

impl Site {
    async fn new(peer: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = store::Config::new(dir.path().join("store"));
        let store = Store::open(&settings, SiteKey::new([7; 32])).unwrap();
        let peer = peer.map(|at| Peer::new(at, &options(&[]), Path::new("/nowhere")).unwrap());
        let config = Config { keep_free: 0, peer, ..Config::new(dir.path().join("blobs")) };
        let objects = Objects::open(config, store.clone()).await.unwrap();
        let owner = Owner { id: "hub".into(), ..Owner::default() };
        objects.key_import("AKFAR", &Secret::new("far"), owner, Scope::Owner, None).await.unwrap();
        assert!(objects.bucket_create(BUCKET, "hub", objects::alone).await.unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let face = objects::s3::router(objects.clone());
        tokio::spawn(async move { axum::serve(listener, face).await });
        Self { dir, objects, store, address }
    }

    /// A client of its face.
    fn client(&self, more: &[(&str, &str)]) -> Arc<dyn ObjectStore> {
        let more = [&[("aws_endpoint", &*self.address), ("allow_http", "true")], more].concat();
        let address = format!("s3://{BUCKET}");
        match Place::remote(&address, &options(&more), Path::new("/nowhere")).unwrap() {
            Place::Remote(client) => client,
            Place::Folder(_) => panic!("a remote place"),
        }
    }

    /// An object in one piece, one in two, and the same sealed.
    async fn fill(&self) {
        let bytes = bytes::Bytes::from(noise(LARGE));
        for (prefix, more) in [("open", &[][..]), ("sealed", &[SEALED][..])] {
            let client = self.client(more);
            client.put(&format!("{prefix}/whole").into(), bytes.clone().into()).await.unwrap();
            let mut upload = client.put_multipart(&format!("{prefix}/parts").into()).await.unwrap();
            upload.put_part(PutPayload::from(bytes.slice(..5 << 20))).await.unwrap();
            upload.put_part(PutPayload::from(bytes.slice(5 << 20..))).await.unwrap();
            upload.complete().await.unwrap();
        }
    }

    fn files(&self) -> Vec<std::path::PathBuf> {
        let shards = fs::read_dir(self.dir.path().join("blobs")).unwrap().flatten();
        let folders = shards.filter(|shard| shard.path().is_dir());
        folders
            .flat_map(|shard| fs::read_dir(shard.path()).unwrap().flatten())
            .map(|file| file.path())
            .collect()
    }

    async fn read(&self, key: &str) -> Result<Vec<u8>, Error> {
        self.objects.get_small(BUCKET, key, 1 << 24).await
    }

    async fn rotten(&self) -> usize {
        self.objects.rotten().await.unwrap().len()
    }
}

const SEALED: (&str, &str) = ("aws_server_side_encryption", "AES256");

fn options(more: &[(&str, &str)]) -> Vec<(String, String)> {
    let keys = [("aws_access_key_id", "AKFAR"), ("aws_secret_access_key", "far")];
    let all = keys.iter().chain(more);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_objects_and_parts_open_and_sealed_come_back_from_the_peer() {
    let far = Site::new(None).await;
    let near = Site::new(Some(&far.address)).await;
    near.fill().await;
    far.fill().await;
    let files = near.files();
    for file in &files {
        fs::write(file, b"rot").unwrap();
    }
    let damaged = near.objects.scrub_all().await.unwrap().rotten;
    assert_eq!((damaged, files.len()), (6, 6));
    assert!(near.read("open/whole").await.is_err());
    let asked = near.objects.ask_peer().await;
    assert_eq!(asked, Asked { healed: 6, ..Asked::default() });
    for key in ["open/whole", "open/parts", "sealed/whole", "sealed/parts"] {
        assert!(near.read(key).await.unwrap() == noise(LARGE), "{key}");
    }
    assert_eq!(near.objects.scrub_all().await.unwrap().rotten, 0);
    assert_eq!(near.objects.account().await.unwrap().healed, 6);
    near.objects.gc_now().await.unwrap();
    let left = near.files();
    assert_eq!(left.len(), 6);
    assert!(files.iter().all(|file| !left.contains(file)), "the damaged files go");
    assert_eq!(near.objects.ask_peer().await, Asked::default(), "nobody is asked for nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_stay_with_the_peer_until_it_has_those_that_were_stored() {
    let far = Site::new(None).await;
    let near = Site::new(Some(&far.address)).await;
    let (right, other) =
        (noise(Value { seed: 1, size: 50_000 }), noise(Value { seed: 2, size: 50_000 }));
    let sealed = near.client(&[SEALED]);
    near.objects.put(BUCKET, "absent", noise(Value { seed: 3, size: 40_000 })).await.unwrap();
    near.objects.put(BUCKET, "longer", noise(Value { seed: 4, size: 30_000 })).await.unwrap();
    near.objects.put(BUCKET, "other", right.clone()).await.unwrap();
    sealed.put(&"sealed".into(), right.clone().into()).await.unwrap();
    near.objects.put(BUCKET, "a//b", noise(Value { seed: 5, size: 20_000 })).await.unwrap();
    far.objects.put(BUCKET, "longer", noise(Value { seed: 4, size: 30_001 })).await.unwrap();
    for key in ["other", "sealed"] {
        far.objects.put(BUCKET, key, other.clone()).await.unwrap();
    }
    for file in near.files() {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(near.objects.scrub_all().await.unwrap().rotten, 5);
    let asked = near.objects.ask_peer().await;
    assert_eq!(asked, Asked { other: 4, absent: 1, ..Asked::default() });
    assert_eq!((near.rotten().await, near.files().len()), (5, 0), "nothing of it is kept");
    assert!(near.read("other").await.is_err());
    for key in ["other", "sealed"] {
        far.objects.put(BUCKET, key, right.clone()).await.unwrap();
    }
    assert_eq!(near.objects.ask_peer().await.healed, 2);
    assert!(
        near.read("other").await.unwrap() == right && near.read("sealed").await.unwrap() == right
    );
    assert_eq!(near.rotten().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_away_or_refuses_is_left_after_a_few_and_few_bytes_come_back_too() {
    let away = Site::new(Some("http://127.0.0.1:9")).await;
    for seed in 0..5 {
        let bytes = noise(Value { seed, size: 20_000 });
        away.objects.put(BUCKET, &seed.to_string(), bytes).await.unwrap();
    }
    for file in away.files() {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(away.objects.scrub_all().await.unwrap().rotten, 5);
    let asked = away.objects.ask_peer().await;
    assert_eq!((asked.failed, asked.healed), (3, 0));
    assert!(asked.reason.is_some());

    let far = Site::new(None).await;
    let near = Site::new(Some(&far.address)).await;
    for site in [&near, &far] {
        site.objects.put(BUCKET, "few", b"few".to_vec()).await.unwrap();
    }
    let doubt = |txn: &mut store::Txn<'_>| {
        let few = txn.blob_of(blake3::hash(b"few").as_bytes())?.expect("it was put");
        txn.blob_checked(&few, Timestamp(1), false)
    };
    assert!(near.store.write::<_, store::Error, _>(doubt).await.unwrap());
    assert_eq!(near.objects.ask_peer().await.healed, 1);
    assert_eq!(near.rotten().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_have_several_keys_are_asked_for_under_each() {
    let far = Site::new(None).await;
    let near = Site::new(Some(&far.address)).await;
    let bytes = noise(Value { seed: 1, size: 20_000 });
    for key in ["first", "second", "third"] {
        near.objects.put(BUCKET, key, bytes.clone()).await.unwrap();
    }
    far.objects.put(BUCKET, "first", bytes.clone()).await.unwrap();
    far.objects.put(BUCKET, "second", b"other".to_vec()).await.unwrap();
    for file in near.files() {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(near.objects.scrub_all().await.unwrap().rotten, 1);
    assert_eq!(near.objects.ask_peer().await, Asked { healed: 1, ..Asked::default() });
    assert!(near.read("third").await.unwrap() == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_that_does_not_end_is_cut() {
    let refuse = || async {
        let parts =
            futures_util::stream::repeat(Ok::<_, Error>(bytes::Bytes::from(vec![b'.'; 1 << 16])));
        let body = axum::body::Body::from_stream(futures_util::StreamExt::take(parts, 256));
        (http::StatusCode::FORBIDDEN, body)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let face = axum::Router::new().fallback(refuse);
    tokio::spawn(async move { axum::serve(listener, face).await });
    let near = Site::new(Some(&address)).await;
    near.objects.put(BUCKET, "one", noise(Value { seed: 1, size: 20_000 })).await.unwrap();
    for file in near.files() {
        fs::remove_file(file).unwrap();
    }
    near.objects.scrub_all().await.unwrap();
    let asked = near.objects.ask_peer().await;
    assert_eq!(asked.failed, 1);
    assert!(asked.reason.unwrap().len() < 2 << 20, "16 MiB were taken in");
}
