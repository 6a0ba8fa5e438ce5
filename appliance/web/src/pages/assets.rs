//! The style sheet, the script and the icons, inside the binary.
//!
//! Why the hash in the address: the browser keeps a file for a year, and a new version has a new
//! address. Everything together stays below [`TOTAL_MAX`]. Each is compressed once, at its first use.

use crate::{
    access::{Public, Routes},
    ansi::palette,
    error::Failure,
    shell::encoding::{gzip, takes_gzip},
};
use axum::{
    body::Bytes,
    extract::Path,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The first visit transfers no more than this, page included, to a browser that takes gzip.
pub const TOTAL_MAX: usize = 50 << 10;

/// They are compressed once: the most that zlib can.
const LEVEL: u32 = 9;

struct Asset {
    name: &'static str,
    kind: &'static str,
    text: &'static str,
    /// The text as gzip.
    packed: Bytes,
}

impl Asset {
    fn new(name: &'static str, kind: &'static str, text: &'static str) -> Self {
        Self { name, kind, text, packed: gzip(text.as_bytes(), LEVEL) }
    }
}

const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

static ASSETS: LazyLock<[Asset; 7]> = LazyLock::new(|| {
    [
        Asset::new("style.css", CSS, include_str!("../../assets/style.css")),
        Asset::new("ansi.css", CSS, palette::css()),
        Asset::new("live.js", SCRIPT, include_str!("../../assets/live.js")),
        Asset::new("log.js", SCRIPT, include_str!("../../assets/log.js")),
        Asset::new("lines.js", SCRIPT, include_str!("../../assets/lines.js")),
        Asset::new("base.js", SCRIPT, include_str!("../../assets/base.js")),
        Asset::new("icons.svg", "image/svg+xml", include_str!("../../assets/icons.svg")),
    ]
});

/// One version for all: they change together.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut digest = Sha256::new();
    ASSETS.iter().for_each(|asset| digest.update(asset.text));
    digest.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
});

/// Address of an asset.
#[must_use]
pub fn address(name: &str) -> String {
    format!("/assets/{}/{name}", *VERSION)
}

/// Address of an icon in the sheet.
#[must_use]
pub fn icon(id: &str) -> String {
    format!("/assets/{}/icons.svg#{id}", *VERSION)
}

pub(crate) fn routes() -> Routes {
    Routes::new().get("/assets/{version}/{name}", asset)
}

async fn asset(
    _: Public,
    headers: HeaderMap,
    Path((_, name)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let asset = ASSETS.iter().find(|asset| asset.name == name);
    let asset = asset.ok_or_else(|| Failure::missing("Asset"))?;
    let facts = [
        (header::CONTENT_TYPE, asset.kind),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::VARY, "accept-encoding"),
    ];
    if !takes_gzip(&headers) {
        return Ok((facts, asset.text).into_response());
    }
    Ok((facts, [(header::CONTENT_ENCODING, "gzip")], asset.packed.clone()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_assets_together_leave_room_for_the_page() {
        let total: usize = ASSETS.iter().map(|asset| asset.packed.len()).sum();
        assert!(total < TOTAL_MAX - (20 << 10), "{total} bytes");
    }

    /// Each of these stands in the asset.
    fn check(name: &str, expected: &[&str]) {
        let asset = ASSETS.iter().find(|asset| asset.name == name).unwrap();
        for part in expected {
            assert!(asset.text.contains(part), "{name} lacks {part}");
        }
    }

    #[test]
    fn in_a_drawing_only_what_lies_within_a_sign_turns() {
        check("style.css", &[".graph .state.run { animation: none; }", ".graph .state.run use {"]);
    }

    #[test]
    fn rows_of_jobs_have_the_columns_of_their_list() {
        let sheet = ASSETS[0].text;
        let rows: Vec<&str> =
            sheet.lines().filter(|line| line.trim_start().starts_with(".job {")).collect();
        assert_eq!(rows.len(), 1, "{rows:?}");
        assert!(rows[0].contains("grid-template-columns: subgrid"), "{rows:?}");
    }

    #[test]
    fn times_count_on_in_drawings_as_well() {
        check("live.js", &["$$('[data-age], [data-since]')", "time.dataset.since"]);
    }

    #[test]
    fn a_fetch_that_fails_is_caught() {
        for asset in ASSETS.iter().filter(|asset| asset.kind == SCRIPT) {
            let caught = |text: &str| text.contains("try {") && !text.contains("catch");
            let mut parts = asset.text.split("await fetch(");
            let mut before = parts.next().unwrap_or_default();
            for after in parts {
                assert!(before.rfind("try {").is_some_and(|at| caught(&before[at..])));
                let rest = after.split("try {").next().unwrap_or_default();
                assert!(rest.contains("catch {"), "{}: {rest}", asset.name);
                before = after;
            }
        }
        check("live.js", &["if (!found) return setTimeout(later, 3000);"]);
    }

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        for asset in ASSETS.iter() {
            let text = asset.text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http://") && !text.contains("https://"), "{}", asset.name);
        }
    }
}
