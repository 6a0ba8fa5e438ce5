//! The text of a report, in whichever encoding its tool wrote it.
//!
//! Why no library for it: beside UTF-8 tools write UTF-16 (PowerShell, .NET) and ISO-8859-1 (older Java);
//! tables for all others would be larger than the rest of the agent.

use std::borrow::Cow;

/// Where a declaration must have ended.
const DECLARATION_MAX: usize = 256;

/// A text, and the encoding that it names when that is none of those known here.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    pub(super) text: Cow<'a, str>,
    pub(super) unknown: Option<String>,
}

/// The text of a file: by the mark at its start, else as its XML declaration says, else UTF-8.
pub(super) fn decoded(bytes: &[u8]) -> Decoded<'_> {
    let (text, unknown) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => (String::from_utf8_lossy(rest), None),
        [0xff, 0xfe, rest @ ..] => (wide(rest, u16::from_le_bytes), None),
        [0xfe, 0xff, rest @ ..] => (wide(rest, u16::from_be_bytes), None),
        [b'<', 0, ..] => (wide(bytes, u16::from_le_bytes), None),
        [0, b'<', ..] => (wide(bytes, u16::from_be_bytes), None),
        _ => declared(bytes),
    };
    Decoded { text, unknown }
}

fn wide(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Cow<'static, str> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

fn declared(bytes: &[u8]) -> (Cow<'_, str>, Option<String>) {
    let label = label(bytes).unwrap_or_default();
    match label.to_ascii_lowercase().as_str() {
        "iso-8859-1" | "iso8859-1" | "iso_8859-1" | "latin1" | "latin-1" => {
            (bytes.iter().map(|byte| char::from(*byte)).collect(), None)
        }
        // Text that could be read so far is not UTF-16, whatever it says.
        "" | "utf-8" | "utf8" | "us-ascii" | "ascii" | "utf-16" => {
            (String::from_utf8_lossy(bytes), None)
        }
        _ => (String::from_utf8_lossy(bytes), Some(label)),
    }
}

/// What stands in `<?xml … encoding="…"?>`.
fn label(bytes: &[u8]) -> Option<String> {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_MAX)]);
    let declaration = start.trim_start().strip_prefix("<?xml")?.split("?>").next()?;
    let value = declaration.split("encoding").nth(1)?.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let label = value[1..].split(quote).next()?;
    Some(label.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], text: &str, unknown: Option<&str>) {
        let expected = Decoded { text: text.into(), unknown: unknown.map(str::to_owned) };
        assert_eq!(decoded(bytes), expected);
    }

    #[test]
    fn marks_come_before_declarations_and_those_before_utf_8() {
        check("<a b='ö'/>".as_bytes(), "<a b='ö'/>", None);
        check(b"\xef\xbb\xbf<a/>", "<a/>", None);
        check(b"\xff\xfe<\0a\0\xf6\0", "<aö", None);
        check(b"\xfe\xff\0<\0a\0\xf6", "<aö", None);
        check(b"<\0a\0", "<a", None);
        check(b"\0<\0a\0", "<a", None);
        let latin = "<?xml version=\"1.0\" encoding = \"Latin1\" ?><a>ö</a>";
        let bytes: Vec<u8> = latin.chars().map(|c| u8::try_from(c).unwrap()).collect();
        check(&bytes, latin, None);
        let utf_8 = "<?xml encoding='utf-8'?><a>ö</a>";
        check(utf_8.as_bytes(), utf_8, None);
        let marked = [b"\xef\xbb\xbf".as_slice(), b"<?xml encoding='x'?>"].concat();
        check(&marked, "<?xml encoding='x'?>", None);
    }

    #[test]
    fn an_encoding_that_is_not_known_is_named() {
        let text = "<?xml version='1.0' encoding='Shift_JIS'?>";
        check(text.as_bytes(), text, Some("Shift_JIS"));
        for odd in [
            "",
            "<",
            "<?xml",
            "<?xml encoding",
            "<?xml encoding=",
            "<?xml encoding=x?>",
            "<?xml encoding='",
        ] {
            check(odd.as_bytes(), odd, None);
        }
    }
}
