//! The registry, section by section of the distribution specification.

use crate::{
    client::{Client, INDEX, OCI, REALM, descriptor, image},
    digest, open, rot,
};
use objects::{
    Objects,
    oci::Source,
    registry::{Action, Caller},
};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn nobody_is_told_where_to_get_a_pass() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let nobody = Client { caller: None, ..Client::new(&objects) };
    for (uri, scope) in [
        ("/v2/", ""),
        ("/v2/a/b/tags/list", ",scope=\"repository:a/b:pull\""),
        ("/v2/a/blobs/uploads/", ""),
        ("/v2/_catalog", ",scope=\"registry:catalog:*\""),
        ("/v2/..%2f/x", ""),
    ] {
        let answer = nobody.get(uri).await;
        let expected = format!("Bearer realm=\"{REALM}\",service=\"appliance\"{scope}");
        if uri.ends_with("uploads/") {
            assert_eq!(answer.failed(), (405, "UNSUPPORTED".into()));
        } else {
            assert_eq!(
                (answer.status, answer.header("www-authenticate")),
                (401, &*expected),
                "{uri}"
            );
        }
    }
    let known = Client::new(&objects).get("/v2/").await;
    assert_eq!(
        (known.status, known.header("docker-distribution-api-version")),
        (200, "registry/2.0")
    );
}

#[tokio::test]
async fn a_blob_is_pushed_whole_and_in_chunks_and_goes_on_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let wanted = digest(&bytes);
    let at = {
        let objects = open(dir.path()).await;
        let client = Client::new(&objects);
        let begun =
            client.send("POST", "/v2/a/b/blobs/uploads/", &[("content-length", "0")], b"").await;
        assert_eq!((begun.status, begun.header("range")), (202, "0-0"));
        let at = begun.header("location").to_owned();
        let first = ("content-range", "0-499999");
        let sent = client.send("PATCH", &at, &[first], &bytes[..500_000]).await;
        assert_eq!((sent.status, sent.header("range")), (202, "0-499999"));
        for wrong in ["0-499999", "500001-500002"] {
            let sent = client.send("PATCH", &at, &[("content-range", wrong)], &bytes[..2]).await;
            assert_eq!(sent.failed(), (416, "BLOB_UPLOAD_INVALID".into()));
            assert_eq!(sent.header("range"), "0-499999");
        }
        let short =
            client.send("PATCH", &at, &[("content-range", "500000-500009")], b"short").await;
        assert_eq!(short.failed(), (400, "SIZE_INVALID".into()));
        at
    };
    // The store closes when its last handle goes; until then the folder is locked.
    let objects = loop {
        let settings = store::Config::new(dir.path().join("store"));
        match store::Store::open(&settings, store::SiteKey::new([7; 32])) {
            Ok(store) => {
                let config = objects::Config {
                    keep_free: 0,
                    ..objects::Config::new(dir.path().join("blobs"))
                };
                break Objects::open(config, store).await.unwrap();
            }
            Err(store::OpenError::InUse { .. }) => tokio::task::yield_now().await,
            Err(other) => panic!("{other}"),
        }
    };
    let client = Client::new(&objects);
    let stands = client.get(&at).await;
    assert_eq!((stands.status, stands.header("range")), (204, "0-499999"));
    let rest =
        client.send("PATCH", &at, &[("content-range", "500000-799999")], &bytes[500_000..800_000]);
    assert_eq!(rest.await.status, 202);
    let done = client.send("PUT", &format!("{at}?digest={wanted}"), &[], &bytes[800_000..]).await;
    assert_eq!((done.status, done.header("docker-content-digest")), (201, &*wanted));
    assert_eq!(client.get(&at).await.failed(), (404, "BLOB_UPLOAD_UNKNOWN".into()));
    let uri = format!("/v2/a/b/blobs/{wanted}");
    assert!(client.get(&uri).await.body == bytes);
    let head = client.send("HEAD", &uri, &[], b"").await;
    assert_eq!((head.status, head.header("content-length")), (200, "1200000"));
    let part = client.send("GET", &uri, &[("range", "bytes=499998-500001")], b"").await;
    assert_eq!((part.status, part.body.as_slice()), (206, &bytes[499_998..500_002]));
    let outside = client.send("GET", &uri, &[("range", "bytes=1200000-")], b"").await;
    assert_eq!(outside.status, 416);
}

