//! Addresses of orbs, and the prefixes below which the operator allows them.
//!
//! Why: whoever can push a configuration chooses the address, so what is compared is what a client
//! would ask for: scheme, host, port and whole segments of the path, never the text. Pure.
//! Failure: what is no plain address is below no prefix.

use crate::error::Error;
use percent_encoding::percent_decode_str;
use std::{fmt, str::FromStr};
use url::Url;

/// Addresses that are longer name no file that could be kept.
const LENGTH_MAX: usize = 2000;

/// Below this, addresses of orbs may be answered and fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefix(Url);

impl FromStr for Prefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let url = parse(text).filter(|url| url.query().is_none());
        url.map(Self).ok_or_else(|| Error::Name(text.chars().take(120).collect()))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Prefix {
    /// Whether an address stands below it: at the boundary of a segment, so that `https://a.b/c`
    /// admits neither `https://a.b.evil/c` nor `https://a.b/cd`.
    pub(crate) fn allows(&self, address: &Url) -> bool {
        let same = self.0.scheme() == address.scheme()
            && self.0.host() == address.host()
            && self.0.port_or_known_default() == address.port_or_known_default();
        let Some(rest) = address.path().strip_prefix(self.0.path()).filter(|_| same) else {
            return false;
        };
        self.0.path().ends_with('/') || rest.is_empty() || rest.starts_with('/')
    }
}

/// Whether a text is meant as an address.
pub(crate) fn is_address(text: &str) -> bool {
    text.starts_with("https://") || text.starts_with("http://")
}

/// Reads an address that leads where it seems to: no user in it, no steps up, no fragment, nothing
/// that servers and clients read in two ways.
pub(crate) fn parse(text: &str) -> Option<Url> {
    let plain = |c: char| c.is_ascii_graphic() && !r#"\#<>"'`{|}^"#.contains(c);
    if text.len() > LENGTH_MAX || !is_address(text) || !text.chars().all(plain) {
        return None;
    }
    let path = text.split('?').next().unwrap_or_default();
    let lower = path.to_ascii_lowercase();
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let climbs = decoded.split(['/', '\\']).any(|part| matches!(part, "." | ".."));
    if climbs || lower.contains("%2f") || lower.contains("%5c") || lower.contains("%00") {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let is_bare = url.username().is_empty() && url.password().is_none() && !path.contains('@');
    (url.host().is_some() && is_bare).then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(prefix: &str, address: &str, allowed: bool) {
        let prefix: Prefix = prefix.parse().unwrap();
        let found = parse(address).is_some_and(|address| prefix.allows(&address));
        assert_eq!(found, allowed, "{address} below {prefix}");
    }

    #[test]
    fn an_address_is_allowed_below_its_prefix_alone() {
        check("https://git.example/orbs/", "https://git.example/orbs/a.yml", true);
        check("https://git.example/orbs/", "https://git.example:443/orbs/b/a.yml?ref=x", true);
        check("https://git.example/orbs/", "https://GIT.example/orbs/a.yml", true);
        check("https://git.example", "https://git.example/orbs/a.yml", true);
        check("https://git.example/orbs", "https://git.example/orbs", true);
        check("http://10.0.0.7:8080/", "http://10.0.0.7:8080/a.yml", true);
        for bad in [
            "http://git.example/orbs/a.yml",
            "https://git.example:8443/orbs/a.yml",
            "https://git.example.evil/orbs/a.yml",
            "https://git.example/orbsx/a.yml",
            "https://git.example/Orbs/a.yml",
            "https://git.example/orbs/../a.yml",
            "https://git.example/orbs/%2e%2E/a.yml",
            "https://git.example/orbs/..%2fa.yml",
            "https://git.example/orbs/.%5c../a.yml",
            r"https://git.example/orbs/..\a.yml",
            "https://git.example@evil/orbs/a.yml",
            "https://user:word@git.example/orbs/a.yml",
            "https://git.example/orbs/a.yml#x",
            "https://git.example/orbs/a b.yml",
            "https:///orbs/a.yml",
            "git.example/orbs/a.yml",
        ] {
            check("https://git.example/orbs", bad, false);
        }
    }

    #[test]
    fn a_prefix_is_an_address_without_a_query() {
        for (text, good) in [
            ("https://git.example/orbs/", true),
            ("http://git.example/", true),
            ("https://git.example/?a", false),
            ("ftp://git.example/", false),
            ("git.example", false),
            ("", false),
        ] {
            assert_eq!(text.parse::<Prefix>().is_ok(), good, "{text}");
        }
    }
}
