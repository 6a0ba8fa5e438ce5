//! What the command line prints: tables for people, JSON for programs.
//!
//! On failure: a result that cannot be written ends the command at once, never with success. A
//! reader that left (`| head`) ends it quietly with 141, as SIGPIPE ends other programs.

use pipeline::Diagnostic;
use serde_json::Value;
use std::{
    borrow::Cow,
    io::{self, ErrorKind, IsTerminal, Write},
};

/// 128 and the number of SIGPIPE, as shells tell it.
const READER_LEFT: i32 = 141;

/// A cell of a table holds this many characters at most. `--json` tells all.
const CELL_MAX: usize = 500;

/// Writes and flushes a result.
pub(crate) fn try_raw(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// The same for a command that has nothing to clear away.
#[expect(clippy::exit, reason = "as SIGPIPE would: no result of such a command is worth more")]
pub(crate) fn raw(bytes: &[u8]) {
    let Err(error) = try_raw(bytes) else { return };
    if error.kind() == ErrorKind::BrokenPipe {
        std::process::exit(READER_LEFT);
    }
    note(&format!("error: cannot write the result: {error}"));
    std::process::exit(1);
}

/// Standard output for what comes piece by piece; ends the command as [`raw`] does.
pub(crate) struct Out;

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        raw(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Aligned columns under their titles.
pub(crate) fn table(titles: &[&str], rows: &[Vec<String>]) {
    raw(aligned(titles, rows).as_bytes());
}

/// The same as text.
pub(crate) fn aligned(titles: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(|cell| shown(&cut(cell))).collect()).collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([titles[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..titles.len()).map(width).collect();
    let head: Vec<String> = titles.iter().map(|title| title.to_uppercase()).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    std::iter::once(&head).chain(&rows).map(line).collect()
}

/// The start of a text that is too long for a cell.
fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(CELL_MAX) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

/// What others wrote may not command the terminal: a control character is shown as `?`.
fn shown(text: &str) -> String {
    text.replace('\n', " ").replace(char::is_control, "?")
}

/// A value as indented JSON.
pub(crate) fn json(value: &Value) {
    raw(format!("{value:#}\n").as_bytes());
}

/// Lines of text.
pub(crate) fn line(text: &str) {
    raw(lines_shown(text).as_bytes());
}

/// A line for people, beside the result.
pub(crate) fn note(text: &str) {
    // Nobody can be told that notes cannot be written.
    let _ = writeln!(io::stderr(), "{text}");
}

/// The same for words that may be of others.
pub(crate) fn error(text: &str) {
    note(lines_shown(text).trim_end());
}

fn lines_shown(text: &str) -> String {
    text.split('\n').map(|line| shown(line) + "\n").collect()
}

/// Findings of a configuration, beside the result; in colours on a terminal, unless `NO_COLOR` is
/// set to anything.
pub(crate) fn diagnostics(found: &[Diagnostic]) {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colors = !is_plain && io::stderr().is_terminal();
    for diagnostic in found {
        note(&if colors { diagnostic.render_colored() } else { diagnostic.render() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_does_not_command_the_terminal() {
        let row = |cell: &str| vec![cell.to_owned()];
        let table = aligned(&["name"], &[row("a\u{1b}[2Kb\nc"), row("\u{9b}x")]);
        assert_eq!(table, "NAME\na?[2Kb c\n?x\n");
        assert_eq!(lines_shown("one\r\ntwo\u{7}"), "one?\ntwo?\n");
    }

    #[test]
    fn a_cell_that_is_too_long_is_cut() {
        let table = aligned(&["name", "is"], &[vec!["ä".repeat(70_000), "b".into()]]);
        let (cell, next) = table.lines().nth(1).unwrap().split_once("  ").unwrap();
        assert_eq!((cell, next), (("ä".repeat(500) + "…").as_str(), "b"));
    }
}
