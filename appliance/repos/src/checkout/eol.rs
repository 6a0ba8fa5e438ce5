//! Line ends by `.gitattributes`: a file with `eol=crlf` gets them in the working tree.
//!
//! The default here is LF, as on every machine that runs jobs; other filters (`ident`, LFS,
//! encodings) are left alone, as with a plain clone that has no filter installed.
//! Source: `gitattributes` of the Git documentation, "text" and "eol".

use crate::error::Error;
use gix_attributes::{
    Search, StateRef,
    search::{MetadataCollection, Outcome},
};
use gix_glob::pattern::Case;
use gix_object::bstr::BStr;
use std::path::Path;

/// How far a file is looked into to tell text from data, as Git does.
const SNIFF: usize = 8000;

/// The rules that hold in the folder at hand: those of all folders above it.
pub(super) struct Rules {
    search: Search,
    names: MetadataCollection,
    /// No file of rules so far speaks of line ends.
    is_silent: bool,
}

/// What the rules say of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conversion {
    None,
    /// To CRLF, whatever it holds.
    Always,
    /// To CRLF if it looks like text.
    IfText,
}

impl Rules {
    pub(super) fn new() -> Result<Self, Error> {
        let mut names = MetadataCollection::default();
        let none: [&Path; 0] = [];
        let search = Search::new_globals(none, &mut Vec::new(), &mut names)
            .map_err(Error::file("read", ".gitattributes"))?;
        Ok(Self { search, names, is_silent: true })
    }

    /// Enters a folder whose rules are `text`; `folder` ends with `/` or is empty.
    pub(super) fn enter(&mut self, folder: &str, text: &[u8]) -> Result<(), Error> {
        if text.windows(3).any(|word| word == b"eol") {
            self.is_silent = false;
        }
        let source = format!("{folder}.gitattributes");
        // Macros may be defined at the top only.
        let root = Some(Path::new(""));
        self.search
            .add_patterns_buffer(
                text,
                source.clone().into(),
                root,
                &mut self.names,
                folder.is_empty(),
            )
            .map_err(Error::file("read", source))
    }

    /// Leaves the folder that was entered last.
    pub(super) fn leave(&mut self) {
        self.search.pop_pattern_list();
    }

    /// The bytes of the file as they stand in the working tree; `None` when they stay.
    pub(super) fn convert(&self, path: &BStr, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_silent {
            return None;
        }
        let should = match self.conversion(path) {
            Conversion::None => false,
            Conversion::Always => true,
            Conversion::IfText => looks_like_plain_text(bytes),
        };
        should.then(|| to_crlf(bytes))
    }

    fn conversion(&self, path: &BStr) -> Conversion {
        let mut found = Outcome::default();
        found.initialize_with_selection(&self.names, ["text", "eol"]);
        self.search.pattern_matching_relative_path(path, Case::Sensitive, Some(false), &mut found);
        let mut states = found.iter_selected().map(|found| found.assignment.state);
        let (text, eol) = (states.next(), states.next());
        let is_crlf = matches!(eol, Some(StateRef::Value(value)) if value.as_bstr() == "crlf");
        match text {
            _ if !is_crlf => Conversion::None,
            Some(StateRef::Unset) => Conversion::None,
            Some(StateRef::Value(value)) if value.as_bstr() == "auto" => Conversion::IfText,
            _ => Conversion::Always,
        }
    }
}

/// Without carriage returns, and without the marks of data.
fn looks_like_plain_text(bytes: &[u8]) -> bool {
    !bytes.contains(&b'\r') && !bytes[..bytes.len().min(SNIFF)].contains(&0)
}

fn to_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut converted = Vec::with_capacity(bytes.len() + bytes.len() / 32);
    let mut last = 0;
    for byte in bytes {
        if *byte == b'\n' && last != b'\r' {
            converted.push(b'\r');
        }
        converted.push(*byte);
        last = *byte;
    }
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: &str, path: &str, bytes: &[u8], expected: &[u8]) {
        let mut all = Rules::new().unwrap();
        all.enter("", rules.as_bytes()).unwrap();
        let converted = all.convert(path.into(), bytes).unwrap_or_else(|| bytes.to_vec());
        assert_eq!(converted, expected, "{rules} {path}");
    }

    #[test]
    fn line_ends_follow_the_rules() {
        check("*.bat eol=crlf", "a/x.bat", b"a\nb\r\n", b"a\r\nb\r\n");
        check("*.bat eol=crlf", "x.sh", b"a\n", b"a\n");
        check("*.bat text eol=crlf", "x.bat", b"a\n", b"a\r\n");
        check("*.bat -text eol=crlf", "x.bat", b"a\n", b"a\n");
        check("* text=auto eol=crlf", "x", b"a\n\0", b"a\n\0");
        check("* text=auto eol=crlf", "x", b"a\n", b"a\r\n");
        check("* eol=crlf\n*.sh eol=lf", "x.sh", b"a\n", b"a\n");
        check("* eol=crlf\n*.png binary", "x.png", b"a\n", b"a\n");
        check("* text=auto", "x", b"a\n", b"a\n");
    }

    #[test]
    fn rules_of_a_folder_end_with_it() {
        let mut rules = Rules::new().unwrap();
        rules.enter("", b"").unwrap();
        rules.enter("win/", b"*.txt eol=crlf").unwrap();
        assert_eq!(rules.convert("win/a.txt".into(), b"a\n"), Some(b"a\r\n".to_vec()));
        assert_eq!(rules.convert("a.txt".into(), b"a\n"), None);
        rules.leave();
        assert_eq!(rules.convert("win/a.txt".into(), b"a\n"), None);
    }
}
