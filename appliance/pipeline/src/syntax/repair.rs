//! Quoted texts that YAML 1.2 refuses and the original reads.

use super::node::Span;

/// The text with the continuation lines of the quoted scalar at `at` indented further. The
/// original reads them wherever they start; their leading blanks mean nothing.
pub(super) fn indented(text: &str, at: Span) -> Option<String> {
    let line = usize::try_from(at.line).ok()?.checked_sub(1)?;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let column = usize::try_from(at.column).ok()?.checked_sub(1)?;
    let from = start + text[start..].char_indices().nth(column)?.0;
    let quote = text[from..].chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut escaped = false;
    let length = text[from + 1..].find(|c| {
        let ends = c == quote && !escaped;
        escaped = quote == '"' && c == '\\' && !escaped;
        ends
    })?;
    let (inner, rest) = text[from..].split_at(length + 1);
    let blanks = " ".repeat(column + 1);
    Some(format!("{}{}{rest}", &text[..from], inner.replace('\n', &format!("\n{blanks}"))))
}
