//! Tells what happened in buckets to the addresses that they name, at least once.
//!
//! The way: the change writes its notice ([`note`]); this loop takes what is due, sends it, and
//! removes it when the answer was a success. What fails is sent again, ever later, and given up in the end;
//! how telling goes stands beside each address and in the metrics.
//! Invariants: what [`Teller`] promises; each body is signed with its bucket's own key.
//! Bounds: [`AT_ONCE`] requests; what waits is bounded by the store.

use crate::{
    bucket::{self, Bucket},
    error::Error,
    notify::{self, What},
    objects::{Objects, now},
    telling::{self, Message, Teller},
};
use base::{secret::Secret, time::Timestamp};
use futures_util::{StreamExt, stream};
use http::{HeaderName, header};
use serde_json::{Value, json};
use std::time::Duration;
use store::objects::{NoticeRow, NoticeTarget};

/// Requests at once.
const AT_ONCE: usize = 8;

/// Notices taken at once.
const BATCH: u32 = 32;

/// Between two looks while a bucket has rules.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two looks while none has.
const IDLE: Duration = Duration::from_secs(60);

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

impl Objects {
    /// Tells what is due, for ever; an idle house is not looked at.
    pub(crate) async fn tell_for_ever(&self) {
        let teller = self.teller();
        loop {
            let told = match self.tell(&teller).await {
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
    async fn tell(&self, teller: &Teller) -> Result<usize, Error> {
        let at = now();
        let due = self.read(move |reader| Ok(reader.notice_due(at, BATCH)?)).await?;
        let told = stream::iter(due).map(|notice| self.tell_one(teller, notice));
        let told: Vec<Result<bool, Error>> = told.buffer_unordered(AT_ONCE).collect().await;
        told.into_iter().try_fold(0, |count, told| Ok(count + usize::from(told?)))
    }

    async fn tell_one(&self, teller: &Teller, notice: NoticeRow) -> Result<bool, Error> {
        let sent = self.send(teller, &notice).await;
        let good = sent.is_ok();
        self.write(move |txn| {
            let Err(why) = sent else { return Ok::<_, Error>(txn.notice_told(&notice)?) };
            match telling::again(notice.attempts, notice.made, now()) {
                Some(due) => txn.notice_failed(&notice, due, &why)?,
                None => txn.notice_lost(&notice, &why)?,
            }
            Ok(())
        })
        .await?;
        Ok(good)
    }

    async fn send(&self, teller: &Teller, notice: &NoticeRow) -> Result<(), String> {
        let body = body(notice, &self.inner.config.region);
        let sign = telling::signature(&self.webhook_key(notice.bucket), &body);
        let headers = vec![
            (header::USER_AGENT, "appliance".to_owned()),
            (HeaderName::from_static("x-appliance-event"), notice.id.to_string()),
            (HeaderName::from_static("x-appliance-signature"), format!("sha256={sign}")),
        ];
        teller.tell(Message { target: &notice.target, headers, body }).await.map(|_| ())
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

    /// Tells addresses outside, those that the operator allows.
    #[must_use]
    pub fn teller(&self) -> Teller {
        Teller::new(&self.inner.config)
    }

    /// The operator allows that address to be told.
    #[must_use]
    pub fn may_tell(&self, address: &str) -> bool {
        notify::is_address(address) && notify::is_allowed(address, &self.inner.config.webhook_allow)
    }

    /// The operator allows no address at all.
    #[must_use]
    pub fn tells_nobody(&self) -> bool {
        self.inner.config.webhook_allow.is_empty()
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