#[tokio::test]
async fn wrong_digests_and_cancelled_uploads_leave_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let client = Client::new(&objects);
    let other = digest(b"other");
    let uri = format!("/v2/a/blobs/uploads/?digest={other}");
    assert_eq!(
        client.send("POST", &uri, &[], b"bytes").await.failed(),
        (400, "DIGEST_INVALID".into())
    );
    let unknown = client.get(&format!("/v2/a/blobs/{other}")).await;
    assert_eq!(unknown.failed(), (404, "BLOB_UNKNOWN".into()));
    let begun = client.send("POST", "/v2/a/blobs/uploads/", &[], b"").await;
    let at = begun.header("location").to_owned();
    assert_eq!(
        client.send("PUT", &format!("{at}?digest=md5:1"), &[], b"").await.failed().1,
        "DIGEST_INVALID"
    );
    let elsewhere = at.replace("/v2/a/", "/v2/b/");
    assert_eq!(client.get(&elsewhere).await.failed().1, "BLOB_UPLOAD_UNKNOWN");
    assert_eq!(client.send("DELETE", &at, &[], b"").await.status, 204);
    assert_eq!(client.send("PATCH", &at, &[], b"x").await.failed().1, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_blob_is_mounted_only_from_where_the_caller_may_pull() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let client = Client::new(&objects);
    let blob = client.blob("mine/base", b"layer").await;
    let uri = |from: &str| format!("/v2/mine/app/blobs/uploads/?mount={blob}&from={from}");
    let narrow = Caller::new(|name, _| name == "mine/app");
    let narrow = Client { caller: Some(narrow), objects: objects.clone() };
    assert_eq!(narrow.send("POST", &uri("mine/base"), &[], b"").await.status, 202);
    assert_eq!(narrow.get(&format!("/v2/mine/app/blobs/{blob}")).await.status, 404);
    assert_eq!(
        narrow.get(&format!("/v2/mine/base/blobs/{blob}")).await.failed(),
        (403, "DENIED".into())
    );
    assert_eq!(client.send("POST", &uri("nothing"), &[], b"").await.status, 202);
    assert_eq!(client.send("POST", &uri("mine/base"), &[], b"").await.status, 201);
    assert_eq!(narrow.get(&format!("/v2/mine/app/blobs/{blob}")).await.body, b"layer");
}

#[tokio::test]
async fn a_manifest_is_taken_with_all_its_parts_and_runs_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let client = Client::new(&objects);
    let refused = client.manifest("ns/app", "1", OCI, &image(b"layer")).await;
    assert_eq!(refused.failed(), (404, "MANIFEST_BLOB_UNKNOWN".into()));
    let (manifest, digest) = client.image("ns/app", "1", b"layer").await;
    for reference in ["1", &digest] {
        let got = client.get(&format!("/v2/ns/app/manifests/{reference}")).await;
        assert_eq!((got.status, got.header("content-type")), (200, OCI));
        assert_eq!(got.header("docker-content-digest"), digest);
        assert_eq!(got.body, manifest.to_string().into_bytes());
    }
    for name in ["ns/app:1", "box.site/ns/app:1", "box.site:8443/ns/app:1", "docker.io/ns/app:1"] {
        let source = objects.image_source(name, Duration::from_secs(60)).await.unwrap();
        assert_eq!((source.digest.as_str(), source.layers.len()), (digest.as_str(), 1), "{name}");
    }
    let wrong = client.manifest("ns/app", &crate::digest(b"x"), OCI, &manifest).await;
    assert_eq!(wrong.failed(), (400, "DIGEST_INVALID".into()));
    let mistyped = client.manifest("ns/app", "1", INDEX, &manifest).await;
    assert_eq!(mistyped.failed(), (400, "MANIFEST_INVALID".into()));
    let huge = vec![b' '; (4 << 20) + 1];
    let huge = client.send("PUT", "/v2/ns/app/manifests/1", &[("content-type", OCI)], &huge).await;
    assert_eq!(huge.status, 413);
    let elsewhere = client.get(&format!("/v2/other/manifests/{digest}")).await;
    assert_eq!(
        elsewhere.failed(),
        (404, "MANIFEST_UNKNOWN".into()),
        "a repository gives out its own alone"
    );
}

