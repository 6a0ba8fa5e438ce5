//! Stored bytes as a browser may have them.
//!
//! Why sandboxed: an artifact is whatever a build made, an object whatever a tool put there. Each is
//! sent with a policy that gives it no script, no form and no origin of ours, and as a download
//! unless it is text, an image or a page.
//! Invariants: what a name or its sender calls a type is looked up in [`KINDS`], never passed on.

use crate::{access::SANDBOX, error::Failure};
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use futures_util::TryStreamExt;
use http::header;
use objects::{Found, Objects};
use serde::Deserialize;

/// What is asked for: the bytes, or the page about them.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    /// A page with the facts and a preview.
    pub(super) view: Option<String>,
    /// To be kept, not shown.
    pub(super) download: Option<String>,
}

/// The address of one of these: of the page about a file, or of its bytes to be kept.
pub(super) fn asked(address: &str, what: &str) -> String {
    let joint = if address.contains('?') { '&' } else { '?' };
    format!("{address}{joint}{what}")
}

/// How a browser shows a kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    Text,
    Image,
    /// HTML.
    Page,
    /// Not at all.
    Not,
    /// Its sender alone has the key to it.
    Sealed,
}

/// A media type, and how it is shown.
pub(super) type Kind = (&'static str, Shown);

const PLAIN: &str = "text/plain; charset=utf-8";
pub(super) const SEALED: Kind = ("sealed with a key of its sender's", Shown::Sealed);
const UNKNOWN: Kind = ("application/octet-stream", Shown::Not);

const KINDS: [(&[&str], Kind); 11] = [
    (
        &["txt", "log", "md", "xml", "yml", "yaml", "toml", "csv", "tsv", "diff", "patch", "ini"],
        (PLAIN, Shown::Text),
    ),
    (&["json"], ("application/json", Shown::Text)),
    (&["css"], ("text/css; charset=utf-8", Shown::Text)),
    (&["png"], ("image/png", Shown::Image)),
    (&["jpg", "jpeg"], ("image/jpeg", Shown::Image)),
    (&["gif"], ("image/gif", Shown::Image)),
    (&["webp"], ("image/webp", Shown::Image)),
    (&["avif"], ("image/avif", Shown::Image)),
    (&["svg"], ("image/svg+xml", Shown::Image)),
    (&["html", "htm"], ("text/html; charset=utf-8", Shown::Page)),
    (&["pdf"], ("application/pdf", Shown::Not)),
];

/// By the ending of a name; else by the type that its sender gave.
pub(super) fn kind(name: &str, told: Option<&str>) -> Kind {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let by_ending = KINDS.iter().find(|(endings, _)| endings.contains(&ending.as_str()));
    let told = told.map(essence);
    let by_type = || KINDS.iter().find(|(_, (kind, _))| told.as_deref() == Some(&essence(kind)));
    by_ending.or_else(by_type).map_or(UNKNOWN, |(_, kind)| *kind)
}

/// `Text/HTML; charset=utf-8` as `text/html`.
fn essence(kind: &str) -> String {
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// The bytes as an answer.
pub(super) fn answer(object: Found, name: &str, asked: &Asked) -> Response {
    let (kind, shown) = kind(name, object.info.content_type.as_deref());
    let inline = shown != Shown::Not && asked.download.is_none();
    let disposition = if inline { "inline" } else { "attachment" };
    let name = name.rsplit('/').next().unwrap_or("file");
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, object.info.size.to_string()),
        (header::CONTENT_DISPOSITION, format!("{disposition}; filename=\"{}\"", quoted(name))),
        (header::CONTENT_SECURITY_POLICY, SANDBOX.to_owned()),
        // Within the page about it.
        (header::X_FRAME_OPTIONS, "SAMEORIGIN".to_owned()),
    ];
    (headers, Body::from_stream(object.bytes)).into_response()
}

/// For a quoted header value: nothing that could end it.
fn quoted(name: &str) -> String {
    let keep = |c: char| {
        if c.is_ascii_graphic() && !matches!(c, '"' | '\\') || c == ' ' { c } else { '_' }
    };
    name.chars().map(keep).collect()
}

/// A text as far as a page shows it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) text: String,
    /// Nothing was left out.
    pub(super) whole: bool,
}

/// Bytes of a text in a page; the rest is in the file itself.
const TEXT_MAX: u64 = 256 << 10;

/// The beginning of an object, if it is a text.
pub(super) async fn text(
    objects: &Objects,
    bucket: &str,
    key: &str,
    (size, shown): (u64, Shown),
) -> Result<Option<Text>, Failure> {
    if size == 0 || !matches!(shown, Shown::Text | Shown::Not) {
        return Ok(None);
    }
    let found = objects.get(bucket, key, Some(0..TEXT_MAX)).await?;
    let bytes = found.bytes.try_fold(Vec::new(), |mut all, part| async move {
        all.extend_from_slice(&part);
        Ok(all)
    });
    let bytes = bytes.await.map_err(Failure::inside)?;
    Ok(read(&bytes, size <= TEXT_MAX, shown == Shown::Text))
}

/// What is named a text is one, whatever it holds; else it must look like one.
fn read(bytes: &[u8], whole: bool, named: bool) -> Option<Text> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // A character that the end cuts in two.
        Err(error) if !whole && error.error_len().is_none() => {
            String::from_utf8_lossy(&bytes[..error.valid_up_to()]).into_owned()
        }
        Err(_) if named => String::from_utf8_lossy(bytes).into_owned(),
        Err(_) => return None,
    };
    let odd = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\x1b');
    (named || !text.contains(odd)).then_some(Text { text, whole })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_known_by_the_name_or_else_by_what_its_sender_said() {
        assert_eq!(kind("a/report.XML", None), (PLAIN, Shown::Text));
        assert_eq!(kind("x.tar.gz", None), UNKNOWN);
        assert_eq!(kind("shot", Some("Image/PNG; q=1")), ("image/png", Shown::Image));
        assert_eq!(kind("a.png", Some("text/html")), ("image/png", Shown::Image));
        assert_eq!(kind("x", Some("text/html, text/javascript")), UNKNOWN);
    }

    #[test]
    fn names_cannot_end_their_quotes() {
        assert_eq!(quoted("a\"b\\c\r\nd é.txt"), "a_b_c__d _.txt");
    }

    #[test]
    fn a_text_is_shown_as_far_as_it_is_one() {
        let check = |bytes: &[u8], whole, named, expected: Option<&str>| {
            let expected = expected.map(|text| Text { text: text.into(), whole });
            assert_eq!(read(bytes, whole, named), expected, "{bytes:?} {whole} {named}");
        };
        check(b"all: build\n\tcc\n", true, false, Some("all: build\n\tcc\n"));
        check("cut in é".as_bytes().split_last().unwrap().1, false, false, Some("cut in "));
        check(b"\x7fELF\x02\x01", true, false, None);
        check(b"caf\xe9", true, false, None);
        check(b"caf\xe9", true, true, Some("caf\u{fffd}"));
    }
}
