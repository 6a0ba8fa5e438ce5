//! How a text is written as a YAML scalar, by the rules that the original's output shows:
//! plain where it can be read back, `|` for several lines, single quotes, and double quotes when
//! nothing else keeps the text (blanks at line ends, tabs, control characters).

use super::node::Value;
use super::scalar;

/// The ways to write a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

/// What a text holds that limits how it can be written.
#[derive(Default)]
struct Traits {
    indicator: bool,
    line_breaks: bool,
    special: bool,
    leading_blank: bool,
    trailing_space: bool,
    trailing_break: bool,
    space_before_break: bool,
    space_after_break: bool,
}

/// The style of a text, as a value or as a key.
pub(super) fn style(text: &str, is_key: bool) -> Style {
    if text.is_empty() {
        return Style::Single;
    }
    let traits = analyse(text);
    if traits.special || traits.space_before_break {
        return Style::Double;
    }
    if traits.line_breaks {
        return match is_key || traits.trailing_space {
            true => Style::Double,
            false => Style::Literal,
        };
    }
    let blank_ends = traits.leading_blank || traits.trailing_space || traits.trailing_break;
    match traits.indicator || blank_ends || is_typed(text) {
        true => Style::Single,
        false => Style::Plain,
    }
}

fn analyse(text: &str) -> Traits {
    let mut traits = Traits {
        indicator: text.starts_with("---") || text.starts_with("..."),
        ..Traits::default()
    };
    let (mut after_space, mut after_break, mut after_blank) = (false, false, true);
    let mut chars = text.chars().peekable();
    let mut is_first = true;
    while let Some(c) = chars.next() {
        let before_blank =
            chars.peek().is_none_or(|next| matches!(next, ' ' | '\t' | '\n' | '\r' | '\0'));
        traits.indicator |= match c {
            '#' => is_first || after_blank,
            ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
            | '`' => is_first,
            '?' | '-' => is_first && before_blank,
            ':' => before_blank,
            _ => false,
        };
        let printable = c == '\n'
            || (' '..='~').contains(&c)
            || c == '\u{85}'
            || (c >= '\u{a0}' && c != '\u{feff}');
        traits.special |= !printable;
        match c {
            ' ' => {
                traits.leading_blank |= is_first;
                traits.trailing_space |= chars.peek().is_none();
                traits.space_after_break |= after_break;
                (after_space, after_break) = (true, false);
            }
            '\n' => {
                traits.line_breaks = true;
                traits.leading_blank |= is_first;
                traits.trailing_break |= chars.peek().is_none();
                traits.space_before_break |= after_space;
                (after_space, after_break) = (false, true);
            }
            _ => (after_space, after_break) = (false, false),
        }
        after_blank = matches!(c, ' ' | '\t' | '\n' | '\r' | '\0');
        is_first = false;
    }
    traits
}

/// Whether a plain text would be read as something else than a text by a YAML 1.1 reader.
fn is_typed(text: &str) -> bool {
    if matches!(text, "<<" | "=") || !matches!(scalar::resolve(text), Value::Text(_)) {
        return true;
    }
    let first = text.as_bytes()[0];
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return false;
    }
    is_number_1_1(text) || is_timestamp(text)
}

/// Octal, binary, sexagesimal and exponent forms that we ourselves read as text.
fn is_number_1_1(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-']);
    let all = |text: &str, test: fn(&u8) -> bool| {
        !text.is_empty() && text.bytes().all(|b| b == b'_' || test(&b))
    };
    if let Some(binary) = digits.strip_prefix("0b") {
        return all(binary, |b| matches!(b, b'0' | b'1'));
    }
    if all(digits, u8::is_ascii_digit) {
        return digits.bytes().all(|b| b < b'8' || b == b'_') || !digits.starts_with('0');
    }
    if let Some((mantissa, exponent)) = digits.split_once(['e', 'E']) {
        let exponent = exponent.trim_start_matches(['+', '-']);
        return mantissa.starts_with(|c: char| c.is_ascii_digit() || c == '.')
            && all(&mantissa.replacen('.', "", 1), u8::is_ascii_digit)
            && all(exponent, u8::is_ascii_digit);
    }
    let parts: Vec<&str> = digits.split(':').collect();
    let is_sixty = |part: &&str| part.len() <= 2 && part.parse::<u8>().is_ok_and(|n| n < 60);
    parts.len() > 1
        && all(parts[0], u8::is_ascii_digit)
        && !parts[0].starts_with('0')
        && parts[1..].iter().all(is_sixty)
}

fn is_timestamp(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00"
        || (shape.starts_with("0000-0")
            && shape.contains(':')
            && shape.chars().all(|c| "0-:. TtZz+".contains(c)))
}

/// A text in double quotes.
pub(super) fn double(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\0' => out.push_str("\\0"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            '\u{1b}' => out.push_str("\\e"),
            '\u{85}' => out.push_str("\\N"),
            '\u{2028}' => out.push_str("\\L"),
            '\u{2029}' => out.push_str("\\P"),
            c if c < ' ' || c == '\u{7f}' || ('\u{80}'..'\u{a0}').contains(&c) => {
                out.push_str(&format!("\\x{:02X}", u32::from(c)));
            }
            '\u{feff}' => out.push_str("\\uFEFF"),
            c => out.push(c),
        }
    }
    out.push('"');
}
