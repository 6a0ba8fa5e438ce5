//! What an unquoted scalar means, by YAML 1.1 as the original service reads it.
//!
//! Decisions where the original is undocumented: a number with leading zeros (`022`) and a
//! sexagesimal (`10:30`) stay text as written, because turning them into other numbers surprises
//! everybody; dates stay text (observed).

use super::node::{Text, Value};

/// The value of a plain scalar.
pub(crate) fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => {
            return Value::Bool(true);
        }
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return Value::Bool(false);
        }
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return plain(text);
    }
    integer(text).or_else(|| float(text)).unwrap_or_else(|| plain(text))
}

fn plain(text: &str) -> Value {
    Value::Text(Text { text: text.into(), plain: true })
}

fn integer(text: &str) -> Option<Value> {
    let (sign, digits) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if let Some(hex) = digits.strip_prefix("0x") {
        return i64::from_str_radix(&hex.replace('_', ""), 16).ok().map(|n| Value::Int(sign * n));
    }
    let first = *digits.as_bytes().first()?;
    let canonical = digits == "0" || (first != b'0' && first.is_ascii_digit());
    if !canonical || !digits.bytes().all(|b| b.is_ascii_digit() || b == b'_') {
        return None;
    }
    digits.replace('_', "").parse::<i64>().ok().map(|n| Value::Int(sign * n))
}

fn float(text: &str) -> Option<Value> {
    let digits = text.trim_start_matches(['+', '-']);
    match digits {
        ".inf" | ".Inf" | ".INF" => {
            let infinite = if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY };
            return Some(Value::Float(infinite));
        }
        ".nan" | ".NaN" | ".NAN" => return Some(Value::Float(f64::NAN)),
        _ => {}
    }
    let shaped = digits.bytes().any(|b| b.is_ascii_digit())
        && digits.contains('.')
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'))
        && text.len() - digits.len() <= 1;
    if !shaped {
        return None;
    }
    text.parse::<f64>().ok().map(Value::Float)
}

/// A float as text: always with a point, `3.10` becomes `3.1`, as the original shows it.
pub(crate) fn float_text(number: f64) -> String {
    if number.is_nan() {
        return ".nan".into();
    }
    if number.is_infinite() {
        return if number > 0.0 { ".inf".into() } else { "-.inf".into() };
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude) {
        let text = format!("{number:E}");
        return match text.split_once('E') {
            Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
            _ => text,
        };
    }
    let text = number.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// The unquoted words that a boolean parameter also takes.
pub(crate) fn short_boolean(text: &Text) -> Option<bool> {
    match (&*text.text, text.plain) {
        ("y" | "Y", true) => Some(true),
        ("n" | "N", true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(format!("{:?}", resolve(text)), expected, "{text}");
    }

    #[test]
    fn words_and_numbers_are_read_by_yaml_1_1() {
        check("yes", "Bool(true)");
        check("Off", "Bool(false)");
        check("~", "Null");
        check("42", "Int(42)");
        check("-7", "Int(-7)");
        check("1_000", "Int(1000)");
        check("0x1F", "Int(31)");
        check("3.10", "Float(3.1)");
        check("1e3", "Text(Text { text: \"1e3\", plain: true })");
        check("022", "Text(Text { text: \"022\", plain: true })");
        check("10:30", "Text(Text { text: \"10:30\", plain: true })");
        check("2019-01-01", "Text(Text { text: \"2019-01-01\", plain: true })");
        check("1.2.3", "Text(Text { text: \"1.2.3\", plain: true })");
        check("-", "Text(Text { text: \"-\", plain: true })");
    }

    #[test]
    fn floats_print_as_the_original_prints_them() {
        for (number, text) in [(3.1, "3.1"), (2.0, "2.0"), (1e10, "1.0E10"), (0.0, "0.0")] {
            assert_eq!(float_text(number), text);
        }
    }
}
