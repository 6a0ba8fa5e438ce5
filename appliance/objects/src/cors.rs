//! Cross-origin rules of a bucket, pure. Source: the S3 API reference, `CORSRule`; the Fetch
//! standard for what a browser asks.

use crate::s3::policy::matches;
use serde::{Deserialize, Serialize};

/// One rule; the first that fits decides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct CorsRule {
    /// Its name.
    pub(crate) id: Option<String>,
    /// Of GET, PUT, HEAD, POST, DELETE.
    pub(crate) methods: Vec<String>,
    /// Origins with at most one `*` each.
    pub(crate) origins: Vec<String>,
    /// Request headers with at most one `*` each, as they were set.
    pub(crate) headers: Vec<String>,
    /// Response headers that a page may read.
    pub(crate) expose: Vec<String>,
    /// Seconds that a browser may remember the answer.
    pub(crate) max_age: Option<u32>,
}

/// The rule for a request of a page, whose headers are named in small letters, and the origin to answer with: `*` where the rule says so.
pub(crate) fn matching<'a>(
    rules: &'a [CorsRule],
    origin: &str,
    method: &str,
    headers: &[String],
) -> Option<(&'a CorsRule, String)> {
    rules.iter().find_map(|rule| {
        let named = rule.origins.iter().find(|pattern| matches(pattern, origin))?;
        let header = |name: &String| {
            rule.headers.iter().any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
        };
        let fits = rule.methods.iter().any(|one| one == method) && headers.iter().all(header);
        let told = if named == "*" { "*" } else { origin };
        fits.then(|| (rule, told.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(origin: &str, method: &str, headers: &[&str], expected: Option<&str>) {
        let rule = |origin: &str, headers: &[&str]| CorsRule {
            methods: vec!["GET".into()],
            origins: vec![origin.into()],
            headers: headers.iter().map(|one| (*one).to_owned()).collect(),
            ..CorsRule::default()
        };
        let rules = [rule("http://*.site", &["X-*"]), rule("*", &[])];
        let headers: Vec<String> = headers.iter().map(|one| (*one).to_owned()).collect();
        let found = matching(&rules, origin, method, &headers);
        assert_eq!(found.map(|(_, told)| told).as_deref(), expected, "{origin}");
    }

    #[test]
    fn the_first_rule_that_fits_origin_method_and_headers_decides() {
        check("http://a.site", "GET", &["x-a"], Some("http://a.site"));
        check("http://b", "GET", &[], Some("*"));
        check("http://b", "GET", &["x-a"], None);
        check("http://a.site", "PUT", &[], None);
    }
}
