//! Hides secret values in output, however the bytes are cut into writes.
//!
//! Why: masking happens before the first byte reaches a disk or a socket, so that no later room
//! has to be trusted with it. Replacing within each read alone would show a secret that a pipe
//! happened to cut in two.
//! Invariants: the output does not depend on how the input was cut; of bytes that any secret
//! covers none is shown; overlapping hits become one `****`. Bytes that could be the beginning of
//! a secret are held back until what follows decides, at most the longest form of a secret.
//! Cost: nothing without secrets; with them, a look at each eighth byte, however many they are.

use finder::Finder;
use std::sync::Arc;

mod finder;
mod forms;
mod grams;

/// What stands in the place of a secret, as on the original service.
const MASK: &[u8] = b"****";

/// All forms of all secrets of one job, ready to be searched for.
#[derive(Clone)]
pub(crate) struct Patterns(Option<Arc<Compiled>>);

struct Compiled {
    finder: Finder,
    /// Sorted, without repetition.
    forms: Vec<Vec<u8>>,
    longest: usize,
}

impl Patterns {
    /// Prepares the search for these values; those shorter than four characters and the words
    /// for true and false are not secret, as on the original service.
    #[must_use]
    pub(crate) fn new<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut forms: Vec<Vec<u8>> = secrets.into_iter().flat_map(forms::of).collect();
        forms.sort_unstable();
        forms.dedup();
        if forms.is_empty() {
            return Self(None);
        }
        let longest = forms.iter().map(Vec::len).max().unwrap_or(0);
        let finder = Finder::new(&forms);
        Self(Some(Arc::new(Compiled { finder, forms, longest })))
    }

    /// There is nothing to hide: bytes may pass unread.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Hides the secrets of one whole text.
    #[must_use]
    pub(crate) fn mask(&self, text: &str) -> String {
        if self.is_empty() {
            return text.to_owned();
        }
        let mut masked = Vec::with_capacity(text.len());
        let mut stream = Stream::new(self.clone());
        stream.feed(text.as_bytes(), &mut masked);
        stream.finish(&mut masked);
        String::from_utf8_lossy(&masked).into_owned()
    }
}

/// The masking of one stream of bytes.
pub(crate) struct Stream {
    patterns: Patterns,
    /// Bytes that may begin a secret.
    held: Vec<u8>,
    /// How many of `held`, from its start, belong to a hit that was already told.
    covered: usize,
}

impl Stream {
    /// A stream at its beginning.
    #[must_use]
    pub(crate) fn new(patterns: Patterns) -> Self {
        Self { patterns, held: Vec::new(), covered: 0 }
    }

    /// Bytes pass as they are.
    #[must_use]
    pub(crate) fn hides_nothing(&self) -> bool {
        self.patterns.is_empty()
    }

    /// What is decided of `bytes` when nothing in it is to be hidden: it passes without a copy.
    /// `None` when it must be fed, because something is, or was held back before.
    pub(crate) fn clean<'a>(&mut self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let compiled = self.patterns.0.as_ref().filter(|_| self.held.is_empty())?;
        if !compiled.finder.hits(&compiled.forms, bytes).is_empty() {
            return None;
        }
        let (clean, held) = bytes.split_at(compiled.undecided_from(bytes));
        self.held.extend_from_slice(held);
        Some(clean)
    }

    /// Appends to `out` what of `bytes`, and of those held back before, is decided.
    pub(crate) fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        let Some(compiled) = self.patterns.0.clone() else {
            out.extend_from_slice(bytes);
            return;
        };
        if self.held.is_empty() {
            self.pass(&compiled, bytes, compiled.undecided_from(bytes), out);
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(bytes);
            self.pass(&compiled, &joined, compiled.undecided_from(&joined), out);
        }
    }

    /// Appends what was held back: nothing follows that could complete it.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(compiled) = self.patterns.0.clone() {
            let rest = std::mem::take(&mut self.held);
            self.pass(&compiled, &rest, rest.len(), out);
        }
    }

    fn pass(&mut self, compiled: &Compiled, bytes: &[u8], decided: usize, out: &mut Vec<u8>) {
        if decided == 0 {
            self.held = bytes.to_vec();
            return;
        }
        let told = std::mem::take(&mut self.covered);
        let mut at = 0;
        for (start, end) in compiled.spans(bytes, told) {
            if start >= decided {
                break;
            }
            out.extend_from_slice(&bytes[at..start]);
            if start > 0 || told == 0 {
                out.extend_from_slice(MASK);
            }
            at = end.min(decided);
            self.covered = end - at;
        }
        out.extend_from_slice(&bytes[at..decided.max(at)]);
        self.held = bytes[decided..].to_vec();
    }
}

impl Compiled {
    /// The runs of bytes that secrets cover, in order; `told` bytes at the start are one already.
    fn spans(&self, bytes: &[u8], told: usize) -> Vec<(usize, usize)> {
        let mut spans = if told > 0 { vec![(0, told)] } else { Vec::new() };
        spans.extend(self.finder.hits(&self.forms, bytes));
        spans.sort_unstable();
        spans.dedup_by(|next, run| {
            let joins = next.0 < run.1;
            if joins {
                run.1 = run.1.max(next.1);
            }
            joins
        });
        spans
    }

