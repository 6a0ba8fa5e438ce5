//! A diagnostic on a terminal, plain or coloured.
//!
//! Invariant: what stands in a configuration cannot steer the terminal: control characters are
//! shown as their pictures. Colours only add to what is there already without them.

use super::{Diagnostic, Frame, Severity};
use std::fmt::Write as _;

/// Terminal sequences around parts of a finding; empty without colours.
struct Paint {
    severity: &'static str,
    strong: &'static str,
    faint: &'static str,
    help: &'static str,
    off: &'static str,
}

const PLAIN: Paint = Paint { severity: "", strong: "", faint: "", help: "", off: "" };

impl Diagnostic {
    /// For a terminal: place, code, message, the line with a caret, the calls, the remedy.
    #[must_use]
    pub fn render(&self) -> String {
        self.painted(&PLAIN)
    }

    /// The same with colours.
    #[must_use]
    pub fn render_colored(&self) -> String {
        let severity = match self.severity {
            Severity::Error => "\x1b[1;31m",
            Severity::Warning => "\x1b[1;33m",
        };
        self.painted(&Paint {
            severity,
            strong: "\x1b[1m",
            faint: "\x1b[2m",
            help: "\x1b[36m",
            off: "\x1b[0m",
        })
    }

    fn painted(&self, paint: &Paint) -> String {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let (code, off) = (self.code.as_str(), paint.off);
        let mut out = format!(
            "{strong}{}{off}: {color}{severity}[{code}]{off}: {strong}{}{off}\n",
            shown(&self.place()),
            shown(&self.message),
            strong = paint.strong,
            color = paint.severity,
        );
        if self.line > 0 {
            self.render_line(paint, &mut out);
        }
        // A call at the place itself says nothing new.
        let here = |frame: &&Frame| {
            (&frame.file, frame.line, frame.column) == (&self.file, self.line, self.column)
        };
        for frame in self.chain.iter().rev().filter(|frame| !here(frame)) {
            let Frame { kind, name, file, line, column } = frame;
            let text = shown(&format!("called from {kind} '{name}' at {file}:{line}:{column}"));
            let _ = writeln!(out, "  {}{text}{off}", paint.faint);
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(out, "  {}help:{off} {}", paint.help, shown(hint));
        }
        out
    }

    fn render_line(&self, paint: &Paint, out: &mut String) {
        let number = self.line.to_string();
        let gutter = " ".repeat(number.len());
        let before = usize::try_from(self.column.saturating_sub(1)).unwrap_or(0);
        // A tab before the caret stays a tab, or the caret would stand elsewhere.
        let padding: String = self
            .source_line
            .chars()
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        let Paint { faint, severity, off, .. } = paint;
        let line = shown(&self.source_line);
        let _ = writeln!(out, " {faint}{gutter} |{off}\n {faint}{number} |{off} {line}");
        let _ = writeln!(out, " {faint}{gutter} |{off} {padding}{severity}^{off}");
    }
}

/// Control characters as pictures; line ends and tabs stay.
fn shown(text: &str) -> String {
    let picture = |c: char| match u32::from(c) {
        9 | 10 => c,
        code @ 0..=31 => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}'),
        127 => '\u{2421}',
        128..=159 => '\u{fffd}',
        _ => c,
    };
    text.chars().map(picture).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Code;

    fn diagnostic(source_line: &str) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: Code::UnknownName,
            message: "Cannot find a definition for job named biuld".into(),
            file: "config.yml".into(),
            line: 12,
            column: 5,
            source_line: source_line.into(),
            chain: vec![],
            hint: Some("did you mean `build`?".into()),
        }
    }

    #[test]
    fn renders_the_line_with_a_caret() {
        assert_eq!(
            diagnostic("  - biuld").render(),
            "config.yml:12:5: error[unknown-name]: Cannot find a definition for job named biuld\n    \
             |\n 12 |   - biuld\n    |     ^\n  help: did you mean `build`?\n"
        );
    }

    #[test]
    fn colours_only_add() {
        let colored = diagnostic("  - biuld").render_colored();
        let pattern = regex::Regex::new("\x1b\\[[0-9;]*m").unwrap();
        assert_eq!(pattern.replace_all(&colored, ""), diagnostic("  - biuld").render());
        assert_ne!(colored, diagnostic("  - biuld").render());
    }

    #[test]
    fn a_configuration_cannot_steer_the_terminal() {
        let rendered = diagnostic("  - \x1b]0;x\x07\u{9b}2J").render();
        assert!(!rendered.contains(|c: char| c.is_control() && c != '\n'), "{rendered:?}");
    }
}
