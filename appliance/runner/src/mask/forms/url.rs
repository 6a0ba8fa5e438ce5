//! Values in addresses and forms, as the encoders in use write them.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What RFC 3986 leaves unencoded: `rawurlencode`, `jq @uri`, `curl --data-urlencode`.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Python's `quote`.
const PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// PHP's `urlencode`, and Python's of old.
const OLD: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// Bodies of forms: `URLSearchParams`, Java's `URLEncoder`.
const FORM: &AsciiSet = &OLD.remove(b'*');

/// JavaScript's `encodeURIComponent`.
const COMPONENT: &AsciiSet =
    &UNRESERVED.remove(b'!').remove(b'\'').remove(b'(').remove(b')').remove(b'*');

/// JavaScript's `encodeURI`.
const ADDRESS: &AsciiSet = &COMPONENT
    .remove(b';')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'#');

/// `value` by each encoder, with digits in either case, and with `+` or `%20` for a blank.
pub(super) fn of(value: &str) -> Vec<String> {
    let sets = [NON_ALPHANUMERIC, UNRESERVED, PATH, OLD, FORM, COMPONENT, ADDRESS];
    let mut encoded = sets.map(|set| utf8_percent_encode(value, set).to_string()).to_vec();
    encoded.dedup();
    // Without an escape there is no other way to write it.
    encoded.retain(|text| text.contains('%'));
    encoded
        .into_iter()
        .flat_map(|upper| [lowercase_escapes(&upper), upper])
        .flat_map(|blank| [blank.replace("%20", "+"), blank])
        .collect()
}

fn lowercase_escapes(encoded: &str) -> String {
    let mut parts = encoded.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let (code, rest) = part.split_at(2.min(part.len()));
        text + "%" + &code.to_ascii_lowercase() + rest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_found_in_either_case() {
        assert_eq!(lowercase_escapes("a%2Fb%C3%A9"), "a%2fb%c3%a9");
        assert_eq!(lowercase_escapes("plain"), "plain");
    }

    #[test]
    fn every_encoder_in_use_is_known() {
        let forms = of("a/b c(d)*!~'+é;=");
        for form in [
            "a%2Fb%20c%28d%29%2A%21~%27%2B%C3%A9%3B%3D", // RFC 3986
            "a%2fb%20c%28d%29%2a%21~%27%2b%c3%a9%3b%3d", // the same with small digits
            "a/b%20c%28d%29%2A%21~%27%2B%C3%A9%3B%3D",   // Python's quote
            "a%2Fb+c%28d%29%2A%21~%27%2B%C3%A9%3B%3D",   // Python's quote_plus
            "a%2fb+c%28d%29%2a%21~%27%2b%c3%a9%3b%3d",   // the same with small digits
            "a%2Fb+c%28d%29%2A%21%7E%27%2B%C3%A9%3B%3D", // PHP's urlencode
            "a%2Fb+c%28d%29*%21%7E%27%2B%C3%A9%3B%3D",   // URLSearchParams
            "a%2Fb%20c(d)*!~'%2B%C3%A9%3B%3D",           // encodeURIComponent
            "a/b%20c(d)*!~'+%C3%A9;=",                   // encodeURI
        ] {
            assert!(forms.iter().any(|found| found == form), "{form} is not in {forms:?}");
        }
    }
}
