//! What every handler can reach.

use crate::access::{Limiter, Rate, Transport, password::Checker};
use base::time::Timestamp;
use std::{
    convert::Infallible,
    ops::Deref,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

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
}

impl Config {
    /// The usual settings for an address.
    #[must_use]
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into().trim_end_matches('/').to_owned(),
            session_life: Duration::from_secs(7 * 24 * 3600),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}

/// The rooms behind the faces; clones of [`State`] share them.
#[derive(Debug)]
pub struct Rooms {
    /// Settings.
    pub config: Config,
    /// All state.
    pub store: store::Store,
    pub(crate) passwords: Checker,
    /// Attempts to log in, by address and by login.
    pub(crate) attempts: Mutex<Limiter>,
}

/// A handle on the [`Rooms`]; handlers take it as an argument.
#[derive(Debug, Clone)]
pub struct State(Arc<Rooms>);

/// Ten quick mistakes, then one attempt in six seconds: a person never notices, a guesser gets
/// 14,400 a day.
const ATTEMPTS: Rate = Rate { burst: 10, every: Duration::from_secs(6) };

impl State {
    /// Puts the rooms together.
    #[must_use]
    pub fn new(config: Config, store: store::Store) -> Self {
        Self(Arc::new(Rooms {
            config,
            store,
            passwords: Checker::default(),
            attempts: Mutex::new(Limiter::new(ATTEMPTS)),
        }))
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
        &self.0
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
