//! Values between quotes: of JSON, and of the shell.

/// What `printf %q` of bash puts a backslash before.
const ESCAPED: &str = " !\"$&'()*,;<>?[\\]^`{|}";

/// `value` in JSON, and as shells quote it.
pub(super) fn of(value: &str) -> [String; 5] {
    [json(value), single(value), double(value), escaped(value), dollar(value)]
}

fn json(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// Between single quotes.
fn single(value: &str) -> String {
    value.replace('\'', r"'\''")
}

/// Between double quotes, as `declare -p` tells a variable.
fn double(value: &str) -> String {
    with_backslashes(value, |_, c| matches!(c, '"' | '\\' | '$' | '`'))
}

/// Without quotes, as bash's `printf %q` has it.
fn escaped(value: &str) -> String {
    with_backslashes(value, |before, c| {
        let at_start = before.is_none() && matches!(c, '#' | '~');
        let home = c == '~' && matches!(before, Some(':' | '='));
        ESCAPED.contains(c) || at_start || home
    })
}

/// With a backslash before each character of which that is said, seeing what stands before it.
fn with_backslashes(value: &str, is_escaped: impl Fn(Option<char>, char) -> bool) -> String {
    let mut text = String::with_capacity(value.len());
    let mut before = None;
    for c in value.chars() {
        if is_escaped(before, c) {
            text.push('\\');
        }
        text.push(c);
        before = Some(c);
    }
    text
}

/// Between `$'` and `'`: bash's way with values that have line ends or other control characters.
fn dollar(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '\x07' => text.push_str("\\a"),
            '\x08' => text.push_str("\\b"),
            '\t' => text.push_str("\\t"),
            '\n' => text.push_str("\\n"),
            '\x0b' => text.push_str("\\v"),
            '\x0c' => text.push_str("\\f"),
            '\r' => text.push_str("\\r"),
            '\x1b' => text.push_str("\\E"),
            '\'' | '\\' => text.extend(['\\', c]),
            c if c.is_ascii_control() => text.push_str(&format!("\\{:03o}", u32::from(c))),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, form: &str) {
        assert!(of(value).iter().any(|found| found == form), "{value:?}: {form:?}");
    }

    /// Each as bash 5.2 printed it.
    #[test]
    fn shells_quote_in_several_ways() {
        check("pa ss$word!", r"pa\ ss\$word\!");
        check("#x~y:~z", r"\#x~y:\~z");
        check("a'\n\\b", r"a\'\n\\b");
        check("a\x1b\x07\x01\x7fb", r"a\E\a\001\177b");
        check("it's", r"it'\''s");
        check("a\"b$c`d\\e!", "a\\\"b\\$c\\`d\\\\e!");
        check("say \"hi\"", r#"say \"hi\""#);
    }
}
