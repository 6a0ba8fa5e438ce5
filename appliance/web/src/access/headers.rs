//! Headers that every answer carries.
//!
//! Why: a page that shows output of builds is one forgotten escape away from running it. The
//! policy forbids inline script and inline style, other hosts and framing, so that such a mistake
//! shows wrong text and no more.
//! Source: CSP Level 3, RFC 6797, the Fetch and Referrer Policy standards.

use super::cookie::Transport;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// For pages of our own.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// For bytes that a build made: no script, no form, an origin of its own.
pub const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; \
frame-ancestors 'self'; sandbox";

const ALWAYS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// A year; told over TLS alone.
const STRICT_TRANSPORT: &str = "max-age=31536000";

/// Adds what is not there yet: a handler may be stricter, such as [`SANDBOX`].
pub(crate) fn secure(headers: &mut HeaderMap, transport: Transport) {
    for (name, value) in ALWAYS {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if transport == Transport::Secure {
        headers
            .entry(header::STRICT_TRANSPORT_SECURITY)
            .or_insert(HeaderValue::from_static(STRICT_TRANSPORT));
    }
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_forbids_inline_script_and_framing() {
        let mut headers = HeaderMap::new();
        secure(&mut headers, Transport::Secure);
        let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert!(headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }

    #[test]
    fn a_stricter_policy_is_kept_and_plain_http_promises_no_tls() {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
        secure(&mut headers, Transport::Plain);
        assert_eq!(headers[header::CONTENT_SECURITY_POLICY], SANDBOX);
        assert!(!headers.contains_key(header::STRICT_TRANSPORT_SECURITY));
    }
}
