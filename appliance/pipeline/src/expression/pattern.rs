//! Java-flavoured regular expressions on an engine that never backtracks.
//!
//! The whole text must match, as in the original. What the engine has under another spelling is
//! translated; assertions at the start (`^(?!main$).*`, by far the most used look-around) become a
//! second expression; what is left (back references, look-behind, possessive quantifiers) is
//! refused with its name.

use regex::Regex;
use std::{collections::HashMap, sync::Arc};

/// Different patterns of one compilation: compiling one takes up to some milliseconds.
const PATTERNS_MAX: usize = 1000;

/// Compiled size of one pattern; larger ones are attacks or mistakes.
const SIZE_MAX: usize = 256 << 10;

/// Longest pattern text.
const LENGTH_MAX: usize = 4096;

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pattern /{pattern}/: {reason}")]
pub(crate) struct PatternError {
    pattern: String,
    reason: String,
}

impl PatternError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> &'static str {
        "patterns are Java's regular expressions and must match the whole text, for example `release-.*`"
    }
}

/// The patterns of one compilation, each compiled once: the same filter stands on hundreds of jobs.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    known: HashMap<String, Result<Arc<Pattern>, PatternError>>,
}

impl Patterns {
    /// The pattern of a text, given without its slashes.
    pub(crate) fn get(&mut self, text: &str) -> Result<Arc<Pattern>, PatternError> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        if self.known.len() >= PATTERNS_MAX {
            let reason =
                format!("more than {PATTERNS_MAX} different patterns in one configuration");
            return Err(PatternError { pattern: text.chars().take(80).collect(), reason });
        }
        let compiled = Pattern::new(text).map(Arc::new);
        self.known.insert(text.to_owned(), compiled.clone());
        compiled
    }
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    whole: Regex,
    /// Look-aheads at the start: expression, and whether it must (not) match there.
    ahead: Vec<(Regex, bool)>,
}

impl Pattern {
    /// Compiles a pattern given without its slashes.
    fn new(pattern: &str) -> Result<Self, PatternError> {
        let error =
            |reason: String| PatternError { pattern: pattern.chars().take(80).collect(), reason };
        if pattern.len() > LENGTH_MAX {
            return Err(error(format!("longer than {LENGTH_MAX} characters")));
        }
        let (ahead, rest) = look_aheads(pattern);
        let compile = |text: &str, end: &str| {
            let text = translate(text).map_err(error)?;
            regex::RegexBuilder::new(&format!("^(?:{text}){end}"))
                .size_limit(SIZE_MAX)
                .build()
                .map_err(|cause| error(last_line(&cause.to_string())))
        };
        Ok(Self {
            whole: compile(rest, "$")?,
            ahead: ahead
                .into_iter()
                .map(|(text, wanted)| Ok((compile(text, "")?, wanted)))
                .collect::<Result<_, PatternError>>()?,
        })
    }

    /// Whether the whole text matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.ahead.iter().all(|(regex, wanted)| regex.is_match(text) == *wanted)
            && self.whole.is_match(text)
    }
}

fn last_line(text: &str) -> String {
    text.lines().last().unwrap_or(text).trim_start_matches("error: ").to_owned()
}

/// Splits look-aheads off the start: `^(?!a)(?=b)c` → [(a, false), (b, true)] and `c`.
fn look_aheads(pattern: &str) -> (Vec<(&str, bool)>, &str) {
    let mut rest = pattern.trim_start_matches('^');
    let mut list = vec![];
    // An alternation at the top level would make the assertion belong to its first branch alone.
    if top_level_alternation(pattern) {
        return (list, pattern);
    }
    while let Some(wanted) = match rest.get(..3) {
        Some("(?!") => Some(false),
        Some("(?=") => Some(true),
        _ => None,
    } {
        let Some(end) = closing(rest) else { break };
        list.push((&rest[3..end], wanted));
        rest = &rest[end + 1..];
    }
    if list.is_empty() { (list, pattern) } else { (list, rest) }
}

fn top_level_alternation(pattern: &str) -> bool {
    walk(pattern).any(|(_, c, depth)| c == '|' && depth == 0)
}

/// Index of the parenthesis that closes the one at the start.
fn closing(text: &str) -> Option<usize> {
    walk(text).find(|(_, c, depth)| *c == ')' && *depth == 0).map(|(at, ..)| at)
}

/// Characters outside of classes and escapes, with the depth of parentheses they stand in.
fn walk(text: &str) -> impl Iterator<Item = (usize, char, usize)> + '_ {
    let (mut depth, mut class, mut escaped) = (0_usize, false, false);
    text.char_indices().filter_map(move |(at, c)| {
        if std::mem::take(&mut escaped) {
            return None;
        }
        match c {
            '\\' => escaped = true,
            '[' => class = true,
            ']' => class = false,
            '(' if !class => {
                depth += 1;
                return Some((at, c, depth - 1));
            }
            ')' if !class => {
                depth = depth.saturating_sub(1);
                return Some((at, c, depth));
            }
            _ if !class => return Some((at, c, depth)),
            _ => {}
        }
        None
    })
}

