//! Text to tokens. Embedded expressions end at `>>`, bare ones at the end of the text.

use super::ExpressionError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Int(i64),
    Float(f64),
    Pattern(String),
    Operator(&'static str),
    Open,
    Close,
    End,
}

/// Tokens with their places up to the end, and the bytes read (with the closing `>>` when
/// `embedded`).
pub(super) fn tokens(
    text: &str,
    embedded: bool,
) -> Result<(Vec<(Token, usize)>, usize), ExpressionError> {
    let mut list: Vec<(Token, usize)> = vec![];
    let mut at = 0;
    loop {
        at += text[at..].len() - text[at..].trim_start().len();
        let rest = &text[at..];
        if rest.is_empty() {
            if embedded {
                return Err(ExpressionError::syntax("`<<` without its `>>`", text));
            }
            list.push((Token::End, at));
            return Ok((list, at));
        }
        if embedded && rest.starts_with(">>") {
            list.push((Token::End, at));
            return Ok((list, at + 2));
        }
        let (token, length) = next(rest, list.last().map(|(token, _)| token))?;
        list.push((token, at));
        at += length;
    }
}

fn next(rest: &str, previous: Option<&Token>) -> Result<(Token, usize), ExpressionError> {
    for operator in ["==", "!=", ">=", "<=", ">", "<"] {
        if rest.starts_with(operator) {
            return Ok((Token::Operator(operator), operator.len()));
        }
    }
    match rest.as_bytes()[0] {
        b'(' => Ok((Token::Open, 1)),
        b')' => Ok((Token::Close, 1)),
        quote @ (b'"' | b'\'') => quoted(rest, char::from(quote)).map(|(t, n)| (Token::Text(t), n)),
        // A slash opens a pattern only after `matches`, so that it is no surprise elsewhere.
        b'/' if previous == Some(&Token::Operator("matches")) || previous.is_none() => {
            quoted(rest, '/').map(|(text, n)| (Token::Pattern(text), n))
        }
        b'0'..=b'9' | b'-' => number(rest),
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => Ok(word(rest)),
        _ => Err(ExpressionError::syntax(unexpected(rest), rest)),
    }
}

/// What other languages write, with this one's word for it.
fn unexpected(rest: &str) -> String {
    const OTHERS: [(&str, &str); 4] = [("=", "=="), ("&&", "and"), ("||", "or"), ("!", "not")];
    let found: String = rest.chars().take(1).collect();
    match OTHERS.iter().find(|(other, _)| rest.starts_with(other)) {
        Some((other, own)) => format!("unexpected `{other}` in an expression: write `{own}`"),
        None => format!("unexpected `{found}` in an expression"),
    }
}

/// A text between two `quote`s. In patterns a backslash stays, but for `\/`.
fn quoted(rest: &str, quote: char) -> Result<(String, usize), ExpressionError> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Ok((text, at + 1));
        }
        if c != '\\' {
            text.push(c);
            continue;
        }
        match chars.next() {
            Some((_, next)) if next == quote || (quote != '/' && next == '\\') => text.push(next),
            Some((_, 'n')) if quote != '/' => text.push('\n'),
            Some((_, 't')) if quote != '/' => text.push('\t'),
            Some((_, next)) => text.extend(['\\', next]),
            None => break,
        }
    }
    Err(ExpressionError::syntax(format!("`{quote}` is opened and never closed"), rest))
}

fn number(rest: &str) -> Result<(Token, usize), ExpressionError> {
    let digits =
        rest[1..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(rest.len(), |n| n + 1);
    let text = &rest[..digits];
    let token = text
        .parse()
        .map(Token::Int)
        .or_else(|_| text.parse().map(Token::Float))
        .map_err(|_| ExpressionError::syntax(format!("`{text}` is not a number"), rest))?;
    Ok((token, digits))
}

fn word(rest: &str) -> (Token, usize) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let length = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
    let token = match &rest[..length] {
        "and" => Token::Operator("and"),
        "or" => Token::Operator("or"),
        "not" => Token::Operator("not"),
        "matches" => Token::Operator("matches"),
        "starts-with" => Token::Operator("starts-with"),
        name => Token::Name(name.into()),
    };
    (token, length)
}
