//! Addresses that the house signs for itself: for one request, on one object, for a time.

use crate::{
    objects::{HOUSE_KEY, Objects, PRESIGN_MAX, now},
    sigv4::Presign,
};
use base::{protocol::Presigned, secret::Secret};
use http::Method;
use std::time::Duration;

impl Objects {
    /// An address for one request on one object, to be mounted under `/s3`; it carries its own
    /// signature. With an empty `host` it works on whatever connection the holder has; otherwise
    /// the request's `Host` must be that one.
    #[must_use]
    pub fn presign(
        &self,
        method: &Method,
        bucket: &str,
        key: &str,
        expires: Duration,
        host: &str,
    ) -> Presigned {
        let address = Presign {
            method: method.as_str(),
            path: &format!("/s3/{bucket}/{key}"),
            access_key: HOUSE_KEY,
            secret: self.inner.presign_secret.expose(),
            region: &self.inner.config.region,
            host,
            expires_seconds: expires.min(PRESIGN_MAX).as_secs().max(1),
            now: now(),
        }
        .address();
        Presigned { url: Secret::new(address) }
    }
}
