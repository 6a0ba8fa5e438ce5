//! Keys of objects, which are whatever a tool wrote: shown safely, and addressed without a browser's
//! help.
//!
//! Why: a browser resolves `a/../b` in a path, escaped or not, and asks for another object; a mark of
//! direction turns the letters that follow it, so that one name reads as another.
//! Invariants: pure. What is shown is a text of its own direction, in which nothing is invisible that
//! decides how the rest is read; what is addressed is the key and nothing else.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Characters of a key that stay as they are in a path.
const KEY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Marks that turn, hide or join what is beside them (UAX 9; zero-width characters; the byte order
/// mark), and line ends that are no control characters.
const fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// A key as a text in which such characters are written out.
pub(super) fn told(key: &str) -> String {
    let one = |c: char| match c.is_control() || is_mark(c) {
        true => format!("\\u{{{:x}}}", u32::from(c)),
        false => c.to_string(),
    };
    key.chars().map(one).collect()
}

/// The same for a page: it does not turn what stands around it.
pub(super) fn shown(key: &str) -> Markup {
    html! { bdi { (told(key)) } }
}

/// Where an object is: as a path as long as that is a plain one.
pub(super) fn address(bucket: &str, key: &str) -> String {
    let is_plain = key.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if is_plain {
        format!("/buckets/{bucket}/{}", utf8_percent_encode(key, KEY))
    } else {
        format!("/buckets/{bucket}?object={}", utf8_percent_encode(key, NON_ALPHANUMERIC))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_turn_or_hide_a_text_is_written_out() {
        for (key, expected) in [
            ("plan-é-日本.txt", "plan-é-日本.txt"),
            ("invoice\u{202e}gpj.exe", "invoice\\u{202e}gpj.exe"),
            ("a\u{2066}b\u{2069}\u{200b}", "a\\u{2066}b\\u{2069}\\u{200b}"),
            ("a\nb\u{1b}[0m\u{2028}", "a\\u{a}b\\u{1b}[0m\\u{2028}"),
        ] {
            assert_eq!(told(key), expected);
        }
        assert_eq!(shown("<i>\u{202e}").into_string(), "<bdi>&lt;i&gt;\\u{202e}</bdi>");
    }

    #[test]
    fn a_key_that_a_browser_would_resolve_is_no_path() {
        for (key, expected) in [
            ("a b/c.txt", "/buckets/x/a%20b/c.txt"),
            ("..x/.y/z.", "/buckets/x/..x/.y/z."),
            ("a/../b", "/buckets/x?object=a%2F%2E%2E%2Fb"),
            ("./a", "/buckets/x?object=%2E%2Fa"),
            ("/a", "/buckets/x?object=%2Fa"),
            ("a//b", "/buckets/x?object=a%2F%2Fb"),
            ("a/", "/buckets/x?object=a%2F"),
        ] {
            assert_eq!(address("x", key), expected);
        }
    }
}
