//! What a visit brings to a page with forms: a deed that was done a moment ago, or a form that was
//! refused, with what was typed into it.
//!
//! States: a deed that is done leads to its page with a code in the address ([`Done`]), which stands
//! for a fixed text, so that the service keeps nothing. A form that is refused is answered by its own
//! page ([`crate::shell`]), which finds a [`Refused`] among the extensions of its request.
//! Invariants: a code counts only where a page of this site led there: no other site makes the dashboard
//! say that something was done. What is secret is never given back ([`SECRET`]).

use axum::{extract::FromRequestParts, response::Redirect};
use http::{header, request::Parts};
use maud::{Markup, html};
use std::{convert::Infallible, sync::Arc};

/// Fields that no page shows again.
const SECRET: [&str; 5] = ["password", "old", "new", "again", "signing_secret"];

/// Name of the code in an address.
const DONE: &str = "done";

/// A deed, by its code, and what the page says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Done(&'static str, &'static str);

macro_rules! deeds {
    ($($name:ident $code:literal $text:literal)*) => {
        impl Done {
            $(pub(super) const $name: Self = Self($code, $text);)*
            const ALL: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

deeds! {
    SETTINGS "settings" "Saved the project settings."
    VARIABLE_SET "variable" "Saved the environment variable."
    VARIABLE_REMOVED "variable-removed" "Removed the environment variable."
    BADGE "badge" "Made a token for the badge. An earlier one opens nothing any more."
    BADGE_REMOVED "badge-removed" "Removed the token of the badge."
    WEBHOOK "webhook" "Added the webhook. It is told of what ends from now on."
    WEBHOOK_REMOVED "webhook-removed" "Removed the webhook, and what waited for it."
    CONTEXT_MADE "context" "Created the context."
    CONTEXT_REMOVED "context-removed" "Removed the context."
    RESTRICTED "restriction" "Saved the restriction."
    UNRESTRICTED "restriction-removed" "Removed the restriction."
    TOKEN_REVOKED "token-revoked" "Revoked the token."
    PASSWORD "password" "Saved your new password. All other sessions ended."
    ROLE "role" "Saved the role."
    DISABLED "user-disabled" "Disabled the user."
    ENABLED "user-enabled" "Enabled the user."
    CANCELED "canceled" "Asked for the end of what was running."
    RERUN "rerun" "Started the rerun."
    APPROVED "approved" "Approved."
}

impl Done {
    /// Leads to a page of this site that says so.
    pub(super) fn at(self, address: &str) -> Redirect {
        Redirect::to(&self.address(address))
    }

    /// The address of such a page.
    pub(super) fn address(self, address: &str) -> String {
        let (place, part) = address.split_once('#').unwrap_or((address, ""));
        let joint = if place.contains('?') { '&' } else { '?' };
        let part = if part.is_empty() { String::new() } else { format!("#{part}") };
        format!("{place}{joint}{DONE}={}{part}", self.0)
    }

    fn of(query: &str) -> Option<Self> {
        let pairs = url::form_urlencoded::parse(query.as_bytes());
        let code = pairs.filter(|(name, _)| name == DONE).map(|(_, code)| code).last()?;
        Self::ALL.iter().copied().find(|done| done.0 == code)
    }
}

/// A form that was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Path that it was sent to.
    action: String,
    /// Why.
    message: String,
    /// What was typed, but for secrets.
    fields: Vec<(String, String)>,
}

impl Refused {
    /// From the body as the browser sent it.
    pub(crate) fn new(action: &str, message: &str, body: &[u8]) -> Self {
        let fields = url::form_urlencoded::parse(body).into_owned();
        let fields = fields.filter(|(name, _)| !SECRET.contains(&name.as_str())).collect();
        Self { action: action.to_owned(), message: message.to_owned(), fields }
    }
}

/// How somebody came to a page.
#[derive(Debug, Clone, Default)]
pub(super) struct Visit {
    done: Option<Done>,
    refused: Option<Arc<Refused>>,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let refused = parts.extensions.get::<Arc<Refused>>().cloned();
        let site = parts.headers.get("sec-fetch-site").map(header::HeaderValue::as_bytes);
        let from_here = site.is_none_or(|site| site == b"same-origin");
        let told = refused.is_none() && from_here;
        let done = parts.uri.query().filter(|_| told).and_then(Done::of);
        Ok(Self { done, refused })
    }
}

impl Visit {
    /// What is told at the top of the page.
    pub(super) fn told(&self) -> Markup {
        html! {
            @if let Some(Done(_, text)) = self.done { p.alert.good role="status" { (text) } }
            @if let Some(refused) = &self.refused { p.alert.bad role="alert" { (refused.message) } }
        }
    }

    /// The form for `action` was refused.
    pub(super) fn refused(&self, action: &str) -> bool {
        self.refused.as_ref().is_some_and(|refused| refused.action == action)
    }

    /// What was typed into a field of the form for `action`, if that was refused.
    pub(super) fn typed(&self, action: &str, field: &str) -> Option<&str> {
        let refused = self.refused.as_ref().filter(|refused| refused.action == action)?;
        let found = refused.fields.iter().find(|(name, _)| name == field);
        found.map(|(_, value)| value.as_str())
    }

    /// What a field of the form holds: what was typed, or else what is kept.
    pub(super) fn value<'a>(&'a self, action: &str, field: &str, kept: &'a str) -> &'a str {
        self.typed(action, field).unwrap_or(kept)
    }

    /// Whether a box is checked; one that is not is no field at all.
    pub(super) fn checked(&self, action: &str, field: &str, kept: bool) -> bool {
        if self.refused(action) { self.typed(action, field).is_some() } else { kept }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visit(uri: &str, site: Option<&str>, refused: Option<Refused>) -> Visit {
        let mut request = http::Request::builder().uri(uri);
        if let Some(site) = site {
            request = request.header("sec-fetch-site", site);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        if let Some(refused) = refused {
            parts.extensions.insert(Arc::new(refused));
        }
        let read = Visit::from_request_parts(&mut parts, &());
        futures_util::FutureExt::now_or_never(read).unwrap().unwrap()
    }

    fn check(uri: &str, site: Option<&str>, expected: Option<Done>) {
        assert_eq!(visit(uri, site, None).done, expected, "{uri} {site:?}");
    }

    #[test]
    fn a_deed_is_told_by_its_code_where_our_own_page_led() {
        let saved = Some(Done::SETTINGS);
        check("/p/settings?done=settings", Some("same-origin"), saved);
        check("/p/settings?a=b&done=settings", None, saved);
        check("/p/settings?done=settings", Some("cross-site"), None);
        check("/p/settings?done=settings", Some("none"), None);
        check("/p/settings?done=%3Cb%3E", None, None);
        check("/p/settings", None, None);
    }

    #[test]
    fn the_code_stands_before_the_place_in_the_page() {
        assert_eq!(Done::ROLE.address("/users"), "/users?done=role");
        assert_eq!(Done::APPROVED.address("/a?b=c#w-1"), "/a?b=c&done=approved#w-1");
        let codes: std::collections::BTreeSet<_> = Done::ALL.iter().map(|done| done.0).collect();
        assert_eq!(codes.len(), Done::ALL.len());
    }

    #[test]
    fn what_was_typed_comes_back_and_no_secret() {
        let body = b"name=a%26b&autocancel=1&password=hush&new=hush&again=hush&old=hush";
        let refused = Refused::new("/x", "no <b>", body);
        assert!(!format!("{refused:?}").contains("hush"));
        let visit = visit("/x?done=settings", None, Some(refused));
        assert_eq!(visit.value("/x", "name", "kept"), "a&b");
        assert_eq!(visit.value("/y", "name", "kept"), "kept");
        assert!(visit.checked("/x", "autocancel", false));
        assert!(!visit.checked("/x", "force_push", true), "a box that was cleared");
        assert!(visit.checked("/y", "force_push", true));
        let told = visit.told().into_string();
        assert_eq!(told, "<p class=\"alert bad\" role=\"alert\">no &lt;b&gt;</p>");
    }
}
