//! Project slugs whose slashes are escaped, as generated clients send them.
//!
//! Source: API v2 calls the slug one parameter: "The `/` characters may be URL-escaped".
//! Invariants: pure; only the segment behind those of [`PLACES`] is touched, and only its slashes.

use http::Uri;

/// The addresses that go on with a slug.
const PLACES: [&str; 5] = [
    "/api/v2/project/",
    "/api/v2/insights/pages/",
    "/api/v2/insights/",
    "/api/v1.1/project/",
    "/api/appliance/v1/project/",
];

/// The address with plain slashes in its slug; `None` when it has them already.
pub(crate) fn plain(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let place = PLACES.into_iter().find(|place| path.starts_with(place))?;
    let rest = &path[place.len()..];
    let (slug, more) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let slug = Some(slug.replace("%2F", "/").replace("%2f", "/")).filter(|plain| plain != slug)?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{place}{slug}{more}{query}").parse().ok()?);
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: Option<&str>) {
        let found = plain(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(found.as_deref(), expected, "{uri}");
    }

    #[test]
    fn escaped_slashes_of_a_slug_are_slashes() {
        check("/api/v2/project/gh%2Facme%2Frelay", Some("/api/v2/project/gh/acme/relay"));
        check(
            "/api/v2/project/gh%2facme%2frelay/pipeline?branch=a%2Fb",
            Some("/api/v2/project/gh/acme/relay/pipeline?branch=a%2Fb"),
        );
        check(
            "/api/v1.1/project/gh%2Facme%2Frelay/1/tests",
            Some("/api/v1.1/project/gh/acme/relay/1/tests"),
        );
        check(
            "/api/v2/insights/pages/gh%2Facme%2Frelay/summary",
            Some("/api/v2/insights/pages/gh/acme/relay/summary"),
        );
        check("/api/v2/insights/gh%2Facme/summary", Some("/api/v2/insights/gh/acme/summary"));
        check("/api/v2/project/gh/acme/relay/envvar/a%2Fb", None);
        check("/api/v2/project/gh/acme/relay", None);
        check("/git/gh%2Facme", None);
        check("/api/v2/project/", None);
    }
}