#[tokio::test]
async fn an_index_holds_variants_and_referrers_follow_their_subject() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let client = Client::new(&objects);
    let (one, _) = client.image("a", "amd", b"amd").await;
    let (two, _) = client.image("a", "arm", b"arm").await;
    let variant = |manifest: &Value, architecture: &str| {
        let mut one = descriptor(OCI, manifest.to_string().as_bytes());
        one["platform"] = json!({ "os": "linux", "architecture": architecture });
        one
    };
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX,
        "manifests": [variant(&one, "amd64"), variant(&two, "arm64")] });
    let put = client.manifest("a", "both", INDEX, &index).await;
    assert_eq!(put.status, 201);
    let subject = put.header("docker-content-digest").to_owned();
    assert_eq!(
        client.manifest("b", "both", INDEX, &index).await.failed().1,
        "MANIFEST_BLOB_UNKNOWN"
    );
    client.blob("a", b"{}").await;
    for (kind, note) in [("sig/one", "x"), ("sbom/two", "y")] {
        let about = json!({ "schemaVersion": 2, "mediaType": OCI, "artifactType": kind,
            "config": descriptor("application/vnd.oci.empty.v1+json", b"{}"), "layers": [],
            "subject": { "mediaType": INDEX, "digest": subject, "size": 1 },
            "annotations": { "note": note } });
        let answer = client.manifest("a", &digest(about.to_string().as_bytes()), OCI, &about).await;
        assert_eq!((answer.status, answer.header("oci-subject")), (201, subject.as_str()));
    }
    let list = client.get(&format!("/v2/a/referrers/{subject}")).await;
    assert_eq!(list.header("content-type"), INDEX);
    assert_eq!(list.json()["manifests"].as_array().unwrap().len(), 2);
    let some = client.get(&format!("/v2/a/referrers/{subject}?artifactType=sig%2Fone")).await;
    assert_eq!(some.header("oci-filters-applied"), "artifactType");
    assert_eq!(some.json()["manifests"][0]["annotations"]["note"], "x");
    assert_eq!(some.json()["manifests"].as_array().unwrap().len(), 1);
    let nothing = client.get(&format!("/v2/a/referrers/{}", digest(b"none"))).await;
    assert_eq!((nothing.status, nothing.json()["manifests"].as_array().unwrap().len()), (200, 0));
    // A copy takes along what was said about the image; a deleted subject's referrers go with it.
    objects.image_copy("a:both", "moved/b:1", |_, _| Ok(())).await.unwrap();
    let list = client.get(&format!("/v2/moved/b/referrers/{subject}")).await;
    assert_eq!(list.json()["manifests"].as_array().unwrap().len(), 2);
    let layer = client.get(&format!("/v2/moved/b/blobs/{}", digest(b"arm"))).await;
    assert_eq!(layer.body, b"arm");
}

