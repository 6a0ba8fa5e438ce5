//! What callers do to buckets, for the audit log: made, set, deleted, in the transaction of the deed.
//!
//! Objects have no entry there: for them a bucket has its access log.

use super::{
    call::{Call, Who},
    error::S3Error,
};
use base::time::Timestamp;
use store::{Txn, access::NewAudit};

/// A deed that is not noted yet.
pub(super) struct Deed {
    at: Timestamp,
    audit: NewAudit,
}

impl Deed {
    /// Of the call's caller on the call's bucket; `detail` tells what of it.
    fn new(call: &Call, action: &str, detail: Option<String>) -> Self {
        let actor = match &call.who {
            Who::Key { owner, .. } if !owner.display.is_empty() => &owner.display,
            who => who.owner(),
        };
        let audit = NewAudit {
            actor: actor.to_owned(),
            address: call.peer.address.map(|address| address.to_string()),
            action: action.to_owned(),
            subject: call.bucket.clone(),
            detail,
        };
        Self { at: call.now, audit }
    }

    pub(super) fn create(call: &Call) -> Self {
        Self::new(call, "bucket.create", None)
    }

    pub(super) fn delete(call: &Call) -> Self {
        Self::new(call, "bucket.delete", None)
    }

    /// Something was set on the bucket, or a setting removed: `name`, as the query has it.
    pub(super) fn set(call: &Call, name: &str) -> Self {
        let removed = if call.method == http::Method::DELETE { " removed" } else { "" };
        Self::new(call, "bucket.set", Some(format!("{name}{removed}")))
    }

    pub(super) fn note(&self, txn: &Txn<'_>) -> Result<(), S3Error> {
        Ok(txn.audit_append(self.at, &self.audit)?)
    }
}

#[cfg(test)]
mod tests {
    use crate::s3::matrix::{Site, ask, request, site};

    /// Action and detail of what was noted of the bucket, oldest first.
    async fn noted(site: &Site, bucket: &'static str) -> Vec<String> {
        let read =
            move |reader: &store::Reader<'_>| Ok::<_, crate::Error>(reader.audit_list(None, 100)?);
        let mut deeds = site.objects.read(read).await.unwrap();
        deeds.retain(|entry| entry.deed.subject == bucket);
        deeds.reverse();
        assert!(deeds.iter().all(|entry| entry.deed.actor == "ann"), "{deeds:?}");
        let told = |entry: store::access::AuditEntry| {
            let detail = entry.deed.detail.unwrap_or_default();
            format!("{} {detail}", entry.deed.action).trim_end().to_owned()
        };
        deeds.into_iter().map(told).collect()
    }

    #[tokio::test]
    async fn what_is_done_to_a_bucket_is_noted_once_and_refusals_are_not() {
        let site = site().await;
        let tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b</Value></Tag></TagSet></Tagging>";
        let notices = "<NotificationConfiguration/>";
        for (method, query, text) in [
            ("PUT", "", ""),
            ("PUT", "", ""),
            ("PUT", "tagging", tags),
            ("PUT", "tagging", "<Tagging>"),
            ("GET", "tagging", ""),
            ("DELETE", "tagging", ""),
            ("PUT", "notification", notices),
            ("PUT", "logging", "<BucketLoggingStatus/>"),
            ("DELETE", "", ""),
            ("DELETE", "", ""),
        ] {
            ask(&site, request((method, "/deeds", query, text), ("AKOWNER", "s"), false)).await;
        }
        let expected = [
            "bucket.create",
            "bucket.set tagging",
            "bucket.set tagging removed",
            "bucket.set notification",
            "bucket.set logging",
            "bucket.delete",
        ];
        assert_eq!(noted(&site, "deeds").await, expected);
    }
}
