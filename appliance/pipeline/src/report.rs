//! Collects diagnostics during a compilation.
//!
//! Why: stages never stop at the first error; they note it, put something harmless in its place
//! and go on. Invariants: the same finding at the same place is kept once (a job called ten times
//! tells its error once); the list is bounded.

use crate::{
    diagnostic::{Code, Diagnostic, Frame, Severity, nearest},
    expression::pattern::Patterns,
    syntax::{Map, SourceId, Span},
};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// More findings than this help nobody; the count of the rest is told.
const DIAGNOSTICS_MAX: usize = 200;

/// Text that all expressions of a compilation together may give: eight times the largest result.
const TEXT_MAX: usize = 64 << 20;

/// Calls from the outermost inwards: kind, name and place of each.
pub(crate) type Calls = Vec<(&'static str, Arc<str>, Span)>;

/// Longest source line that is shown whole.
const LINE_MAX: usize = 200;

/// Farthest place up to which a longer line is shown: a whole file may be one line.
const COLUMN_MAX: usize = 2000;

/// One text that is compiled.
struct Source {
    name: String,
    text: Arc<str>,
    starts: Vec<usize>,
}

/// A text's lines, by name.
#[derive(Default)]
pub(crate) struct Sources {
    list: Vec<Source>,
}

impl Sources {
    /// Adds a text; texts beyond 65,535 share the last id, which only costs them their line.
    pub(crate) fn add(&mut self, name: &str, text: Arc<str>) -> SourceId {
        let starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(i, _)| i + 1)).collect();
        self.list.push(Source { name: name.into(), text, starts });
        SourceId(u16::try_from(self.list.len() - 1).unwrap_or(u16::MAX))
    }

    pub(crate) fn name(&self, source: SourceId) -> &str {
        self.list.get(usize::from(source.0)).map_or("", |source| &source.name)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.list.iter().map(|source| source.name.clone()).collect()
    }

    pub(crate) fn text(&self, source: SourceId) -> Arc<str> {
        self.list.get(usize::from(source.0)).map_or_else(|| "".into(), |source| source.text.clone())
    }

    /// Where `needle` stands at or after `at`, within a scalar of that many lines; else `at`.
    pub(crate) fn locate(&self, at: Span, needle: &str, lines: usize) -> Span {
        // The opening line of a block scalar holds no text, and folding can join lines.
        let last = usize::try_from(at.line).unwrap_or(usize::MAX).saturating_add(lines + 1);
        for (number, line) in (at.line..).zip(usize::try_from(at.line).unwrap_or(usize::MAX)..=last)
        {
            let text = self.raw_line(at.source, line).unwrap_or_default();
            let skip = if number == at.line { at.column.saturating_sub(1) } else { 0 };
            let skip = usize::try_from(skip).unwrap_or(0);
            let start = text.char_indices().nth(skip).map_or(text.len(), |(index, _)| index);
            if let Some(found) = text[start..].find(needle) {
                let column = text[..start + found].chars().count() + 1;
                let column = u32::try_from(column).unwrap_or(u32::MAX);
                return Span { line: number, column, ..at };
            }
        }
        at
    }

    fn raw_line(&self, source: SourceId, line: usize) -> Option<&str> {
        let source = self.list.get(usize::from(source.0))?;
        source.text.get(*source.starts.get(line.checked_sub(1)?)?..)?.lines().next()
    }

    pub(crate) fn line(&self, at: Span) -> String {
        let line = usize::try_from(at.line).unwrap_or(usize::MAX);
        let text = self.raw_line(at.source, line).unwrap_or_default();
        let column = usize::try_from(at.column).unwrap_or(0);
        if text.len() <= LINE_MAX || (LINE_MAX..COLUMN_MAX).contains(&column) {
            return text.chars().take(LINE_MAX.max(column + 20)).collect();
        }
        text.chars().take(LINE_MAX).chain(['…']).collect()
    }
}

/// The collector.
pub(crate) struct Report {
    pub(crate) sources: Sources,
    list: Vec<Diagnostic>,
    seen: HashSet<(Code, String, Span)>,
    chain: Calls,
    errors: usize,
    dropped: usize,
    text_left: usize,
    /// Errors count as warnings: what is looked at now does not run.
    pub(crate) lenient: bool,
    pub(crate) patterns: Patterns,
    /// References to orbs that were not given.
    pub(crate) absent: Vec<String>,
    /// Which parameter the value written at a place was bound to first.
    pub(crate) bound: HashMap<Span, Arc<str>>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            sources: Sources::default(),
            list: vec![],
            seen: HashSet::new(),
            chain: vec![],
            errors: 0,
            dropped: 0,
            text_left: TEXT_MAX,
            lenient: false,
            patterns: Patterns::default(),
            absent: vec![],
            bound: HashMap::new(),
        }
    }
}

