//! Glob patterns: those of `circleci tests glob`, and the plainer ones of workspace paths.
//!
//! `*` and `?` stay within one segment, `**` crosses segments, `[a-z]` and `[!a]` are classes,
//! `{a,b}` alternatives, `\` escapes. Matching never backtracks: a pattern becomes an automaton.

use regex::Regex;

/// Longest pattern.
const LENGTH_MAX: usize = 4096;

/// Alternatives inside alternatives.
const DEPTH_MAX: usize = 20;

/// Size of the automaton.
const SIZE_MAX: usize = 1 << 20;

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("glob `{pattern}`: {reason}")]
pub struct GlobError {
    pattern: String,
    reason: String,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    regex: Regex,
    start: String,
}

/// Which patterns are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Tests,
    Workspace,
}

impl Glob {
    /// A pattern of `circleci tests glob`.
    ///
    /// # Errors
    /// A class or group that is not closed, or a pattern that is too large.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        Self::compile(pattern, Flavour::Tests)
    }

    /// A path of `persist_to_workspace`: no `**`, no `{}`.
    ///
    /// # Errors
    /// A class that is not closed, or a pattern that is too large.
    pub fn workspace(pattern: &str) -> Result<Self, GlobError> {
        Self::compile(pattern, Flavour::Workspace)
    }

    fn compile(pattern: &str, flavour: Flavour) -> Result<Self, GlobError> {
        let error =
            |reason: String| GlobError { pattern: pattern.chars().take(80).collect(), reason };
        if pattern.len() > LENGTH_MAX {
            return Err(error(format!("longer than {LENGTH_MAX} characters")));
        }
        let plain = pattern.strip_prefix("./").unwrap_or(pattern);
        let body = translate(plain, flavour).map_err(|reason| error(reason.into()))?;
        let regex = regex::RegexBuilder::new(&format!(r"\A(?s:{body})\z"))
            .size_limit(SIZE_MAX)
            .build()
            .map_err(|_| error("too large".into()))?;
        Ok(Self { regex, start: start(plain) })
    }

    /// Whether a relative path (with `/`) matches as a whole.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.regex.is_match(path.strip_prefix("./").unwrap_or(path))
    }

    /// The folder in which all matches lie, without wildcards; empty for the current one. A walk
    /// need not look elsewhere.
    #[must_use]
    pub fn start(&self) -> &str {
        &self.start
    }
}

fn start(pattern: &str) -> String {
    let wild = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    pattern[..wild].rfind('/').map(|end| pattern[..end].to_owned()).unwrap_or_default()
}

fn translate(pattern: &str, flavour: Flavour) -> Result<String, &'static str> {
    let mut out = String::new();
    let mut chars = pattern.chars().peekable();
    let mut depth = 0;
    let mut segment_start = true;
    while let Some(c) = chars.next() {
        let starts = std::mem::replace(&mut segment_start, c == '/');
        match c {
            '*' if flavour == Flavour::Tests && chars.peek() == Some(&'*') => {
                while chars.next_if_eq(&'*').is_some() {}
                // `**/` is any number of folders, none included.
                if starts && chars.next_if_eq(&'/').is_some() {
                    out.push_str("(?:[^/]+/)*");
                    segment_start = true;
                } else {
                    out.push_str(".*");
                }
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => class(&mut chars, &mut out)?,
            '{' if flavour == Flavour::Tests => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err("alternatives nested too deep");
                }
                out.push_str("(?:");
                segment_start = starts;
            }
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            ',' if depth > 0 => {
                out.push('|');
                segment_start = true;
            }
            '\\' => {
                let next = chars.next().ok_or("ends in a backslash")?;
                literal(next, &mut out);
            }
            c => literal(c, &mut out),
        }
    }
    if depth > 0 { Err("`{` without `}`") } else { Ok(out) }
}

fn literal(c: char, out: &mut String) {
    out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

fn class(
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    out: &mut String,
) -> Result<(), &'static str> {
    let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut body = String::new();
    let mut is_first = true;
    loop {
        match chars.next().ok_or("`[` without `]`")? {
            ']' if !is_first => break,
            '-' if !is_first && chars.peek() != Some(&']') => body.push('-'),
            '\\' => literal(chars.next().ok_or("ends in a backslash")?, &mut body),
            // Escaped by hand: in a class other characters are special than outside.
            c if c.is_alphanumeric() || !c.is_ascii() => body.push(c),
            c if c.is_ascii_control() => literal(c, &mut body),
            ' ' => body.push(' '),
            c => body.extend(['\\', c]),
        }
        is_first = false;
    }
    // Only a slash never matches.
    let (open, close) = if negated { ("[^/", "]") } else { ("[", "&&[^/]]") };
    out.push_str(open);
    out.push_str(&body);
    out.push_str(close);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, path: &str, expected: bool) {
        assert_eq!(Glob::new(pattern).unwrap().matches(path), expected, "{pattern} on {path}");
    }

    #[test]
    fn stars_stay_in_their_segment_and_double_stars_do_not() {
        check("*.go", "main.go", true);
        check("*.go", "cmd/main.go", false);
        check("**/*.go", "cmd/a/main.go", true);
        check("**/*.go", "main.go", true);
        check("tests/**/*.py", "tests/x.py", true);
        check("tests/**", "tests/a/b", true);
        check("./src/*.rs", "src/a.rs", true);
        check("src/*.rs", "./src/a.rs", true);
        check("a**b", "a/x/b", true);
    }

    #[test]
    fn classes_alternatives_and_escapes() {
        check("[a-c].rs", "b.rs", true);
        check("[!a-c].rs", "b.rs", false);
        check("[^/]x", "/x", false);
        check("{a,b/*}.rs", "b/x.rs", true);
        check("{a,b}.rs", "c.rs", false);
        check("src/{**/,}*_test.rs", "src/a/b_test.rs", true);
        check(r"\*.rs", "*.rs", true);
        check(r"\*.rs", "a.rs", false);
        check("a?c", "a/c", false);
        check("a.c", "abc", false);
        check("[]a]", "]", true);
        check("[a-]", "-", true);
    }

    #[test]
    fn a_walk_starts_where_all_matches_lie() {
        for (pattern, start) in [
            ("src/a/*.rs", "src/a"),
            ("*.rs", ""),
            ("src/**/x", "src"),
            ("/tmp/{a,b}", "/tmp"),
            ("a/b", "a"),
        ] {
            assert_eq!(Glob::new(pattern).unwrap().start(), start, "{pattern}");
        }
    }

    #[test]
    fn workspace_paths_are_plainer() {
        let matches = |pattern: &str, path: &str| Glob::workspace(pattern).unwrap().matches(path);
        assert!(matches("a*", "abc"));
        assert!(!matches("**", "a/b"));
        assert!(matches("{a,b}", "{a,b}"));
    }

    #[test]
    fn what_is_not_closed_is_refused() {
        for pattern in ["[a", "{a", "a\\"] {
            assert!(Glob::new(pattern).is_err(), "{pattern}");
        }
    }
}
