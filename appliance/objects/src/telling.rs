//! The one way in which addresses outside are told of something: notices of buckets, and whatever else
//! the house has to tell.
//!
//! Invariants: nothing is sent to an address that the operator does not allow, looked at again at each
//! attempt; an answer never leads elsewhere.
//! Bounds: an attempt takes [`PATIENCE`] at most; what fails is sent again, ever later, for [`AGE_MAX`].

use crate::{Config, notify, outward::Outward};
use base::{secret::Secret, time::Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, Method, Request, StatusCode, header};
use sha2::Sha256;
use std::time::Duration;
use store::objects::NOTICE_WAIT_MAX;

/// A receiver takes what it is told and works later.
const PATIENCE: Duration = Duration::from_secs(10);

/// A receiver that was away for a long weekend is told everything.
const AGE_MAX: Duration = Duration::from_secs(4 * 24 * 3600);

/// Tells addresses outside; clones share its connections.
#[derive(Debug, Clone)]
pub struct Teller {
    outward: Outward,
    allow: Vec<String>,
}

/// What is told to whom.
#[derive(Debug)]
pub struct Message<'a> {
    /// The address.
    pub target: &'a str,
    /// Beside those that say that JSON comes.
    pub headers: Vec<(HeaderName, String)>,
    /// JSON.
    pub body: String,
}

impl Teller {
    pub(crate) fn new(config: &Config) -> Self {
        let allow = config.webhook_allow.clone();
        Self { outward: Outward::new(&config.outward_roots), allow }
    }

    /// Sends it once; the reason when it did not come there.
    ///
    /// # Errors
    /// The address is not allowed, did not answer in time, or answered with another status than a
    /// success.
    pub async fn tell(&self, message: Message<'_>) -> Result<StatusCode, String> {
        if !notify::is_allowed(message.target, &self.allow) {
            return Err("the address is not below a prefix of `webhook_allow`".into());
        }
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(message.target)
            .header(header::CONTENT_TYPE, "application/json");
        for (name, value) in message.headers {
            request = request.header(name, value);
        }
        let request = request.body(message.body.into()).map_err(|error| error.to_string())?;
        let sent = tokio::time::timeout(PATIENCE, self.outward.send(request)).await;
        let answer = sent.map_err(|_| format!("no answer within {} s", PATIENCE.as_secs()))??;
        let status = answer.status();
        if status.is_success() { Ok(status) } else { Err(format!("it answered {status}")) }
    }
}

/// When to try again after so many failures before this one; `None` when it is given up.
#[must_use]
pub fn again(failures: u32, made: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let is_old = now.0 - made.0 > i64::try_from(AGE_MAX.as_micros()).unwrap_or(i64::MAX);
    (!is_old).then(|| now.plus(wait(failures)))
}

/// How long after a failure the next attempt is made.
fn wait(failures: u32) -> Duration {
    Duration::from_secs(1 << failures.min(12)).min(NOTICE_WAIT_MAX)
}

/// HMAC-SHA256 over a body, in hexadecimal digits.
#[must_use]
pub fn signature(key: &Secret, body: &str) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else {
        return String::new();
    };
    mac.update(body.as_bytes());
    crate::digest::hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_ever_later_until_they_are_given_up() {
        let waits: Vec<u64> = [0, 1, 5, 11, 12, 40].map(|n| wait(n).as_secs()).into();
        assert_eq!(waits, [1, 2, 32, 2048, 3600, 3600]);
        let end = Timestamp(7).plus(AGE_MAX);
        assert_eq!(again(1, Timestamp(7), end), Some(end.plus(Duration::from_secs(2))));
        assert_eq!(again(1, Timestamp(7), Timestamp(end.0 + 1)), None);
    }

    #[test]
    fn a_signature_is_that_of_hmac_sha256() {
        // Test case 2 of RFC 4231, and the examples of CircleCI's outbound webhooks.
        for (key, body, known) in [
            (
                "Jefe",
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                "secret",
                "hello world",
                "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a",
            ),
            (
                "another-secret",
                "lalala",
                "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00",
            ),
        ] {
            assert_eq!(signature(&Secret::new(key), body), known, "{body}");
        }
    }
}
