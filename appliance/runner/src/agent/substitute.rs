//! `circleci env subst`: puts the values of variables into a text.

use super::{AgentError, say};
use std::io::{self, Read};

/// A template larger than this is a mistake.
const TEXT_MAX: u64 = 64 << 20;

/// Substitutes in the arguments, or in standard input when there are none.
pub(super) fn run(text: &[&str]) -> Result<(), AgentError> {
    let variable = |name: &str| std::env::var(name).ok();
    if !text.is_empty() {
        return say(&format!("{}\n", substitute(&text.join(" "), variable)));
    }
    let mut input = String::new();
    io::stdin()
        .take(TEXT_MAX)
        .read_to_string(&mut input)
        .map_err(AgentError::failed("read the text"))?;
    say(&substitute(&input, variable))
}

/// `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:+other}` and `${NAME+other}`;
/// whatever else follows a dollar sign stays as it is.
pub(crate) fn substitute(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut done = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        done.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let (value, length) = reference(after, &variable).unwrap_or_else(|| ("$".into(), 0));
        done.push_str(&value);
        rest = &after[length..];
    }
    done + rest
}

/// The value of the reference at the start of `text`, and its length.
fn reference(text: &str, variable: &impl Fn(&str) -> Option<String>) -> Option<(String, usize)> {
    let Some(braced) = text.strip_prefix('{') else {
        let name = name_at(text)?;
        return Some((variable(name).unwrap_or_default(), name.len()));
    };
    let inner = &braced[..braced.find('}')?];
    let name = name_at(inner)?;
    let value = variable(name);
    let filled = value.clone().filter(|value| !value.is_empty());
    let operator = &inner[name.len()..];
    let value = match operator.as_bytes() {
        [] => value.unwrap_or_default(),
        [b':', b'-' | b'=', ..] => filled.unwrap_or_else(|| operator[2..].to_owned()),
        [b'-' | b'=', ..] => value.unwrap_or_else(|| operator[1..].to_owned()),
        [b':', b'+', ..] => filled.map_or_else(String::new, |_| operator[2..].to_owned()),
        [b'+', ..] => value.map_or_else(String::new, |_| operator[1..].to_owned()),
        _ => return None,
    };
    Some((value, inner.len() + 2))
}

fn name_at(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let name = &text[..end];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_').then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let variable = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        assert_eq!(substitute(text, variable), expected, "{text}");
    }

    #[test]
    fn variables_are_put_in() {
        check("x $A ${A}y $Ax", "x one oney ");
        check("${B:-two} ${EMPTY:-two} ${EMPTY-two} ${A:-two}", "two two  one");
        check("${A:+yes}${B:+yes}${EMPTY+yes}", "yesyes");
    }

    #[test]
    fn what_is_no_reference_stays() {
        check("$ $$ 5$ ${ ${} $1 ${A!}", "$ $$ 5$ ${ ${} $1 ${A!}");
    }
}