#[tokio::test]
async fn tags_and_repositories_are_listed_in_pages() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let client = Client::new(&objects);
    for (name, tag) in
        [("z/app", "b"), ("z/app", "a"), ("z/app", "c"), ("alpine", "3"), ("z/app2", "x")]
    {
        client.image(name, tag, b"layer").await;
    }
    let first = client.get("/v2/z/app/tags/list?n=2").await;
    assert_eq!(first.json(), json!({ "name": "z/app", "tags": ["a", "b"] }));
    assert_eq!(first.header("link"), "</v2/z/app/tags/list?n=2&last=b>; rel=\"next\"");
    let second = client.get("/v2/z/app/tags/list?n=2&last=b").await;
    assert_eq!((second.json()["tags"].clone(), second.header("link")), (json!(["c"]), ""));
    assert_eq!(client.get("/v2/z/app/tags/list?n=0").await.json()["tags"], json!([]));
    assert_eq!(client.get("/v2/z/app/tags/list?n=x").await.failed().1, "PAGINATION_NUMBER_INVALID");
    assert_eq!(client.get("/v2/nobody/tags/list").await.failed(), (404, "NAME_UNKNOWN".into()));
    let all = client.get("/v2/_catalog").await;
    assert_eq!(all.json(), json!({ "repositories": ["alpine", "z/app", "z/app2"] }));
    let page = client.get("/v2/_catalog?n=1&last=alpine").await;
    assert_eq!(page.json()["repositories"], json!(["z/app"]));
    assert_eq!(page.header("link"), "</v2/_catalog?n=1&last=z%2Fapp>; rel=\"next\"");
    let narrow = Caller::new(|name, action| name == "alpine" && action == Action::Pull);
    let narrow = Client { caller: Some(narrow), objects };
    assert_eq!(narrow.get("/v2/_catalog").await.json()["repositories"], json!(["alpine"]));
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_its_space_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let client = Client::new(&objects);
    let layer = vec![9; 400_000];
    let (_, digest) = client.image("a", "1", &layer).await;
    client.image("a", "2", &layer).await;
    let gone = client.send("DELETE", "/v2/a/manifests/1", &[], b"").await;
    assert_eq!(gone.status, 202);
    assert_eq!(client.get("/v2/a/manifests/1").await.failed().1, "MANIFEST_UNKNOWN");
    assert_eq!(client.get("/v2/a/manifests/2").await.status, 200);
    assert_eq!(
        client.send("DELETE", &format!("/v2/a/manifests/{digest}"), &[], b"").await.status,
        202
    );
    assert_eq!(client.get("/v2/a/manifests/2").await.failed().1, "MANIFEST_UNKNOWN");
    assert_eq!(
        client.send("DELETE", &format!("/v2/a/manifests/{digest}"), &[], b"").await.status,
        404
    );
    let blob = format!("/v2/a/blobs/{}", crate::digest(&layer));
    assert_eq!(client.send("DELETE", &blob, &[], b"").await.status, 202);
    assert_eq!(client.get(&blob).await.status, 404);
    let later = base::time::Timestamp(jiff::Timestamp::now().as_microsecond() + 2 * 86_400_000_000);
    assert!(objects.image_sweep(later).await.unwrap() > 0);
    let left = objects.list("images", "", None, None, 10).await.unwrap();
    assert!(left.entries.is_empty(), "{left:?}");
    assert!(objects.gc_now().await.unwrap().bytes >= 400_000);
}

#[tokio::test]
async fn a_pass_allows_what_was_asked_and_allowed_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let viewer = Caller::new(|_, action| action == Action::Pull);
    let viewer = Client { caller: Some(viewer), objects: objects.clone() };
    let uri = "/v2/token?service=appliance&scope=repository:a:pull,push&scope=registry:catalog:*";
    let pass = viewer.get(uri).await.json()["token"].as_str().unwrap().to_owned();
    let now = base::time::Timestamp(jiff::Timestamp::now().as_microsecond());
    let holder = objects.registry_pass(&pass, now).unwrap();
    let holder = Client { caller: Some(holder), objects: objects.clone() };
    assert_eq!(holder.get("/v2/").await.status, 200);
    assert_eq!(holder.get("/v2/_catalog").await.status, 200);
    assert_eq!(holder.get("/v2/a/tags/list").await.failed().1, "NAME_UNKNOWN");
    let push = holder.send("POST", "/v2/a/blobs/uploads/", &[], b"").await;
    assert_eq!(push.status, 401, "a client may ask for a better pass");
    assert!(push.header("www-authenticate").contains("scope=\"repository:a:pull,push\""));
    assert_eq!(holder.get("/v2/b/tags/list").await.status, 401);
    let later = now.plus(objects::registry::PASS_LIFE + Duration::from_secs(1));
    assert!(objects.registry_pass(&pass, later).is_none());
    let forged = pass.replacen(&pass[..4], "AAAA", 1);
    for bad in ["", ".", "a.b", &forged] {
        assert!(objects.registry_pass(bad, now).is_none(), "{bad}");
    }
    let nobody = Client { caller: None, objects };
    assert_eq!(nobody.get(uri).await.status, 401);
}

