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
    /// Matches the folders on the way to a match, each with a slash before it.
    folders: Regex,
    start: String,
}

/// A pattern as a regular expression.
#[derive(Debug, Default)]
struct Translated {
    regex: String,
    /// Where in it the slashes are between segments that match one folder each.
    slashes: Vec<usize>,
    /// What comes after the last of those may match folders of any depth.
    is_open: bool,
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
        let compiled = |body: &str| {
            regex::RegexBuilder::new(&format!(r"\A(?s:{body})\z"))
                .size_limit(SIZE_MAX)
                .build()
                .map_err(|_| error("too large".into()))
        };
        let (regex, folders) = (compiled(&body.regex)?, compiled(&body.folders())?);
        Ok(Self { regex, folders, start: start(plain) })
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

    /// Whether a match may lie below a relative folder. A walk need not enter others.
    #[must_use]
    pub fn may_lie_below(&self, folder: &str) -> bool {
        let folder = folder.strip_prefix("./").unwrap_or(folder);
        folder.is_empty() || self.folders.is_match(&format!("/{folder}"))
    }
}

impl Translated {
    /// An expression for all folders on the way: `a/b/c` gives `(?:/a(?:/b)?)?`.
    fn folders(&self) -> String {
        let start = |nth: usize| nth.checked_sub(1).map_or(0, |before| self.slashes[before] + 1);
        let segment = |nth: usize| &self.regex[start(nth)..self.slashes[nth]];
        let end = if self.is_open { "(?:/.*)?" } else { "" };
        let inwards = (0..self.slashes.len()).rev();
        inwards.fold(end.to_owned(), |inner, nth| format!("(?:/{}{inner})?", segment(nth)))
    }
}

fn start(pattern: &str) -> String {
    let wild = pattern.find(['*', '?', '[', '{', '\\']).unwrap_or(pattern.len());
    pattern[..wild].rfind('/').map(|end| pattern[..end].to_owned()).unwrap_or_default()
}

fn translate(pattern: &str, flavour: Flavour) -> Result<Translated, &'static str> {
    let Translated { regex: mut out, mut slashes, mut is_open } = Translated::default();
    let mut chars = pattern.chars().peekable();
    let mut depth = 0;
    let mut segment_start = true;
    while let Some(c) = chars.next() {
        let starts = std::mem::replace(&mut segment_start, c == '/');
        match c {
            '*' if flavour == Flavour::Tests && chars.peek() == Some(&'*') => {
                while chars.next_if_eq(&'*').is_some() {}
                is_open = true;
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
                is_open |= next == '/';
                literal(next, &mut out);
            }
            c => {
                is_open |= c == '/' && depth > 0;
                if c == '/' && !is_open {
                    slashes.push(out.len());
                }
                literal(c, &mut out);
            }
        }
    }
    if depth > 0 { Err("`{` without `}`") } else { Ok(Translated { regex: out, slashes, is_open }) }
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

    fn check_way(pattern: &str, on_the_way: &[&str], elsewhere: &[&str]) {
        let glob = Glob::new(pattern).unwrap();
        for (folders, expected) in [(on_the_way, true), (elsewhere, false)] {
            for folder in folders {
                assert_eq!(glob.may_lie_below(folder), expected, "{pattern} below {folder}");
            }
        }
    }

    #[test]
    fn a_walk_enters_only_folders_on_the_way_to_a_match() {
        check_way("*.rs", &[""], &["a", "a.rs", "a/b"]);
        check_way("a*/b?/*.rs", &["", "ab", "ab/bc", "./ab"], &["b", "ab/c", "ab/bc/d"]);
        check_way("/tmp/x*/c", &["", "/tmp", "/tmp/xy"], &["/etc", "/tmp/y", "/tmp/xy/c", "tmp"]);
        check_way("src/**/*.rs", &["", "src", "src/a", "src/a/b"], &["test", "srcs", "a/src"]);
        check_way("*/t**/x", &["a", "a/t", "a/tb/c/d"], &[]);
        check_way("{a,b}/c", &["", "a", "b"], &["c", "a/c", "a/b"]);
        check_way("a/{b,c/d}/e", &["", "a", "a/c", "a/c/d"], &["b", "ab"]);
        check_way(r"a\/b/c", &["", "a", "a/b"], &[]);
        check_way("[^/]x/y", &["ax"], &["a", "ax/y"]);
        check_way("**", &["", "a", "a/b"], &[]);
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
