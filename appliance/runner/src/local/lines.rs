//! Which lines of a task are printed when.
//!
//! Why: the reports of a short job are gathered and come after its output, yet a reader wants each
//! step's name above what it printed.
//! Invariants: pure; output waits for its step's name; a line that has no end waits for it, or for
//! the step's. What waits is bounded by what a step may print at all.

use std::collections::HashMap;

#[derive(Debug, Default)]
struct Step {
    named: bool,
    /// Output that is not printed yet.
    rest: Vec<u8>,
}

impl Step {
    /// Takes the lines that may be printed now.
    fn whole(&mut self) -> Vec<String> {
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        if !self.named || end == 0 {
            return Vec::new();
        }
        let whole: Vec<u8> = self.rest.drain(..end).collect();
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        lines.map(|line| text(line.strip_suffix(b"\n").unwrap_or(line))).collect()
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The steps of one task.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<u32, Step>);

impl Lines {
    /// A step has begun: its name, and what waited for it.
    pub(super) fn started(&mut self, step: u32, name: &str) -> Vec<String> {
        let step = self.0.entry(step).or_default();
        step.named = true;
        let marks = std::iter::once("── ").chain(std::iter::repeat("   "));
        let named = marks.zip(name.trim_end().lines()).map(|(mark, line)| format!("{mark}{line}"));
        named.chain(step.whole()).collect()
    }

    /// A step has printed.
    pub(super) fn printed(&mut self, step: u32, bytes: &[u8]) -> Vec<String> {
        let step = self.0.entry(step).or_default();
        step.rest.extend_from_slice(bytes);
        step.whole()
    }

    /// A step has ended: what is left of it.
    pub(super) fn ended(&mut self, step: u32) -> Vec<String> {
        let Some(mut step) = self.0.remove(&step) else { return Vec::new() };
        step.named = true;
        let mut lines = step.whole();
        if !step.rest.is_empty() {
            lines.push(text(&step.rest));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Came {
        Name(u32, &'static str),
        Output(u32, &'static str),
        End(u32),
    }
    use Came::{End, Name, Output};

    fn check(came: &[Came], expected: &[&str]) {
        let mut lines = Lines::default();
        let printed = came.iter().flat_map(|one| match one {
            Name(step, name) => lines.started(*step, name),
            Output(step, bytes) => lines.printed(*step, bytes.as_bytes()),
            End(step) => lines.ended(*step),
        });
        assert_eq!(printed.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_name_stands_above_what_its_step_printed() {
        check(&[Name(0, "one"), Output(0, "a\nb\n"), End(0)], &["── one", "a", "b"]);
        check(
            &[Output(0, "a\n"), Output(1, "b\n"), Name(0, "one"), End(0), Name(1, "two")],
            &["── one", "a", "── two", "b"],
        );
    }

    #[test]
    fn a_name_of_several_lines_is_printed_as_such() {
        check(
            &[Name(0, "cd x\n\nmake\n\n"), Output(0, "a\n")],
            &["── cd x", "   ", "   make", "a"],
        );
    }

    #[test]
    fn a_line_is_printed_whole() {
        check(&[Name(0, "one"), Output(0, "a"), Output(0, "b\nc")], &["── one", "ab"]);
        check(&[Name(0, "one"), Output(0, "a"), End(0)], &["── one", "a"]);
    }

    #[test]
    fn a_step_that_was_never_named_loses_nothing() {
        check(&[Output(0, "a\nb"), End(0)], &["a", "b"]);
    }
}