    /// The first place from which the bytes up to the end could still become a secret.
    fn undecided_from(&self, bytes: &[u8]) -> usize {
        let first = bytes.len().saturating_sub(self.longest - 1);
        (first..bytes.len())
            .find(|at| {
                let tail = &bytes[*at..];
                self.finder.may_continue(tail) && self.continues(tail)
            })
            .unwrap_or(bytes.len())
    }

    /// Some form is longer than `tail` and begins with it.
    fn continues(&self, tail: &[u8]) -> bool {
        let from = self.forms.partition_point(|form| form.as_slice() <= tail);
        self.forms.get(from).is_some_and(|form| form.starts_with(tail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is shown when each write is passed without a copy where that goes.
    fn clean_first(secrets: &[&str], writes: &[&str]) -> Vec<u8> {
        let mut stream = Stream::new(Patterns::new(secrets.iter().copied()));
        let mut out = Vec::new();
        for write in writes {
            match stream.clean(write.as_bytes()) {
                Some(clean) => out.extend_from_slice(clean),
                None => stream.feed(write.as_bytes(), &mut out),
            }
        }
        stream.finish(&mut out);
        out
    }

    fn check(secrets: &[&str], writes: &[&str], expected: &str) {
        let mut stream = Stream::new(Patterns::new(secrets.iter().copied()));
        let mut out = Vec::new();
        for write in writes {
            stream.feed(write.as_bytes(), &mut out);
        }
        stream.finish(&mut out);
        assert_eq!(String::from_utf8_lossy(&out), expected, "{secrets:?} {writes:?}");
        assert_eq!(String::from_utf8_lossy(&clean_first(secrets, writes)), expected, "clean first");
    }

    #[test]
    fn values_are_hidden_however_they_are_cut() {
        check(&["hunter2"], &["my hunter2 is hunter2\n"], "my **** is ****\n");
        check(&["hunter2"], &["my hu", "nt", "er", "2!"], "my ****!");
        check(&["hunter2"], &["my hunter"], "my hunter");
        check(&["hunter2"], &["hunthunter2"], "hunt****");
        check(&["abcd", "abcdef"], &["abcd", "ef."], "****.");
        check(&["abcd", "abcdef"], &["abcd", "e."], "****e.");
        check(&["abcd", "cdef"], &["abcd", "ef."], "****.");
        check(&["abcd"], &["abcdabcd"], "********");
        check(&["aaaa", "bbaa"], &["b", "b", "a", "a", "a"], "****a");
    }

    #[test]
    fn what_is_no_secret_passes() {
        check(&[], &["anything"], "anything");
        check(&["abc", "true", "FALSE", ""], &["abc true FALSE"], "abc true FALSE");
    }

    #[test]
    fn other_forms_of_a_value_are_hidden() {
        check(&["p@ss word"], &["p%40ss%20word p%40ss+word"], "**** ****");
        check(&["say \"hi\""], &[r#"{"x":"say \"hi\""}"#], r#"{"x":"****"}"#);
        check(&["line one\nline two"], &["echo line two; line one"], "echo ****; ****");
        // base64 of `hunter2`, and of it behind one and two other bytes.
        check(&["hunter2"], &["aHVudGVyMg=="], "****");
        check(&["hunter2"], &["eGh1bnRlcjI= eHhodW50ZXIy"], "eG****I= eHh****");
    }

    /// `printf %s "user:$TOKEN" | base64`, and the same by `openssl base64`.
    #[test]
    fn base64_in_lines_is_hidden() {
        let token = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ./";
        let wide = "dXNlcjowMTIzNDU2Nzg5YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXpBQkNERUZHSElKS0xNTk9Q\nUVJTVFVWV1hZWi4v\n";
        let narrow = "dXNlcjowMTIzNDU2Nzg5YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXpBQkNERUZH\nSElKS0xNTk9QUVJTVFVWV1hZWi4v\n";
        check(&[token], &[wide], "dXNlcjo****\n****\n");
        check(&[token], &[narrow], "dXNlcjo****\n****\n");
        let (left, right) = wide.split_at(70);
        check(&[token], &[left, right], "dXNlcjo****\n****\n");
    }

    proptest! {
        #[test]
        fn cutting_changes_nothing(
            secrets in prop::collection::vec("[ab]{4,6}", 1..3),
            text in "[abc]{0,60}",
            cut in 1usize..7,
        ) {
            let patterns = Patterns::new(secrets.iter().map(String::as_str));
            let mut stream = Stream::new(patterns.clone());
            let mut out = Vec::new();
            for part in text.as_bytes().chunks(cut) {
                stream.feed(part, &mut out);
            }
            stream.finish(&mut out);
            let out = String::from_utf8(out).unwrap();
            prop_assert_eq!(&out, &patterns.mask(&text));
            for secret in &secrets {
                prop_assert!(!out.contains(secret.as_str()), "{} in {}", secret, out);
            }
        }
    }
}
