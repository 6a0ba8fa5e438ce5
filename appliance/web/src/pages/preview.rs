//! The page about one file: what it is, and a look at it.
//!
//! Why a page of ours around it: what a build made must not pose as the dashboard. Texts are written
//! into the page as text; an image or a page of HTML stays a document of its own, which the policy of
//! its own answer holds in a sandbox ([`media`]).
//! Invariants: pure; complete without a script, and every part is reached by keyboard.

use super::{
    assets,
    media::{self, Kind, Shown, Text},
    moment,
};
use crate::access::POLICY;
use axum::response::{IntoResponse, Response};
use base::{time::Timestamp, units::Bytes};
use http::header;
use maud::{Markup, html};

/// An image that is larger than this is not fetched unasked: the link may be slow.
const IMAGE_MAX: u64 = 16 << 20;

/// What the page tells.
#[derive(Debug)]
pub(super) struct File<'a> {
    /// Where it stands.
    pub(super) trail: Markup,
    /// Its name within the job or the bucket.
    pub(super) name: &'a str,
    /// Where its bytes are.
    pub(super) address: &'a str,
    /// Where it is shown with what belongs to it.
    pub(super) framed: &'a str,
    pub(super) kind: Kind,
    pub(super) size: u64,
    pub(super) modified: Option<(Timestamp, Timestamp)>,
    pub(super) etag: Option<&'a str>,
    pub(super) text: Option<Text>,
}

/// A page that may hold a frame of our own origin, which none else may.
pub(super) fn answer(page: Markup) -> Response {
    let policy = format!("{POLICY}; frame-src 'self'");
    ([(header::CONTENT_SECURITY_POLICY, policy)], page).into_response()
}

pub(super) fn body(file: &File<'_>) -> Markup {
    html! {
        (file.trail)
        div.head {
            h1 { bdi { (file.name) } }
            div.actions {
                @if matches!(file.kind.1, Shown::Text | Shown::Image | Shown::Page) {
                    a.button href=(file.framed) { "Open alone" }
                }
                @if file.kind.1 != Shown::Sealed {
                    a.button.primary href=(media::asked(file.address, "download")) {
                        svg.icon aria-hidden="true" { use href=(assets::icon("down")) {} }
                        "Download"
                    }
                }
            }
        }
        dl.facts {
            div { dt { "Size" } dd { (Bytes(file.size)) } }
            div { dt { "Type" } dd { (file.kind.0.split(';').next().unwrap_or_default()) } }
            @if let Some((at, now)) = file.modified { div { dt { "Stored" } dd { (moment::ago(at, now)) } } }
            @if let Some(etag) = file.etag { div { dt { "ETag" } dd { code { (etag) } } } }
        }
        (look(file))
    }
}

fn look(file: &File<'_>) -> Markup {
    match (file.kind.1, &file.text) {
        _ if file.size == 0 => note("This file is empty."),
        (Shown::Image, _) if file.size > IMAGE_MAX => {
            note("This image is too large to be shown here.")
        }
        (Shown::Image, _) => html! {
            figure.picture { img src=(file.address) alt=(format!("The image {}", file.name)); }
        },
        (Shown::Page, _) => html! {
            p.hint { "What a build or a tool made: shown without scripts, forms and links to elsewhere." }
            iframe.framed src=(file.framed) title=(format!("The page {}", file.name)) sandbox="" {}
        },
        (Shown::Sealed, _) => note("Only a client that has the object's own key can read it."),
        (_, Some(text)) => html! {
            @if !text.whole { p.hint { "The beginning; the download has all of it." } }
            pre.source.plain tabindex="0" role="region" aria-label=(format!("The text {}", file.name)) { code { (text.text) } }
        },
        _ => note("There is no preview of this kind of file."),
    }
}

fn note(text: &str) -> Markup {
    html! { section.empty { p { (text) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, size: u64, text: Option<&str>, expected: &str) {
        let file = File {
            trail: html! {},
            name,
            address: "/a",
            framed: "/f",
            kind: media::kind(name, None),
            size,
            modified: None,
            etag: None,
            text: text.map(|text| Text { text: text.into(), whole: true }),
        };
        let page = look(&file).into_string();
        assert!(page.contains(expected), "{name}: {page}");
    }

    #[test]
    fn each_kind_is_shown_in_its_way() {
        check("a.txt", 9, Some("<b>&"), "<code>&lt;b&gt;&amp;</code>");
        check("Makefile", 9, Some("all:"), "<code>all:</code>");
        check("a.png", 9, None, "<img src=\"/a\"");
        check("a.png", IMAGE_MAX + 1, None, "too large");
        check("a.html", 9, None, "sandbox=\"\"");
        check("a.tar", 9, None, "no preview");
        check("a.txt", 0, None, "empty");
    }

    #[test]
    fn what_is_sealed_is_neither_shown_nor_offered() {
        let file = File {
            trail: html! {},
            name: "a.png",
            address: "/a",
            framed: "/a",
            kind: media::SEALED,
            size: 9,
            modified: None,
            etag: None,
            text: None,
        };
        let page = body(&file).into_string();
        assert!(page.contains("own key") && !page.contains("/a\"") && !page.contains("?download"));
    }
}
