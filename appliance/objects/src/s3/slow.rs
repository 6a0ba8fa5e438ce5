//! Uploads that are long on their way: what counts is when they are stored.

use super::matrix::{Site, as_owner, ask, request, site};
use crate::{bucket, details::Details};
use axum::body::Body;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use store::objects::ObjectRow;
use tokio::sync::Notify;

/// A body that waits after its first bytes until it is let go.
fn waiting(begun: &Arc<Notify>, goes_on: &Arc<Notify>) -> Body {
    let (begun, goes_on) = (Arc::clone(begun), Arc::clone(goes_on));
    let first = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"by")) });
    let rest = stream::once(async move {
        begun.notify_one();
        goes_on.notified().await;
        Ok(Bytes::from_static(b"tes"))
    });
    Body::from_stream(first.chain(rest))
}

/// Puts an object in another request while the bytes of this one are on their way.
async fn overtaken(site: &Site, path: &str) {
    let (begun, goes_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = request(("PUT", path, "", "bytes"), ("AKOWNER", "s"), false);
    let slow = slow.map(|_| waiting(&begun, &goes_on));
    let overtake = async {
        begun.notified().await;
        as_owner(site, "PUT", path, "", "other").await;
        goes_on.notify_one();
    };
    let (answer, ()) = tokio::join!(ask(site, slow), overtake);
    assert_eq!(answer.status(), 200);
}

/// The versions of the key `k`, newest first.
async fn versions(site: &Site, bucket: &'static str) -> Vec<ObjectRow> {
    let rows = site.objects.read(move |reader| {
        let bucket = bucket::get(reader, bucket)?;
        Ok(reader.object_list_versions(bucket.id, "k", i64::MAX, 10)?)
    });
    rows.await.unwrap()
}

#[tokio::test]
async fn a_version_has_the_time_at_which_it_was_stored_and_is_retained_from_then_on() {
    let site = site().await;
    as_owner(&site, "PUT", "/late", "", "").await;
    let on = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    as_owner(&site, "PUT", "/late", "versioning", on).await;
    let lock = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    as_owner(&site, "PUT", "/late", "object-lock", lock).await;
    overtaken(&site, "/late/k").await;
    let found = versions(&site, "late").await;
    let [slow, other] = found.as_slice() else { panic!("{found:?}") };
    assert!(slow.modified >= other.modified, "{:?} {:?}", slow.modified, other.modified);
    for row in [slow, other] {
        let details: Details = crate::details::parse("k", &row.details).unwrap();
        let until = details.retention.unwrap().until;
        // Details tell times in milliseconds.
        let early = row.modified.0 + 86_400_000_000 - until.0;
        assert!((0..1000).contains(&early), "{early} µs too early");
    }
}