/// Java's spelling to the engine's.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out)?,
            '(' if !in_class && chars.peek() == Some(&'?') => group(&mut chars, &mut out)?,
            '[' => {
                in_class = true;
                out.push(c);
            }
            ']' => {
                in_class = false;
                out.push(c);
            }
            '*' | '+' | '?' | '}' if !in_class && chars.peek() == Some(&'+') => {
                return Err(
                    "possessive quantifiers (`++`, `*+`) are not supported here; drop the last `+`"
                        .into(),
                );
            }
            _ => out.push(c),
        }
    }
    Ok(out)
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn group(chars: &mut Chars<'_>, out: &mut String) -> Result<(), String> {
    let ahead: String = chars.clone().take(3).collect();
    let refused = match ahead.as_str() {
        a if a.starts_with("?<=") || a.starts_with("?<!") => "look-behind",
        a if a.starts_with("?=") || a.starts_with("?!") => "look-ahead that is not at the start",
        a if a.starts_with("?>") => "an atomic group",
        _ => {
            out.push('(');
            return Ok(());
        }
    };
    Err(format!("{refused} is not supported here, because it can take exponential time"))
}

fn escape(chars: &mut Chars<'_>, out: &mut String) -> Result<(), String> {
    match chars.next() {
        None => return Err("ends in a backslash".into()),
        Some('d') => out.push_str("[0-9]"),
        Some('D') => out.push_str("[^0-9]"),
        Some('w') => out.push_str("[A-Za-z0-9_]"),
        Some('W') => out.push_str("[^A-Za-z0-9_]"),
        Some('s') => out.push_str(r"[ \t\n\x0B\f\r]"),
        Some('S') => out.push_str(r"[^ \t\n\x0B\f\r]"),
        Some('h') => out.push_str(r"[ \t\xA0]"),
        Some('R') => out.push_str(r"(?:\r\n|[\n\x0B\f\r])"),
        Some('Z') => out.push_str(r"\z"),
        Some('e') => out.push_str(r"\x1B"),
        Some('Q') => quotation(chars, out),
        Some(digit @ '1'..='9') => {
            return Err(format!(
                "the back reference \\{digit} is not supported here, because it can take exponential time"
            ));
        }
        Some('k') => return Err("named back references are not supported here".into()),
        Some('G') => return Err("`\\G` is not supported here".into()),
        Some(class @ ('p' | 'P')) => posix(class, chars, out),
        Some(c) if c.is_ascii_alphanumeric() => out.extend(['\\', c]),
        Some(c) => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
    }
    Ok(())
}

/// `\Q…\E`: everything between is literal.
fn quotation(chars: &mut Chars<'_>, out: &mut String) {
    let mut literal = String::new();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.peek() == Some(&'E') {
            chars.next();
            break;
        }
        literal.push(c);
    }
    out.push_str(&regex::escape(&literal));
}

/// `\p{Alpha}` and its like; others pass through as Unicode classes.
fn posix(class: char, chars: &mut Chars<'_>, out: &mut String) {
    const NAMES: [&str; 12] = [
        "Lower", "Upper", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl",
        "Space", "XDigit",
    ];
    let rest: String = chars.clone().take_while(|c| *c != '}').collect();
    let name = rest.strip_prefix('{').unwrap_or_default();
    if !NAMES.contains(&name) {
        out.extend(['\\', class]);
        return;
    }
    for _ in 0..=rest.chars().count() {
        chars.next();
    }
    let not = if class == 'P' { "^" } else { "" };
    out.push_str(&format!("[[:{not}{}:]]", name.to_ascii_lowercase()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(Pattern::new(pattern).unwrap().matches(text), expected, "/{pattern}/ on {text}");
    }

    #[test]
    fn the_whole_text_must_match() {
        check("main", "main", true);
        check("main", "maintenance", false);
        check("feature/.*", "feature/a", true);
        check(r"feature\/.*", "feature/a", true);
        check(r"^v\d+(\.\d+)*$", "v1.2.3", true);
        check(r"v\d", "v٣", false);
        check("a|b", "b", true);
        check(r"\Qa.b\E", "a.b", true);
        check(r"\Qa.b\E", "axb", false);
        check(r"\p{Alpha}+", "abc", true);
        check(r"[\w-]+", "a-b_c", true);
        check("(?i)MAIN", "main", true);
    }

    #[test]
    fn look_ahead_at_the_start_is_understood() {
        check("^(?!main$).*", "main", false);
        check("^(?!main$).*", "maintenance", true);
        check("^(?!pull/).*$", "pull/1", false);
        check("(?!a)(?=b).*", "bc", true);
        check("(?!a)(?=b).*", "ac", false);
    }

    #[test]
    fn what_could_take_exponential_time_is_refused_by_name() {
        for (pattern, words) in [
            (r"(a)\1", "back reference"),
            ("a(?!b)c", "look-ahead"),
            ("(?<=a)b", "look-behind"),
            ("a++", "possessive"),
            ("(?!a)|b", "look-ahead"),
            ("(", "unclosed group"),
            ("a{1000}{1000}", "size"),
        ] {
            let error = Pattern::new(pattern).unwrap_err().to_string();
            assert!(error.contains(words), "/{pattern}/: {error}");
        }
    }
}