impl Report {
    /// Takes filled-in text from the compilation's budget; false when it is used up.
    pub(crate) fn spend_text(&mut self, bytes: usize) -> bool {
        let left = self.text_left.checked_sub(bytes);
        self.text_left = left.unwrap_or(0);
        left.is_some()
    }

    pub(crate) fn error(
        &mut self,
        code: Code,
        at: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Error, code, at, message.into(), Some(hint.into()));
    }

    /// The same with a remedy that is dear to find, and looked for only if it is told.
    pub(crate) fn error_with(
        &mut self,
        code: Code,
        at: Span,
        message: String,
        hint: impl FnOnce() -> String,
    ) {
        let hint = if self.is_told(code, &message, at) { String::new() } else { hint() };
        self.error(code, at, message, hint);
    }

    pub(crate) fn warn(
        &mut self,
        code: Code,
        at: Span,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(Severity::Warning, code, at, message.into(), Some(hint.into()));
    }

    pub(crate) fn add(
        &mut self,
        severity: Severity,
        code: Code,
        at: Span,
        message: String,
        hint: Option<String>,
    ) {
        let severity = if self.lenient { Severity::Warning } else { severity };
        self.errors += usize::from(severity == Severity::Error);
        if !self.seen.insert((code, message.clone(), at)) {
            return;
        }
        if self.is_full() {
            self.dropped += 1;
            return;
        }
        let chain = self.chain.iter().map(|(kind, name, at)| self.frame(kind, name, *at)).collect();
        self.list.push(Diagnostic {
            severity,
            code,
            message,
            file: self.sources.name(at.source).into(),
            line: at.line,
            column: at.column,
            source_line: self.sources.line(at),
            chain,
            hint,
        });
    }

    fn frame(&self, kind: &str, name: &str, at: Span) -> Frame {
        Frame {
            kind: kind.into(),
            name: name.into(),
            file: self.sources.name(at.source).into(),
            line: at.line,
            column: at.column,
        }
    }

    /// Whether telling this would be in vain: it is told already, or the list is full. Asked before
    /// a suggestion is looked for, which is dear.
    pub(crate) fn is_told(&self, code: Code, message: &str, at: Span) -> bool {
        self.is_full() || self.seen.contains(&(code, message.to_owned(), at))
    }

    /// Whether nothing more is told, but only counted.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= DIAGNOSTICS_MAX
    }

    /// Notes every key of `map` that is not among `known`.
    pub(crate) fn only(&mut self, map: &Map, known: &[&str], code: Code) {
        for entry in map.entries.iter().filter(|entry| !known.contains(&&*entry.key)) {
            let message = format!("extraneous key [{}] is not permitted", entry.key);
            let hint = || {
                nearest(&entry.key, known.iter().copied()).map_or_else(
                    || format!("permitted keys: {}", known.join(", ")),
                    |near| format!("did you mean `{near}`?"),
                )
            };
            self.error_with(code, entry.key_at, message, hint);
        }
    }

    /// Enters a call, so that findings name it, until [`Self::pop`].
    pub(crate) fn push(&mut self, kind: &'static str, name: &str, at: Span) {
        self.chain.push((kind, name.into(), at));
    }

    pub(crate) fn pop(&mut self) {
        self.chain.pop();
    }

    /// The calls entered since the chain had that depth.
    pub(crate) fn calls_since(&self, depth: usize) -> Calls {
        self.chain[depth.min(self.chain.len())..].to_vec()
    }

    /// Runs `work` as if these calls had been entered.
    pub(crate) fn within<T>(&mut self, calls: &Calls, work: impl FnOnce(&mut Self) -> T) -> T {
        let depth = self.chain.len();
        self.chain.extend(calls.iter().cloned());
        let done = work(self);
        self.chain.truncate(depth);
        done
    }

    /// How many errors so far; stages compare before and after.
    pub(crate) fn errors(&self) -> usize {
        self.errors
    }

    pub(crate) fn depth(&self) -> usize {
        self.chain.len()
    }

    /// All findings: errors first, each kind in the order of the file.
    pub(crate) fn finish(mut self) -> (Vec<Diagnostic>, Sources) {
        self.list.sort_by(|a, b| {
            (a.severity, a.file != self.sources.name(SourceId(0)), a.line, a.column).cmp(&(
                b.severity,
                b.file != self.sources.name(SourceId(0)),
                b.line,
                b.column,
            ))
        });
        if self.dropped > 0 {
            self.list.push(Diagnostic {
                severity: Severity::Error,
                code: Code::Limit,
                message: format!("{} further findings are not shown", self.dropped),
                file: self.sources.name(SourceId(0)).into(),
                line: 0,
                column: 0,
                source_line: String::new(),
                chain: vec![],
                hint: Some("correct those above first".into()),
            });
        }
        (self.list, self.sources)
    }
}
