//! What a request shows to prove who sends it.
//!
//! Source: the header forms of API v2 (`Circle-Token`, `Authorization: Bearer`, `Basic` with the
//! token as the user), `Authorization` with a bare token as the official command line sends it to
//! GraphQL, and `Basic` with login and password as git sends it. A token is never read from the
//! address: addresses end up in logs.
//! Invariants: pure; a header that cannot be read counts as [`Credential::Unreadable`], never as
//! nothing, so that a mistyped token is refused and not taken for an anonymous caller.

use super::cookie::{self, Transport};
use base::secret::Secret;
use base64::{Engine, prelude::BASE64_STANDARD};
use http::{HeaderMap, header};
use store::runs::job_keys;

/// What was shown.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Credential {
    /// Nothing.
    None,
    /// A browser's session.
    Session(Secret),
    /// An API or runner token.
    Token(Secret),
    /// The key of a job.
    Job(Secret),
    /// A person's login and password.
    Password {
        /// Login.
        login: String,
        /// Password, or a token in its place.
        password: Secret,
    },
    /// A header of the right name whose content makes no sense.
    Unreadable,
}

/// Reads the request's headers; a token outweighs a session.
#[must_use]
pub(crate) fn credential(headers: &HeaderMap, transport: Transport) -> Credential {
    if let Some(token) = headers.get("circle-token") {
        return token
            .to_str()
            .map_or(Credential::Unreadable, |t| Credential::Token(Secret::new(t)));
    }
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        return value.to_str().ok().and_then(authorization).unwrap_or(Credential::Unreadable);
    }
    match cookie::session(headers, transport) {
        Some(value) if !value.is_empty() => Credential::Session(Secret::new(value)),
        _ => Credential::None,
    }
}

fn authorization(value: &str) -> Option<Credential> {
    // The official command line sends its token bare to `/graphql-unstable`.
    if value.starts_with(super::token::PREFIX) && !value.contains(' ') {
        return Some(Credential::Token(Secret::new(value)));
    }
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credential::Token(Secret::new(rest)));
    }
    if scheme.eq_ignore_ascii_case("basic") { basic(rest) } else { None }
}

fn basic(encoded: &str) -> Option<Credential> {
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    match (user, password) {
        ("", "") => None,
        (_, key) | (key, "") if key.starts_with(job_keys::PREFIX) => {
            Some(Credential::Job(Secret::new(key)))
        }
        (token, "") | ("", token) => Some(Credential::Token(Secret::new(token))),
        (_, token) if token.starts_with(super::token::PREFIX) => {
            Some(Credential::Token(Secret::new(token)))
        }
        (login, password) => {
            Some(Credential::Password { login: login.to_owned(), password: Secret::new(password) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn check(given: &[(&str, &str)], expected: &Credential) {
        let headers: HeaderMap = given
            .iter()
            .map(|(name, value)| {
                (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        assert_eq!(&credential(&headers, Transport::Secure), expected, "{given:?}");
    }

    fn basic_header(pair: &str) -> String {
        format!("Basic {}", BASE64_STANDARD.encode(pair))
    }

    #[test]
    fn tokens_come_in_five_forms() {
        let token = Credential::Token(Secret::new("apl_x"));
        check(&[("circle-token", "apl_x")], &token);
        check(&[("authorization", "Bearer apl_x")], &token);
        check(&[("authorization", "bearer  apl_x")], &token);
        check(&[("authorization", "apl_x")], &token);
        check(&[("authorization", &basic_header("apl_x:"))], &token);
        check(&[("authorization", &basic_header("anything:apl_x"))], &token);
    }

    #[test]
    fn git_sends_login_and_password() {
        let expected = Credential::Password { login: "mira".into(), password: Secret::new("a:b") };
        check(&[("authorization", &basic_header("mira:a:b"))], &expected);
    }

    #[test]
    fn git_in_a_job_sends_the_key_of_the_job() {
        let expected = Credential::Job(Secret::new("apj_7"));
        check(&[("authorization", &basic_header("job:apj_7"))], &expected);
        check(&[("authorization", &basic_header("apj_7:"))], &expected);
    }

    #[test]
    fn what_makes_no_sense_is_not_nothing() {
        for bad in [
            "Basic",
            "Basic !!!",
            "Digest x",
            "x",
            "apl_x y",
            &basic_header("no colon"),
            &basic_header(":"),
        ] {
            check(&[("authorization", bad)], &Credential::Unreadable);
        }
    }

    #[test]
    fn a_token_outweighs_a_session() {
        let cookie = ("cookie", "__Host-session=s");
        check(&[cookie], &Credential::Session(Secret::new("s")));
        check(&[cookie, ("circle-token", "t")], &Credential::Token(Secret::new("t")));
        check(&[], &Credential::None);
    }
}
