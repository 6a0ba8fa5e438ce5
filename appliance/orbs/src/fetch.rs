//! Asking an address for an orb: the order of deeds; the asking itself is handed in.
//!
//! Invariants: no address is asked that is not below a prefix, redirects included; one at a time,
//! so that compilations that start together ask once; what failed is left alone for a minute (a
//! host that did not answer with all its addresses), so that a link that is down costs one time-out
//! and not one for each compilation.
//! Failure: a reason, in words that complete "the address …".

use crate::address::{self, Prefix};
use base::limits::CONFIG_MAX;
use pipeline::{Code, validate_orb};
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};
use url::Url;

/// Redirects in a row.
const REDIRECTS_MAX: usize = 3;

/// How long what failed is not asked again.
const PAUSE: Duration = Duration::from_secs(60);

/// What an address answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The orb.
    Text(String),
    /// Another address, as it stood in the answer.
    Moved(String),
}

/// Why an address gave no orb, in words that complete "the address …".
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered.
    Unreachable(String),
    /// The host answered with something else.
    Refused(String),
}

/// Asks one address once; it may block, and bounds its own time and size.
pub type Ask = dyn Fn(&str) -> Result<Reply, Failure> + Send + Sync;

/// Hosts and addresses that failed, when, and why.
type Failed = HashMap<String, (Instant, String)>;

/// Fetching; clones take turns.
#[derive(Clone)]
pub(crate) struct Fetch {
    ask: Arc<Ask>,
    failed: Arc<Mutex<Failed>>,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}

/// Nobody else fetches while this lives.
pub(crate) struct Turn<'a> {
    fetch: &'a Fetch,
    failed: MutexGuard<'a, Failed>,
}

impl Fetch {
    pub(crate) fn new(ask: Arc<Ask>) -> Self {
        Self { ask, failed: Arc::default() }
    }

    pub(crate) fn turn(&self) -> Turn<'_> {
        // The map is whole whatever happened to its last holder.
        let failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        Turn { fetch: self, failed }
    }
}

impl Turn<'_> {
    /// The orb behind an address that is below one of the prefixes.
    pub(crate) fn get(&mut self, address: &Url, prefixes: &[Prefix]) -> Result<String, String> {
        let host = address.origin().ascii_serialization();
        self.failed.retain(|_, (when, _)| when.elapsed() < PAUSE);
        if let Some((_, why)) = self.failed.get(&host).or_else(|| self.failed.get(address.as_str()))
        {
            return Err(why.clone());
        }
        let got = self.follow(address, prefixes).and_then(|text| sound(text, address));
        got.map_err(|failure| {
            let (key, why) = match failure {
                Failure::Unreachable(why) => (host, why),
                Failure::Refused(why) => (address.to_string(), why),
            };
            self.failed.insert(key, (Instant::now(), why.clone()));
            why
        })
    }

    fn follow(&self, address: &Url, prefixes: &[Prefix]) -> Result<String, Failure> {
        let mut address = address.clone();
        for _ in 0..=REDIRECTS_MAX {
            match (self.fetch.ask)(address.as_str())? {
                Reply::Text(text) => return Ok(text),
                Reply::Moved(to) => {
                    address = next(&address, &to, prefixes).map_err(Failure::Refused)?;
                }
            }
        }
        Err(Failure::Refused(format!("leads elsewhere more than {REDIRECTS_MAX} times")))
    }
}

/// Where a redirect leads, when that is allowed.
fn next(address: &Url, to: &str, prefixes: &[Prefix]) -> Result<Url, String> {
    let joined = address.join(to).ok().and_then(|joined| address::parse(joined.as_str()));
    joined.filter(|next| prefixes.iter().any(|prefix| prefix.allows(next))).ok_or_else(|| {
        let shown: String = to.chars().take(200).collect();
        format!("leads to {shown}, which is not below a prefix of `orb_addresses`")
    })
}

/// Refuses what is no orb at all, a page to log in for example, before it takes a copy's place.
fn sound(text: String, address: &Url) -> Result<String, Failure> {
    if text.len() > CONFIG_MAX {
        return Err(Failure::Refused(format!("holds more than {} MB", CONFIG_MAX >> 20)));
    }
    let shape = [Code::Syntax, Code::WrongType, Code::UnexpectedKey];
    let found = validate_orb(&text, address.as_str(), &pipeline::Orbs::default());
    match found.iter().find(|d| d.is_error() && shape.contains(&d.code)) {
        Some(wrong) => {
            let why = format!("holds no orb: line {}: {}", wrong.line, wrong.message);
            Err(Failure::Refused(why))
        }
        None => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(replies: &[(&str, Reply)], expected: Result<&str, &str>) {
        let replies: HashMap<String, Reply> =
            replies.iter().map(|(from, reply)| ((*from).to_owned(), reply.clone())).collect();
        let fetch = Fetch::new(Arc::new(move |address: &str| {
            let reply = replies.get(address).cloned();
            reply.ok_or_else(|| Failure::Refused(format!("unexpected {address}")))
        }));
        let prefixes = ["https://a/orbs/".parse().unwrap()];
        let address = address::parse("https://a/orbs/x.yml").unwrap();
        let found = fetch.turn().get(&address, &prefixes);
        match (&found, expected) {
            (Ok(text), Ok(wanted)) => assert_eq!(text, wanted),
            (Err(why), Err(part)) => assert!(why.contains(part), "{why}"),
            _ => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn a_redirect_stays_below_the_prefix() {
        const ORB: &str = "version: 2.1\n";
        let (text, moved) = (|| Reply::Text(ORB.into()), |to: &str| Reply::Moved(to.into()));
        check(&[("https://a/orbs/x.yml", text())], Ok(ORB));
        check(
            &[("https://a/orbs/x.yml", moved("y.yml")), ("https://a/orbs/y.yml", text())],
            Ok(ORB),
        );
        for out in ["/x.yml", "https://b/orbs/x.yml", "http://a/orbs/x.yml", "../x.yml", "//b/"] {
            check(&[("https://a/orbs/x.yml", moved(out))], Err("not below a prefix"));
        }
        check(&[("https://a/orbs/x.yml", moved("x.yml"))], Err("more than 3 times"));
        let page = Reply::Text("<html><body>log in</body></html>".into());
        check(&[("https://a/orbs/x.yml", page)], Err("holds no orb"));
    }

    #[test]
    fn a_host_that_failed_is_left_alone_for_a_while() {
        let asked = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&asked);
        let fetch = Fetch::new(Arc::new(move |address: &str| {
            *counter.lock().unwrap() += 1;
            Err(match address.starts_with("https://a/") {
                true => Failure::Unreachable("is down".into()),
                false => Failure::Refused("is not there".into()),
            })
        }));
        let prefixes = ["https://a/".parse().unwrap(), "https://b/".parse().unwrap()];
        for (address, expected, times) in [
            ("https://a/x.yml", "is down", 1),
            ("https://a/y.yml", "is down", 1),
            ("https://b/x.yml", "is not there", 2),
            ("https://b/x.yml", "is not there", 2),
            ("https://b/y.yml", "is not there", 3),
        ] {
            let url = address::parse(address).unwrap();
            assert_eq!(fetch.turn().get(&url, &prefixes).unwrap_err(), expected);
            assert_eq!(*asked.lock().unwrap(), times, "{address}");
        }
    }
}
