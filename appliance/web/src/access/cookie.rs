//! The session cookie and the theme cookie: read and written, nothing else.
//!
//! Invariants: the session cookie is `__Host-` (Secure, no Domain, Path=/), HttpOnly and
//! SameSite=Lax. On plain HTTP, which exists on loopback alone, browsers refuse that prefix;
//! there its name is `session`.

use http::{HeaderMap, HeaderValue, header};
use std::time::Duration;

/// Name of the session cookie over TLS.
const SECURE_NAME: &str = "__Host-session";

/// Name of the session cookie on loopback without TLS.
const PLAIN_NAME: &str = "session";

/// Over TLS, or on loopback without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS.
    Secure,
    /// Loopback only.
    Plain,
}

impl Transport {
    const fn name(self) -> &'static str {
        match self {
            Self::Secure => SECURE_NAME,
            Self::Plain => PLAIN_NAME,
        }
    }
}

/// The value of the cookie `name`, the first if there are several.
#[must_use]
pub(crate) fn read<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(key, value)| (key == name).then_some(value))
}

/// The session cookie's value.
#[must_use]
pub(crate) fn session(headers: &HeaderMap, transport: Transport) -> Option<&str> {
    read(headers, transport.name())
}

/// Gives a session to the browser for `life`.
#[must_use]
pub(crate) fn give_session(value: &str, transport: Transport, life: Duration) -> HeaderValue {
    set(transport, &format!("{}={value}; Max-Age={}", transport.name(), life.as_secs()))
}

/// Takes the session back.
#[must_use]
pub(crate) fn take_session(transport: Transport) -> HeaderValue {
    set(transport, &format!("{}=; Max-Age=0", transport.name()))
}

/// Remembers light or dark for a year; an empty value follows the system.
#[must_use]
pub(crate) fn theme(value: &str, transport: Transport) -> HeaderValue {
    let life = if value.is_empty() { 0 } else { 31_536_000 };
    set(transport, &format!("theme={value}; Max-Age={life}"))
}

fn set(transport: Transport, pair: &str) -> HeaderValue {
    let secure = if transport == Transport::Secure { "; Secure" } else { "" };
    let text = format!("{pair}; Path=/; HttpOnly; SameSite=Lax{secure}");
    HeaderValue::from_str(&text).expect("names and values are plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, transport: Transport, expected: Option<&str>) {
        let headers: HeaderMap =
            [(header::COOKIE, HeaderValue::from_str(line).unwrap())].into_iter().collect();
        assert_eq!(session(&headers, transport), expected, "{line}");
    }

    #[test]
    fn the_session_is_found_among_other_cookies() {
        check("__Host-session=abc", Transport::Secure, Some("abc"));
        check("theme=dark; __Host-session=abc; x=y", Transport::Secure, Some("abc"));
        check("session=abc", Transport::Plain, Some("abc"));
    }

    #[test]
    fn a_plain_cookie_is_no_session_over_tls() {
        check("session=abc", Transport::Secure, None);
        check("x__Host-session=abc", Transport::Secure, None);
        check("", Transport::Secure, None);
    }

    #[test]
    fn the_session_cookie_cannot_be_read_by_scripts_nor_sent_in_clear() {
        let given = give_session("abc", Transport::Secure, Duration::from_secs(60));
        assert_eq!(given, "__Host-session=abc; Max-Age=60; Path=/; HttpOnly; SameSite=Lax; Secure");
    }
}
