//! Asking an address for an orb: one GET, bounded in time and size.
//!
//! Which addresses may be asked, and when, is decided in `orbs`. The caller waits on a thread that
//! may block; the client lives on one of its own, so that it works beside any runtime.

use crate::{
    config,
    settings::{Error, Settings},
};
use base::limits::CONFIG_MAX;
use http::{StatusCode, header};
use objects::Outward;
use orbs::{Ask, Failure, Prefix, Registry, Reply};
use std::{path::Path, path::PathBuf, sync::Arc, time::Duration};

/// A whole answer. A pipeline waits for it, so it is shorter than what a download may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store that asks addresses below `prefixes`, trusting the authorities of `roots`.
pub(crate) fn asking(store: Registry, prefixes: Vec<Prefix>, roots: PathBuf) -> Registry {
    store.allow_only(prefixes).fetch_with(asker(roots))
}

/// The same as this machine's settings say. Where nobody set anything, what is kept is answered
/// and nothing is asked.
pub(crate) fn as_set(store: Registry, settings: &Settings) -> Result<Registry, Error> {
    if !settings.is_set("orb_addresses") {
        return Ok(store);
    }
    let prefixes = config::orb_addresses(settings)?;
    Ok(asking(store, prefixes, config::absolute(settings, "outward_roots")?))
}

fn asker(roots: PathBuf) -> Arc<Ask> {
    Arc::new(move |address| {
        let (address, roots) = (address.to_owned(), roots.clone());
        let client = std::thread::Builder::new().name("orb-address".into());
        let asked = client.spawn(move || blocking(&address, &roots));
        let asked = asked.map(std::thread::JoinHandle::join);
        match asked {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) | Err(_) => Err(Failure::Unreachable("could not be asked".into())),
        }
    })
}

fn blocking(address: &str, roots: &Path) -> Result<Reply, Failure> {
    let unreachable = |why: String| Failure::Unreachable(format!("does not answer: {why}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| unreachable(error.to_string()))?;
    runtime.block_on(async {
        let client = Outward::new(roots);
        let asked = tokio::time::timeout(PATIENCE, client.read(address, CONFIG_MAX)).await;
        let late = || format!("nothing within {} s", PATIENCE.as_secs());
        let answer = asked.map_err(|_| unreachable(late()))?.map_err(unreachable)?;
        reply(answer.status(), answer.headers(), answer.body())
    })
}

fn reply(status: StatusCode, headers: &http::HeaderMap, body: &[u8]) -> Result<Reply, Failure> {
    if status.is_redirection() {
        let to = headers.get(header::LOCATION).and_then(|to| to.to_str().ok());
        let to = to.ok_or_else(|| Failure::Refused(format!("answers {status}")))?;
        return Ok(Reply::Moved(to.to_owned()));
    }
    if status != StatusCode::OK {
        return Err(Failure::Refused(format!("answers {status}")));
    }
    let text = std::str::from_utf8(body);
    let text = text.map_err(|_| Failure::Refused("holds no UTF-8 text".into()))?;
    Ok(Reply::Text(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, location: Option<&'static str>, body: &[u8], expected: Option<&Reply>) {
        let mut headers = http::HeaderMap::new();
        if let Some(location) = location {
            headers.insert(header::LOCATION, http::HeaderValue::from_static(location));
        }
        let found = reply(StatusCode::from_u16(status).unwrap(), &headers, body);
        assert_eq!(found.ok().as_ref(), expected, "{status} {location:?}");
    }

    #[test]
    fn only_a_text_or_another_address_is_a_reply() {
        check(200, None, b"a: b", Some(&Reply::Text("a: b".into())));
        check(200, None, b"\xff", None);
        check(302, Some("/x"), b"", Some(&Reply::Moved("/x".into())));
        check(302, None, b"", None);
        check(204, None, b"", None);
        check(404, None, b"not here", None);
        check(500, Some("/x"), b"", None);
    }
}
