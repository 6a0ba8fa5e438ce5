//! Which objects a client asks not to be sent.
//!
//! Invariants: what a filter keeps back is never kept back where it is asked for by name.
//! Source: `git rev-list --filter` of the Git documentation.

/// An object is sent when all that is said here lets it pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Files of this size or larger stay; 0 means all files.
    pub(super) blobs: Option<u64>,
    /// Files and folders stay that are so deep or deeper; a commit's own folder is at 0.
    pub(super) depth: Option<u64>,
}

impl Filter {
    /// Reads a filter as a client names it; `None` when it is not known here.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let Some(parts) = text.strip_prefix("combine:") else { return Self::parse_one(text) };
        parts.split('+').try_fold(Self::default(), |filter, part| {
            let part = Self::parse_one(&decoded(part)?)?;
            Some(Self {
                blobs: least(filter.blobs, part.blobs),
                depth: least(filter.depth, part.depth),
            })
        })
    }

    fn parse_one(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once(':')?;
        match (kind, rest.strip_prefix("limit=")) {
            ("blob", None) if rest == "none" => Some(Self { blobs: Some(0), depth: None }),
            ("blob", Some(limit)) => Some(Self { blobs: Some(size(limit)?), depth: None }),
            ("tree", None) => Some(Self { blobs: None, depth: Some(rest.parse().ok()?) }),
            _ => None,
        }
    }

    /// Whether something at this depth is sent.
    pub(super) fn reaches(self, depth: u64) -> bool {
        self.depth.is_none_or(|most| depth < most)
    }
}

fn least(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

fn size(digits: &str) -> Option<u64> {
    let (number, factor) = match digits.as_bytes().last()?.to_ascii_lowercase() {
        b'k' => (&digits[..digits.len() - 1], 1 << 10),
        b'm' => (&digits[..digits.len() - 1], 1 << 20),
        b'g' => (&digits[..digits.len() - 1], 1 << 30),
        _ => (digits, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A part of a combination, in which other characters than the plainest are written as `%3A`.
fn decoded(part: &str) -> Option<String> {
    let mut pieces = part.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(code, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_as_clients_write_them() {
        let check = |text: &str, blobs: Option<u64>, depth: Option<u64>| {
            assert_eq!(Filter::parse(text), Some(Filter { blobs, depth }), "{text}");
        };
        check("blob:none", Some(0), None);
        check("blob:limit=2k", Some(2048), None);
        check("tree:0", None, Some(0));
        check("tree:3", None, Some(3));
        check("combine:blob:none+tree:3", Some(0), Some(3));
        check("combine:blob%3alimit%3D1m+tree%3A4+tree:2", Some(1 << 20), Some(2));
        for strange in [
            "",
            "tree",
            "tree:-1",
            "sparse:oid=1",
            "combine:",
            "combine:%",
            "combine:tree:0+combine:tree:0",
            "blob:limit=",
            "combine:%zz",
            "blob:limit=99999999999g",
        ] {
            assert_eq!(Filter::parse(strange), None, "{strange}");
        }
    }
}
