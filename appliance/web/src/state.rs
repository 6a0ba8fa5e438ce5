//! What every handler can reach.

use crate::{
    access::{Attempts, PassKey, Transport, User, password::Checker},
    api::large,
    error::Failure,
    streams::{StreamRoom, Streams},
};
use base::time::Timestamp;
use std::{
    convert::Infallible,
    ops::Deref,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::{Duration, SystemTime},
};
use tokio::sync::{Notify, watch};

/// Settings of the faces.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of this site as people type it, without a slash at the end:
    /// `https://ci.substation-7:8443`.
    pub base_url: String,
    /// A browser stays logged in this long.
    pub session_life: Duration,
    /// Shown at the foot of each page.
    pub version: String,
    /// Certificate of the site's own authority, PEM, for people to install.
    pub authority: Option<String>,
    /// How long things are kept.
    pub keep: engine::retention::Keep,
    /// The ends of the certificates that the site shows, as they are now.
    pub certificates: watch::Receiver<Vec<CertificateEnd>>,
}

/// Until when a certificate is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEnd {
    /// Its place: `server`, one behind it, or the built-in `authority`.
    pub certificate: String,
    /// Whose it is.
    pub subject: String,
    /// It is valid until then.
    pub at: Timestamp,
}

impl CertificateEnd {
    /// An end that is nearer than this is shown.
    const NEAR: Duration = Duration::from_secs(30 * 24 * 3600);

    /// Of a certificate that ends soon: what to say.
    pub(crate) fn warning(&self, now: Timestamp) -> Option<String> {
        let Self { certificate, subject, at } = self;
        let days = at.since(now).as_secs() / (24 * 3600);
        match at.since(now) {
            _ if *at <= now => Some(format!(
                "The certificate \u{201c}{certificate}\u{201d} of this site ({subject}) ended at {at}: browsers and jobs refuse the connection."
            )),
            left if left < Self::NEAR => Some(format!(
                "The certificate \u{201c}{certificate}\u{201d} of this site ({subject}) ends in {days} days, at {at}: put a new one in place before, or see the log for why it was not renewed."
            )),
            _ => None,
        }
    }
}

/// How long pipelines are kept when nobody says otherwise.
const KEEP: Duration = Duration::from_secs(90 * 24 * 3600);

impl Config {
    /// The usual settings for an address.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into().trim_end_matches('/').to_owned(),
            session_life: Duration::from_secs(7 * 24 * 3600),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            authority: None,
            keep: engine::retention::Keep::all(KEEP),
            certificates: watch::channel(Vec::new()).1,
        }
    }
}

/// The rooms behind the faces.
#[derive(Debug)]
pub struct Rooms {
    /// Settings.
    pub config: Config,
    /// All state.
    pub store: store::Store,
    /// Starts, stops and approves; hands out work.
    pub engine: engine::Handle,
    /// Output of steps.
    pub logs: engine::logs::Logs,
    /// Artifacts, caches, images.
    pub objects: objects::Objects,
    /// Bare repositories.
    pub repos: repos::Repos,
    /// Orbs that configurations may use.
    pub orbs: orbs::Registry,
}

/// What guards the doors, and is lost at a restart without harm.
#[derive(Debug)]
struct Shared {
    rooms: Rooms,
    passwords: Checker,
    /// Attempts to log in, by address and by login.
    attempts: Mutex<Attempts>,
    /// Streams that browsers hold open.
    streams: Streams,
    large: large::Room,
    passes: PassKey,
    /// Held while a project or repository gets or gives up its name.
    naming: tokio::sync::Mutex<()>,
    /// Rung when a project was deleted.
    removals: Notify,
    /// Deliveries to webhooks that were given up since the start.
    deliveries_lost: AtomicU64,
    closing: watch::Sender<bool>,
}

/// A handle on the [`Rooms`]; clones share them. Handlers take it as an argument.
#[derive(Debug, Clone)]
pub struct State(Arc<Shared>);

impl State {
    /// Puts the rooms together.
    #[must_use]
    pub fn new(rooms: Rooms) -> Self {
        Self(Arc::new(Shared {
            rooms,
            passwords: Checker::default(),
            attempts: Mutex::default(),
            streams: Streams::default(),
            large: large::Room::default(),
            passes: PassKey::random(),
            naming: tokio::sync::Mutex::default(),
            removals: Notify::new(),
            deliveries_lost: AtomicU64::new(0),
            closing: watch::Sender::new(false),
        }))
    }

    pub(crate) fn passwords(&self) -> &Checker {
        &self.0.passwords
    }

    pub(crate) fn attempts(&self) -> MutexGuard<'_, Attempts> {
        self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends every stream to browsers and command lines; they come again after the next start.
    pub fn close_streams(&self) {
        self.0.closing.send_replace(true);
    }

    /// Completes when the streams are to end.
    pub(crate) fn closing(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closing = self.0.closing.subscribe();
        async move {
            // A sender that is gone closes, too.
            let _ = closing.wait_for(|closing| *closing).await;
        }
    }

    /// Signs passes: of reports, and of the output of steps.
    pub(crate) fn pass_key(&self) -> &PassKey {
        &self.0.passes
    }

    /// Held while a project or repository gets or gives up its name.
    pub(crate) fn naming(&self) -> &tokio::sync::Mutex<()> {
        &self.0.naming
    }

    /// Rung when a project was deleted.
    pub(crate) fn removals(&self) -> &Notify {
        &self.0.removals
    }

    /// Deliveries to webhooks that were given up since the start.
    pub(crate) fn deliveries_lost(&self) -> &AtomicU64 {
        &self.0.deliveries_lost
    }

    /// Room for large bodies.
    pub(crate) fn large(&self) -> &large::Room {
        &self.0.large
    }

    /// Room for one more stream of this account; it is held as long as the stream.
    pub(crate) fn stream_room(&self, of: &User) -> Result<StreamRoom, Failure> {
        self.0.streams.room(of.id)
    }

    /// The time of this request.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Timestamp(0).plus(since)
    }

    /// Over TLS, unless the site's own address says otherwise.
    #[must_use]
    pub fn transport(&self) -> Transport {
        if self.config.base_url.starts_with("http://") {
            Transport::Plain
        } else {
            Transport::Secure
        }
    }
}

impl Deref for State {
    type Target = Rooms;
    fn deref(&self) -> &Rooms {
        &self.0.rooms
    }
}

impl axum::extract::FromRequestParts<Self> for State {
    type Rejection = Infallible;
    async fn from_request_parts(
        _: &mut http::request::Parts,
        state: &Self,
    ) -> Result<Self, Infallible> {
        Ok(state.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(days: i64, expected: Option<&str>) {
        let now = Timestamp(1_800_000_000_000_000);
        let end = CertificateEnd {
            certificate: "server".into(),
            subject: "CN=box".into(),
            at: Timestamp(now.0 + days * 86_400_000_000),
        };
        let told = end.warning(now);
        match (&told, expected) {
            (None, None) => {}
            (Some(told), Some(words)) => assert!(told.contains(words), "{told}"),
            _ => panic!("{days} days: {told:?}"),
        }
    }

    #[test]
    fn a_certificate_that_ends_soon_is_shown() {
        check(30, None);
        check(29, Some("(CN=box) ends in 29 days"));
        check(0, Some("ended at 2027-01-15"));
        check(-3, Some("ended at"));
    }
}
