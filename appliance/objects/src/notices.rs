//! Tells what happened in buckets to the addresses that they name, at least once.
//!
//! The way: the change writes its notice ([`note`]); this loop takes what is due, sends it, and
//! removes it when the answer was a success. What fails is sent again, ever later, for [`AGE_MAX`];
//! how telling goes stands beside each address and in the metrics.
//! Invariants: nothing is sent to an address that the operator does not allow, looked at again at
//! each attempt; an answer never leads elsewhere; each body is signed with its bucket's own key.
//! Bounds: [`AT_ONCE`] requests of at most [`PATIENCE`]; what waits is bounded by the store.

use crate::{
    bucket::{self, Bucket},
    error::Error,
    notify::{self, What},
    objects::{Objects, now},
    outward::Outward,
};
use base::{secret::Secret, time::Timestamp};
use futures_util::{StreamExt, stream};
use hmac::{Hmac, KeyInit, Mac};
use http::{Method, Request, header};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::Duration;
use store::objects::{NOTICE_WAIT_MAX, NoticeRow, NoticeTarget};

/// Requests at once.
const AT_ONCE: usize = 8;

/// Notices taken at once.
const BATCH: u32 = 32;

/// A receiver takes a notice and works later.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks while a bucket has rules.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two looks while none has.
const IDLE: Duration = Duration::from_secs(60);

/// A receiver that was away for a long weekend is told everything.
const AGE_MAX: Duration = Duration::from_secs(4 * 24 * 3600);

/// Writes the notices of a change, in its transaction.
pub(crate) fn note(
    txn: &mut store::Txn<'_>,
    bucket: &Bucket,
    what: &What<'_>,
    now: Timestamp,
) -> Result<(), store::Error> {
    if bucket.settings.notify.is_empty() {
        return Ok(());
    }
    for (address, body) in notify::notices(bucket, what, now) {
        txn.notice_insert(bucket.id, address, &body, now)?;
    }
    Ok(())
}

/// How long after a failure the next attempt is made.
fn wait(attempts: u32) -> Duration {
    Duration::from_secs(1 << attempts.min(12)).min(NOTICE_WAIT_MAX)
}

fn body(notice: &NoticeRow, region: &str) -> String {
    let record = serde_json::from_str::<Value>(&notice.body).unwrap_or_default();
    // One that was written down by an older program has a small letter.
    if record["Event"].is_string() || record["event"].is_string() {
        return record.to_string();
    }
    let mut record = record;
    record["awsRegion"] = region.into();
    json!({ "Records": [record] }).to_string()
}

fn signature(key: &Secret, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else {
        return String::new();
    };
    mac.update(body.as_bytes());
    format!("sha256={}", crate::digest::hex(&mac.finalize().into_bytes()))
}

impl Objects {
    /// Tells what is due, for ever; an idle house is not looked at.
    pub(crate) async fn tell_for_ever(&self) {
        let outward = Outward::new(&self.inner.config.outward_roots);
        loop {
            let told = match self.tell(&outward).await {
                Ok(told) => told,
                Err(error) => {
                    tracing::warn!(%error, "could not look at the notices of buckets");
                    0
                }
            };
            let pause = match self.has_rules().await {
                _ if told > 0 => Duration::ZERO,
                Ok(false) => IDLE,
                _ => PAUSE,
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.inner.rules_changed.notified(), if pause == IDLE => {}
            }
        }
    }

    async fn has_rules(&self) -> Result<bool, Error> {
        self.read(|reader| {
            let buckets = reader.bucket_list(None, "", u32::MAX)?;
            Ok(buckets.iter().any(|bucket| bucket.settings.contains("\"notify\"")))
        })
        .await
    }

    /// Tells a batch of what is due; returns how many were told.
    async fn tell(&self, outward: &Outward) -> Result<usize, Error> {
        let at = now();
        let due = self.read(move |reader| Ok(reader.notice_due(at, BATCH)?)).await?;
        let told = stream::iter(due).map(|notice| self.tell_one(outward, notice));
        let told: Vec<Result<bool, Error>> = told.buffer_unordered(AT_ONCE).collect().await;
        told.into_iter().try_fold(0, |count, told| Ok(count + usize::from(told?)))
    }

    async fn tell_one(&self, outward: &Outward, notice: NoticeRow) -> Result<bool, Error> {
        let sent = self.send(outward, &notice).await;
        let good = sent.is_ok();
        self.write(move |txn| {
            let Err(why) = sent else { return Ok::<_, Error>(txn.notice_told(&notice)?) };
            let now = now();
            if now.0 - notice.made.0 > i64::try_from(AGE_MAX.as_micros()).unwrap_or(i64::MAX) {
                return Ok(txn.notice_lost(&notice, &why)?);
            }
            Ok(txn.notice_failed(&notice, now.plus(wait(notice.attempts)), &why)?)
        })
        .await?;
        Ok(good)
    }

    async fn send(&self, outward: &Outward, notice: &NoticeRow) -> Result<(), String> {
        if !notify::is_allowed(&notice.target, &self.inner.config.webhook_allow) {
            return Err("the address is not below a prefix of `webhook_allow`".into());
        }
        let body = body(notice, &self.inner.config.region);
        let key = self.webhook_key(notice.bucket);
        let request = Request::builder()
            .method(Method::POST)
            .uri(&notice.target)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::USER_AGENT, "appliance")
            .header("x-appliance-event", notice.id)
            .header("x-appliance-signature", signature(&key, &body))
            .body(body.into())
            .map_err(|error| error.to_string())?;
        let sent = tokio::time::timeout(PATIENCE, outward.send(request)).await;
        let answer = sent.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))??;
        let status = answer.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answered {status}")) }
    }

    fn webhook_key(&self, bucket: i64) -> Secret {
        let key = self.inner.webhooks.derive(&bucket.to_string());
        Secret::new(crate::digest::hex(key.expose()))
    }

    /// The key that signs the notices of a bucket: HMAC-SHA256 over the body, in the header
    /// `x-appliance-signature: sha256=<hex>`.
    ///
    /// # Errors
    /// [`Error::NoBucket`].
    pub async fn bucket_webhook_key(&self, bucket: &str) -> Result<Secret, Error> {
        let name = bucket.to_owned();
        let id = self.read(move |reader| Ok(bucket::get(reader, &name)?.id)).await?;
        Ok(self.webhook_key(id))
    }

    /// How telling goes, by bucket and address.
    ///
    /// # Errors
    /// [`Error::Index`].
    pub async fn notice_targets(&self, bucket: Option<&str>) -> Result<Vec<NoticeTarget>, Error> {
        let bucket = bucket.map(str::to_owned);
        self.read(move |reader| Ok(reader.notice_targets(bucket.as_deref())?)).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_ever_later() {
        let waits: Vec<u64> = [0, 1, 5, 11, 12, 40].map(|n| wait(n).as_secs()).into();
        assert_eq!(waits, [1, 2, 32, 2048, 3600, 3600]);
    }

    #[test]
    fn a_signature_is_that_of_hmac_sha256() {
        // Test case 2 of RFC 4231.
        let found = signature(&Secret::new("Jefe"), "what do ya want for nothing?");
        let known = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(found, known);
    }
}
