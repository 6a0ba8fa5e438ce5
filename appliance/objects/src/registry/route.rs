//! Paths under `/v2/`, pure.
//!
//! A name may hold slashes, so that a path is read from its end.

use super::fault::{Code, Fault};
use crate::oci::reference::{hex_of, is_tag};

/// What a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Route<'a> {
    Base,
    Token,
    Catalogue,
    Tags(&'a str),
    Manifest(&'a str, Wanted<'a>),
    Blob(&'a str, &'a str),
    Uploads(&'a str),
    Upload(&'a str, &'a str),
    Referrers(&'a str, &'a str),
}

/// Which manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    Tag(&'a str),
    Digest(&'a str),
}

/// As most registries bound it.
const NAME_MAX: usize = 255;

/// A repository's name by the specification's grammar.
pub(super) fn is_name(name: &str) -> bool {
    name.len() <= NAME_MAX && name.split('/').all(is_word)
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_word(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = word.as_bytes();
    let ends =
        bytes.first().copied().is_some_and(plain) && bytes.last().copied().is_some_and(plain);
    let mut gap = String::new();
    for byte in bytes {
        if plain(*byte) {
            let joined =
                matches!(gap.as_str(), "" | "." | "_" | "__") || gap.bytes().all(|b| b == b'-');
            if !joined {
                return false;
            }
            gap.clear();
        } else {
            gap.push(char::from(*byte));
        }
    }
    ends
}

fn named(name: &str) -> Result<&str, Fault> {
    if is_name(name) { Ok(name) } else { Err(Code::NameInvalid.plain()) }
}

fn digest(text: &str) -> Result<&str, Fault> {
    if hex_of(text).is_some() { Ok(text) } else { Err(Code::DigestInvalid.plain()) }
}

fn wanted(text: &str) -> Result<Wanted<'_>, Fault> {
    if text.contains(':') {
        return Ok(Wanted::Digest(digest(text)?));
    }
    if is_tag(text) { Ok(Wanted::Tag(text)) } else { Err(Code::TagInvalid.plain()) }
}

/// Reads a path that begins with `/v2`.
pub(super) fn parse(path: &str) -> Result<Route<'_>, Fault> {
    let rest = path.strip_prefix("/v2").ok_or_else(|| Code::NameUnknown.plain())?;
    match rest {
        "" | "/" => return Ok(Route::Base),
        "/token" => return Ok(Route::Token),
        "/_catalog" => return Ok(Route::Catalogue),
        _ => {}
    }
    let rest = rest.strip_prefix('/').ok_or_else(|| Code::NameUnknown.plain())?;
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Ok(Route::Tags(named(name)?));
    }
    let uploads = rest.strip_suffix("/blobs/uploads/").or(rest.strip_suffix("/blobs/uploads"));
    if let Some(name) = uploads {
        return Ok(Route::Uploads(named(name)?));
    }
    let (front, last) = rest.rsplit_once('/').ok_or_else(|| Code::NameUnknown.plain())?;
    if let Some(name) = front.strip_suffix("/blobs/uploads") {
        return Ok(Route::Upload(named(name)?, last));
    }
    if let Some(name) = front.strip_suffix("/blobs") {
        return Ok(Route::Blob(named(name)?, digest(last)?));
    }
    if let Some(name) = front.strip_suffix("/manifests") {
        return Ok(Route::Manifest(named(name)?, wanted(last)?));
    }
    if let Some(name) = front.strip_suffix("/referrers") {
        return Ok(Route::Referrers(named(name)?, digest(last)?));
    }
    Err(Code::NameUnknown.says("there is no such address in a registry"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn check(path: &str, expected: Result<Route<'_>, Code>) {
        let path = path.replace('@', DIGEST);
        assert_eq!(parse(&path).map_err(|fault| fault.code), expected, "{path}");
    }

    #[test]
    fn paths_are_read_from_their_end() {
        check("/v2/", Ok(Route::Base));
        check("/v2", Ok(Route::Base));
        check("/v2/_catalog", Ok(Route::Catalogue));
        check("/v2/a/tags/list", Ok(Route::Tags("a")));
        check("/v2/a/b/c/manifests/v1", Ok(Route::Manifest("a/b/c", Wanted::Tag("v1"))));
        check("/v2/a/manifests/@", Ok(Route::Manifest("a", Wanted::Digest(DIGEST))));
        check("/v2/a/manifests/manifests/x", Ok(Route::Manifest("a/manifests", Wanted::Tag("x"))));
        check("/v2/a/blobs/@", Ok(Route::Blob("a", DIGEST)));
        check("/v2/a/blobs/uploads/", Ok(Route::Uploads("a")));
        check("/v2/a/blobs/uploads/12", Ok(Route::Upload("a", "12")));
        check("/v2/a/referrers/@", Ok(Route::Referrers("a", DIGEST)));
    }

    #[test]
    fn what_is_no_name_tag_or_digest_is_told_apart() {
        for name in ["A", "a//b", "-a", "a-", "a..b", "a._b", "../a", "a%2fb", "ä", "a___b", ""] {
            check(&format!("/v2/{name}/tags/list"), Err(Code::NameInvalid));
        }
        for name in ["a", "a-b", "a--b", "a_b", "a__b", "a.b", "0/1", "ghcr.io/a"] {
            check(&format!("/v2/{name}/tags/list"), Ok(Route::Tags(name)));
        }
        check(&format!("/v2/{}/tags/list", "a".repeat(256)), Err(Code::NameInvalid));
        check("/v2/a/manifests/.x", Err(Code::TagInvalid));
        check(&format!("/v2/a/manifests/{}", "x".repeat(129)), Err(Code::TagInvalid));
        check("/v2/a/manifests/sha256:12", Err(Code::DigestInvalid));
        check("/v2/a/blobs/x", Err(Code::DigestInvalid));
        check("/v2/a/other/x", Err(Code::NameUnknown));
        check("/v2x", Err(Code::NameUnknown));
    }

    proptest! {
        #[test]
        fn no_path_brings_it_down_and_what_it_names_is_sound(path in "/v2/[a-z0-9./_:%-]{0,80}") {
            match parse(&path) {
                Ok(Route::Tags(name) | Route::Manifest(name, _) | Route::Blob(name, _)
                    | Route::Uploads(name) | Route::Upload(name, _) | Route::Referrers(name, _)) => {
                    prop_assert!(is_name(name) && !name.contains("..") && !name.contains(':'));
                }
                Ok(Route::Base | Route::Token | Route::Catalogue) | Err(_) => {}
            }
        }
    }
}
