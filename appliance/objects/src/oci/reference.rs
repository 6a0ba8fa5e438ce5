//! Names of images, made full as Docker does: `alpine` is `docker.io/library/alpine:latest`.

use super::ImageError;
use std::{fmt, str::FromStr};

/// Longer than any name of a registry.
const NAME_MAX: usize = 255;

/// As registries bound it.
const TAG_MAX: usize = 128;

/// A full name with a tag, or a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    name: String,
    tag: String,
    digest: Option<String>,
}

impl Reference {
    fn read(text: &str) -> Option<Self> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest).filter(|digest| hex_of(digest).is_some())),
            None => (text, None),
        };
        if text.contains('@') && digest.is_none() {
            return None;
        }
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[last..].find(':') {
            Some(at) => (&rest[..last + at], &rest[last + at + 1..]),
            None => (rest, "latest"),
        };
        let (host, path) = match name.split_once('/') {
            Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => (host, path),
            _ => ("docker.io", name),
        };
        let host = if host == "index.docker.io" { "docker.io" } else { host };
        let official = host == "docker.io" && !path.contains('/');
        let name = format!("{host}/{}{path}", if official { "library/" } else { "" });
        let fits = name.len() <= NAME_MAX && is_host(host) && is_path(path) && is_tag(tag);
        fits.then(|| Self { name, tag: tag.to_owned(), digest: digest.map(str::to_owned) })
    }

    /// The full name without tag and digest, for example `docker.io/library/alpine`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its tag; `latest` when it named none.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// The digest that it pins, if it does.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

/// The full name with its tag.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.tag)
    }
}

/// Reads `[host/]path[:tag][@sha256:…]`.
impl FromStr for Reference {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        Self::read(text.trim()).ok_or_else(|| ImageError::Reference(text.to_owned()))
    }
}

/// The text without its host when that is one of `own` (`box.site`, `box.site:8443`): what is
/// pushed to this registry as `ns/app` is the image `ns/app`.
pub(super) fn without_own_host<'a>(text: &'a str, own: &[String]) -> Option<&'a str> {
    let (host, rest) = text.split_once('/')?;
    let plain = match host.rsplit_once(':') {
        Some((plain, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => plain,
        _ => host,
    };
    own.iter().any(|name| name.eq_ignore_ascii_case(plain)).then_some(rest)
}

/// The 64 digits of `sha256:…`.
pub(crate) fn hex_of(digest: &str) -> Option<&str> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let hex = digest.strip_prefix("sha256:")?;
    (hex.len() == 64 && hex.bytes().all(is_hex)).then_some(hex)
}

fn is_host(host: &str) -> bool {
    host.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))
}

fn is_path(path: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    path.split('/').all(|part| {
        part.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
            && part.bytes().next().is_some_and(plain)
    })
}

pub(crate) fn is_tag(tag: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|byte| word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, full: Option<&str>) {
        assert_eq!(
            text.parse::<Reference>().ok().map(|one| one.to_string()).as_deref(),
            full,
            "{text}"
        );
    }

    #[test]
    fn names_are_made_full_as_docker_does() {
        check("alpine", Some("docker.io/library/alpine:latest"));
        check("alpine:3.20", Some("docker.io/library/alpine:3.20"));
        check("cimg/base:2024.01", Some("docker.io/cimg/base:2024.01"));
        check("docker.io/alpine", Some("docker.io/library/alpine:latest"));
        check("index.docker.io/library/alpine", Some("docker.io/library/alpine:latest"));
        check("localhost:5000/a/b:c", Some("localhost:5000/a/b:c"));
        check("ghcr.io/a/b", Some("ghcr.io/a/b:latest"));
    }

    #[test]
    fn what_no_registry_takes_is_refused() {
        for bad in ["", "A", "a//b", "a:", "a b", "../a", "a@sha256:12", "a:b:c", "a/"] {
            check(bad, None);
        }
    }

    #[test]
    fn the_own_host_is_not_part_of_a_name() {
        let own = ["box.site".to_owned(), "box".to_owned(), "127.0.0.1".to_owned()];
        for text in
            ["box.site/ns/app:1", "box:8443/ns/app:1", "BOX/ns/app:1", "127.0.0.1:1/ns/app:1"]
        {
            assert_eq!(without_own_host(text, &own), Some("ns/app:1"), "{text}");
        }
        for text in ["ns/app:1", "box.site.evil/ns/app", "app", "box:x/app"] {
            assert_eq!(without_own_host(text, &own), None, "{text}");
        }
    }

    #[test]
    fn a_digest_is_kept_beside_the_name() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let one = format!("alpine@{digest}").parse::<Reference>().unwrap();
        assert_eq!(one.digest(), Some(digest.as_str()));
    }
}