#[tokio::test]
async fn an_exported_image_is_imported_elsewhere_as_it_was() {
    use futures_util::TryStreamExt;
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let objects = open(here.path()).await;
    let (_, digest) = Client::new(&objects).image("ns/app", "1", &vec![5; 70_000]).await;
    let bytes = objects.image_export("box.site/ns/app:1").await.unwrap();
    let bytes: Vec<bytes::Bytes> = bytes.try_collect().await.unwrap();
    let archive = there.path().join("image.tar");
    std::fs::write(&archive, bytes.concat()).unwrap();
    let other = open(&there.path().join("data")).await;
    let tagged = other.image_import(Source::at(archive), None, objects::alone).await.unwrap();
    assert_eq!(tagged[0].reference, "docker.io/ns/app:1");
    let source = other.image_source("ns/app:1", Duration::from_secs(60)).await.unwrap();
    assert_eq!(source.layers[0].size, 70_000);
    let again = Client::new(&other).get("/v2/ns/app/manifests/1").await;
    assert_eq!(again.status, 200);
    assert!(other.image_digest("ns/app:1").await.is_ok() && !digest.is_empty());
}

/// Bytes that changed on the disk are told by the image and the blob, and never exported as if they were good.
#[tokio::test]
async fn a_damaged_image_is_not_exported() {
    use futures_util::TryStreamExt;
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let layer = vec![5; 70_000];
    Client::new(&objects).image("ns/app", "1", &layer).await;
    rot(dir.path());
    let bytes = objects.image_export("ns/app:1").await.unwrap();
    let told = bytes.try_collect::<Vec<_>>().await.unwrap_err().to_string();
    assert!(told.contains("ns/app:1") && told.contains(&digest(&layer)), "{told}");
    objects.scrub_all().await.unwrap();
    let told = objects.image_export("ns/app:1").await.err().unwrap().to_string();
    assert!(told.contains("ns/app:1") && told.contains(&digest(&layer)), "{told}");
}

/// Uploads of one account are counted together, whatever it shows.
#[tokio::test]
async fn one_account_does_not_take_all_uploads_from_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let objects = open(dir.path()).await;
    let known = |account: &str| {
        let caller = Some(Caller::new(|_, _| true).known_as(account));
        Client { caller, objects: objects.clone() }
    };
    let (ann, bob) = (known("ann"), known("bob"));
    let begin = async |client: &Client| client.send("POST", "/v2/a/blobs/uploads/", &[], b"").await;
    let mut last = String::new();
    for _ in 0..250 {
        let begun = begin(&ann).await;
        assert_eq!(begun.status, 202);
        last = begun.header("location").to_owned();
    }
    let pass = ann.get("/v2/token?scope=repository:a:pull,push").await.json();
    let pass = pass["token"].as_str().unwrap().to_owned();
    let holder = objects.registry_pass(&pass, base::time::Timestamp(0)).unwrap();
    let owner = Caller::new(|_, _| true);
    let holder = Client { caller: Some(holder.within(owner)), objects: objects.clone() };
    for client in [&ann, &holder] {
        assert_eq!(begin(client).await.failed(), (429, "TOOMANYREQUESTS".into()));
    }
    assert_eq!(begin(&bob).await.status, 202);
    assert_eq!(ann.send("DELETE", &last, &[], b"").await.status, 204);
    assert_eq!(begin(&holder).await.status, 202);
}
