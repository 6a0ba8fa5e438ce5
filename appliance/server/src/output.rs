//! What the command line prints: tables for people, JSON for programs.

#![expect(clippy::print_stdout, reason = "printing results is this module's purpose")]

use pipeline::Diagnostic;
use serde_json::Value;
use std::io::IsTerminal;

/// Aligned columns under their titles.
pub(crate) fn table(titles: &[&str], rows: &[Vec<String>]) {
    print!("{}", aligned(titles, rows));
}

/// The same as text.
pub(crate) fn aligned(titles: &[&str], rows: &[Vec<String>]) -> String {
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
    std::iter::once(&head).chain(rows).map(line).collect()
}

/// A value as indented JSON.
pub(crate) fn json(value: &Value) {
    println!("{value:#}");
}

/// A line of text.
pub(crate) fn line(text: &str) {
    println!("{text}");
}

/// Text as it is, flushed, for logs that are followed.
pub(crate) fn raw(bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// A line for people, beside the result.
#[expect(clippy::print_stderr, reason = "notes for people do not belong into the result")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// Findings of a configuration, beside the result; in colours on a terminal, unless `NO_COLOR` is
/// set to anything.
pub(crate) fn diagnostics(found: &[Diagnostic]) {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colors = !is_plain && std::io::stderr().is_terminal();
    for diagnostic in found {
        note(&if colors { diagnostic.render_colored() } else { diagnostic.render() });
    }
}
