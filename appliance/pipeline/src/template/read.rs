//! Texts to pieces: literals, expressions, sections.

use super::Piece;
use crate::{
    expression::{ExpressionError, parse_embedded},
    syntax::Span,
};

/// Sections inside sections.
const DEPTH_MAX: usize = 20;

/// Reads a text.
pub(crate) fn read(text: &str, at: Span) -> Result<Vec<Piece>, ExpressionError> {
    let mut reader = Reader { text, next: 0, at };
    let (pieces, _) = reader.pieces(0, None)?;
    Ok(pieces)
}

struct Reader<'a> {
    text: &'a str,
    next: usize,
    at: Span,
}

impl Reader<'_> {
    /// Pieces up to the end of the text, or to the closing tag of `section`.
    fn pieces(
        &mut self,
        depth: usize,
        section: Option<&str>,
    ) -> Result<(Vec<Piece>, ()), ExpressionError> {
        if depth > DEPTH_MAX {
            let message = format!("sections nested more than {DEPTH_MAX} deep");
            return Err(ExpressionError::syntax(message, &self.text[self.next..]));
        }
        let mut list = vec![];
        let mut literal = String::new();
        while let Some(offset) = self.text[self.next..].find("<<") {
            let start = self.next + offset;
            let before = &self.text[self.next..start];
            let slashes = before.len() - before.trim_end_matches('\\').len();
            literal.push_str(&before[..before.len() - slashes.div_ceil(2)]);
            self.next = start + 2;
            if slashes % 2 == 1 {
                literal.push_str("<<");
                continue;
            }
            let line_end = self.alone_on_its_line(start);
            if line_end.is_some() {
                literal.truncate(literal.trim_end_matches([' ', '\t']).len());
            }
            if !literal.is_empty() {
                list.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            match self.tag(depth, line_end)? {
                Tag::Piece(piece) => list.push(piece),
                Tag::Close(name) if section == Some(name.as_str()) => return Ok((list, ())),
                Tag::Close(name) => {
                    let message = format!("`<</ {name} >>` closes a section that is not open");
                    return Err(ExpressionError::syntax(message, &self.text[start..]));
                }
            }
        }
        if let Some(section) = section {
            let message =
                format!("the section of `{section}` is not closed: `<</ {section} >>` is missing");
            return Err(ExpressionError::syntax(message, section));
        }
        literal.push_str(&self.text[self.next..]);
        self.next = self.text.len();
        if !literal.is_empty() {
            list.push(Piece::Literal(literal));
        }
        Ok((list, ()))
    }

    /// For a section's tag that has its line for itself: where the next line starts. Such a line
    /// leaves nothing behind, as in the original (and in Mustache, whose sections these are).
    fn alone_on_its_line(&self, start: usize) -> Option<usize> {
        const BLANKS: [char; 3] = [' ', '\t', '\r'];
        let is_section = self.text[start + 2..].starts_with(['#', '^', '/']);
        let before = self.text[..start].trim_end_matches(BLANKS);
        if !is_section || !(before.is_empty() || before.ends_with('\n')) {
            return None;
        }
        let end = start + self.text[start..].find(">>")? + 2;
        let after = self.text[end..].trim_start_matches(BLANKS);
        let next = self.text.len() - after.len() + usize::from(after.starts_with('\n'));
        let is_alone = after.is_empty() || after.starts_with('\n');
        // A text of one line alone is no line to remove.
        (is_alone && self.text.contains('\n')).then_some(next)
    }

    /// What stands after `<<`; reading goes on behind it, or at `line_end`.
    fn tag(&mut self, depth: usize, line_end: Option<usize>) -> Result<Tag, ExpressionError> {
        let rest = &self.text[self.next..];
        let (kind, skip) = match rest.as_bytes().first() {
            Some(kind @ (b'#' | b'^' | b'/')) => (*kind, 1),
            _ => (b' ', 0),
        };
        let start = self.next + skip;
        let (expr, length) =
            parse_embedded(&self.text[start..], self.at).map_err(|error| self.explain(error))?;
        let name = self.text[start..start + length - 2].trim().to_owned();
        self.next = line_end.unwrap_or(start + length);
        Ok(match kind {
            b'/' => Tag::Close(name),
            b'#' | b'^' => {
                let (body, ()) = self.pieces(depth + 1, Some(&name))?;
                Tag::Piece(Piece::Section { condition: expr, negated: kind == b'^', body })
            }
            _ => Tag::Piece(Piece::Value(expr)),
        })
    }

    /// The original's words for what is most often a here-document: a `<<` whose line has no `>>`.
    fn explain(&self, error: ExpressionError) -> ExpressionError {
        let line = self.text[self.next..].lines().next().unwrap_or_default();
        match error {
            ExpressionError::Syntax { message, .. } if !line.contains(">>") => {
                let tag = line.chars().take(24).collect::<String>();
                ExpressionError::Unclosed { tag: format!("<<{tag}"), reason: message }
            }
            other => other,
        }
    }
}

enum Tag {
    Piece(Piece),
    Close(String),
}
