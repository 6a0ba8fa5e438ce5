//! Passes: short-lived bearer tokens for what a client asked and its caller may.
//!
//! Why: a client proves itself once, with a password that is dear to check, and not at each of the
//! hundred requests of a push.
//! Form: `<claims>.<mac>` in base64url; the claims are JSON, the MAC is HMAC-SHA256 under a key
//! that is derived from the site's and used for nothing else. Nothing is stored.
//! Invariants: a pass never allows more than its caller might when it was given, and ends after
//! [`PASS_LIFE`]. It says what its caller was proved by, so that whoever takes it can ask what that is
//! worth by now ([`Caller::within`]).

use super::{
    Action, Call, Caller,
    fault::{Fault, json},
    route::is_name,
};
use crate::{
    objects::{Objects, now},
    query::Query,
};
use axum::response::Response;
use base::time::Timestamp;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::Sha256;
use std::time::Duration;

/// How long a pass is good.
pub const PASS_LIFE: Duration = Duration::from_secs(300);

/// Scopes of one pass; a mount needs two.
const SCOPES_MAX: usize = 16;

/// What a pass says.
#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    /// Microseconds since the epoch.
    until: i64,
    /// Repositories and the actions allowed with each.
    access: Vec<(String, Vec<String>)>,
    /// The names of all repositories may be listed.
    catalogue: bool,
    /// What its caller was proved by.
    proof: Option<String>,
    /// Who its caller is.
    #[serde(default)]
    account: String,
}

/// A scope that was asked for: `repository:<name>:<actions>`.
fn scope(text: &str) -> Option<(&str, Vec<Action>)> {
    let rest =
        text.strip_prefix("repository:").or_else(|| text.strip_prefix("repository(plugin):"))?;
    let (name, actions) = rest.rsplit_once(':')?;
    let words: Vec<&str> = actions.split(',').collect();
    let asked = |action: &Action| words.iter().any(|word| *word == action.name() || *word == "*");
    is_name(name).then(|| (name, Action::ALL.into_iter().filter(asked).collect()))
}

/// Gives the caller a pass.
pub(super) fn give(call: &Call) -> Result<Response, Fault> {
    let Some(caller) = &call.caller else {
        return Err(Fault::unauthorized(&call.realm, "", "log in first")
            .with("www-authenticate", "Basic realm=\"appliance\", charset=\"UTF-8\""));
    };
    let query = Query::parse(call.parts.uri.query().unwrap_or_default());
    let scopes = query.iter().filter(|(name, _)| *name == "scope");
    let scopes = scopes.flat_map(|(_, value)| value.split(' ')).take(SCOPES_MAX);
    let mut claims = Claims {
        until: now().plus(PASS_LIFE).0,
        access: Vec::new(),
        catalogue: false,
        proof: caller.proof.clone(),
        account: caller.account.clone(),
    };
    for text in scopes {
        // Whoever may pull some alone lists with their own credentials.
        claims.catalogue |= text == "registry:catalog:*" && caller.may("*", Action::Pull);
        let Some((name, actions)) = scope(text) else { continue };
        let granted = actions.into_iter().filter(|action| caller.may(name, *action));
        claims
            .access
            .push((name.to_owned(), granted.map(|action| action.name().to_owned()).collect()));
    }
    let pass = call.objects.pass_text(&claims);
    let body = json!({ "token": pass, "access_token": pass, "expires_in": PASS_LIFE.as_secs() });
    Ok(json(StatusCode::OK, &body))
}

impl Objects {
    fn pass_mac(&self, text: &str) -> Hmac<Sha256> {
        let key = self.inner.site_key.derive("registry passes");
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose())
            .expect("HMAC takes any key length");
        mac.update(text.as_bytes());
        mac
    }

    fn pass_text(&self, claims: &Claims) -> String {
        let text = BASE64.encode(crate::details::text(claims));
        let mac = BASE64.encode(self.pass_mac(&text).finalize().into_bytes());
        format!("{text}.{mac}")
    }

    /// The caller whom a pass stands for; `None` when it is no pass, or not good any more. What its
    /// [`Caller::proof`] is worth by now is to be asked.
    #[must_use]
    pub fn registry_pass(&self, pass: &str, now: Timestamp) -> Option<Caller> {
        let (text, mac) = pass.split_once('.')?;
        self.pass_mac(text).verify_slice(&BASE64.decode(mac).ok()?).ok()?;
        let claims: Claims = serde_json::from_slice(&BASE64.decode(text).ok()?).ok()?;
        if claims.until < now.0 {
            return None;
        }
        let (lists_all, proof) = (claims.catalogue, claims.proof.clone());
        let account = claims.account.clone();
        let may = move |name: &str, action: Action| {
            let fits = |(repository, actions): &(String, Vec<String>)| {
                repository == name && actions.iter().any(|word| word == action.name())
            };
            claims.access.iter().any(fits)
        };
        Some(Caller { by_pass: true, lists_all, proof, account, ..Caller::new(may) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &[Action])>) {
        let found = scope(text);
        let found = found.as_ref().map(|(name, actions)| (*name, actions.as_slice()));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn scopes_name_a_repository_and_actions() {
        check("repository:ns/app:pull", Some(("ns/app", &[Action::Pull])));
        check("repository:a:push,pull", Some(("a", &[Action::Pull, Action::Push])));
        check("repository:a:*", Some(("a", &Action::ALL)));
        check("repository:a:", Some(("a", &[])));
        for bad in
            ["", "repository:a", "registry:catalog:*", "repository:../a:pull", "repository:A:pull"]
        {
            check(bad, None);
        }
    }
}
