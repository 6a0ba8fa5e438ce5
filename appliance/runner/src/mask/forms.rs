//! The forms in which a secret value may come to light.
//!
//! Why: tools print values encoded: a Basic header is base64, a query string is percent-encoded,
//! an API answer is JSON, a trace quotes for the shell. A value is hidden in each of these.
//! Limits: a form that is neither of these (reversed, hashed, compressed) is not found; masking
//! guards against accidents, not against the author of the job.

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Shorter values are too common in ordinary output to be hidden.
const SHORTEST: usize = 4;

/// Bytes of input for each 76-character line of the `base64` command.
const BASE64_LINE: usize = 57;

/// What RFC 3986 leaves unencoded.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Every form of `value`; none when it is not secret.
pub(super) fn of(value: &str) -> Vec<Vec<u8>> {
    let mut forms = Vec::new();
    if !is_secret(value) {
        return forms;
    }
    forms.push(value.as_bytes().to_vec());
    forms.extend(
        value.lines().map(str::trim_end).filter(|l| is_secret(l)).map(|l| l.as_bytes().to_vec()),
    );
    forms.extend([json(value), shell(value)].map(String::into_bytes));
    let encoded = utf8_percent_encode(value, UNRESERVED).to_string();
    forms.push(encoded.replace("%20", "+").into_bytes());
    forms.push(lowercase_escapes(&encoded).into_bytes());
    forms.push(encoded.into_bytes());
    for engine in [&STANDARD, &URL_SAFE] {
        forms.push(engine.encode(value).into_bytes());
        forms.extend((0..3).map(|before| aligned(engine, value.as_bytes(), before)));
        if value.len() > BASE64_LINE {
            forms.extend(
                value.as_bytes().chunks(BASE64_LINE).map(|line| engine.encode(line).into_bytes()),
            );
        }
    }
    forms.retain(|form| form.len() >= SHORTEST);
    forms
}

fn is_secret(value: &str) -> bool {
    value.chars().count() >= SHORTEST
        && !["true", "True", "TRUE", "false", "False", "FALSE"].contains(&value)
}

fn json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn shell(value: &str) -> String {
    value.replace('\'', r"'\''")
}

fn lowercase_escapes(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (code, rest) = part.split_at(2.min(part.len()));
        text + "%" + &code.to_ascii_lowercase() + rest
    })
}

/// The characters of base64 that `value` alone decides when `before` other bytes (modulo three)
/// stand in front of it.
fn aligned(engine: &impl Engine, value: &[u8], before: usize) -> Vec<u8> {
    let mut shifted = vec![0; before];
    shifted.extend_from_slice(value);
    let encoded = engine.encode(&shifted).into_bytes();
    let first = (before * 8).div_ceil(6);
    let end = shifted.len() * 8 / 6;
    encoded[first.min(end)..end].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_found_at_every_alignment() {
        for before in 0..6 {
            let text = format!("{}hunter2-and-more{}", "x".repeat(before), "tail");
            let encoded = STANDARD.encode(text);
            let form = aligned(&STANDARD, b"hunter2-and-more", before % 3);
            let form = String::from_utf8(form).unwrap();
            assert!(encoded.contains(&form), "{form} in {encoded}");
        }
    }

    #[test]
    fn escapes_are_found_in_either_case() {
        assert_eq!(lowercase_escapes("a%2Fb%C3%A9"), "a%2fb%c3%a9");
        assert_eq!(lowercase_escapes("plain"), "plain");
    }

    #[test]
    fn short_and_boolean_values_have_no_form() {
        for value in ["", "abc", "true", "False"] {
            assert!(of(value).is_empty(), "{value}");
        }
    }
}
