//! Requests forged by other sites are refused.
//!
//! Why: a browser sends the session cookie along whoever made it ask. It also says who that was:
//! `Sec-Fetch-Site` in every current browser over TLS, `Origin` on every request that changes
//! something. No token has to be carried through forms, and pages can be cached.
//! Source: Fetch Metadata (W3C), RFC 6454; the same rule as Go's `CrossOriginProtection`, but for
//! one point: a session that shows neither header may not change anything.

use http::{HeaderMap, Method, Uri, header, uri::Authority};

/// Who made the browser ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Our own page, or the person directly.
    Same,
    /// Another site.
    Foreign,
    /// No browser tells; a command line, or a very old browser.
    Untold,
}

/// The host and port that a request asks: the authority of HTTP/2, or the header of HTTP/1.1
/// (RFC 9113 section 8.3.1).
#[must_use]
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let told = || headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.authority().map(Authority::as_str).or_else(told)
}

/// Reads the browser's word about a request to `host`.
#[must_use]
pub(crate) fn origin(headers: &HeaderMap, host: Option<&str>) -> Origin {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text("sec-fetch-site") {
        return if matches!(site, "same-origin" | "none") { Origin::Same } else { Origin::Foreign };
    }
    let Some(origin) = text(header::ORIGIN.as_str()) else { return Origin::Untold };
    let asker = origin.split_once("://").map(|(_, host)| host);
    if asker.is_some() && asker == host { Origin::Same } else { Origin::Foreign }
}

/// Did another site make the browser ask?
#[must_use]
pub(crate) fn is_foreign(uri: &Uri, headers: &HeaderMap) -> bool {
    origin(headers, host(uri, headers)) == Origin::Foreign
}

/// Did a page of this site make the browser ask?
#[must_use]
pub(crate) fn is_own(uri: &Uri, headers: &HeaderMap) -> bool {
    origin(headers, host(uri, headers)) == Origin::Same
}

/// Only safe methods may come from anywhere.
#[must_use]
pub(crate) fn changes_something(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn check(given: &[(&str, &str)], expected: Origin) {
        let headers: HeaderMap = given
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap()))
            .collect();
        let found = origin(&headers, host(&Uri::from_static("/login"), &headers));
        assert_eq!(found, expected, "{given:?}");
    }

    #[test]
    fn the_browser_says_who_made_it_ask() {
        let host = ("host", "ci.site:8443");
        check(&[host, ("sec-fetch-site", "same-origin")], Origin::Same);
        check(&[host, ("sec-fetch-site", "none")], Origin::Same);
        check(&[host, ("sec-fetch-site", "same-site")], Origin::Foreign);
        check(&[host, ("sec-fetch-site", "cross-site")], Origin::Foreign);
        check(&[host, ("origin", "https://ci.site:8443")], Origin::Same);
        check(&[host, ("origin", "https://ci.site")], Origin::Foreign);
        check(&[host, ("origin", "null")], Origin::Foreign);
        check(&[host, ("origin", "https://evil")], Origin::Foreign);
        check(&[("origin", "https://evil")], Origin::Foreign);
        check(&[host], Origin::Untold);
    }

    #[test]
    fn over_http_2_the_authority_is_the_host() {
        let headers = HeaderMap::from_iter([(header::ORIGIN, "https://ci.site".parse().unwrap())]);
        let asked = |uri| origin(&headers, host(&Uri::from_static(uri), &headers));
        assert_eq!(asked("https://ci.site/account/password"), Origin::Same);
        assert_eq!(asked("https://evil/account/password"), Origin::Foreign);
        assert_eq!(asked("/account/password"), Origin::Foreign);
    }

    #[test]
    fn fetch_metadata_outweighs_the_origin() {
        check(
            &[("host", "a"), ("origin", "https://a"), ("sec-fetch-site", "cross-site")],
            Origin::Foreign,
        );
    }
}
