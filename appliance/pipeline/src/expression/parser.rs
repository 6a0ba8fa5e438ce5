//! Tokens to a tree.

use super::{
    ExpressionError,
    lexer::{Token, tokens},
};
use crate::syntax::{Node, Span, Text, Value};

/// Parentheses and `not`s in a row; the original bounds logic at the same depth.
const DEPTH_MAX: usize = 100;

/// Operators of one expression. They nest to the left, and whoever walks the tree is recursive.
const OPERATORS_MAX: usize = 500;

/// An expression.
#[derive(Debug, Clone)]
pub(crate) enum Expr {
    Name(String),
    Literal(Node),
    /// A pattern written `/like this/`.
    Pattern(String),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
    Compare(&'static str, Box<Self>, Box<Self>),
}

/// Reads a whole text as an expression.
pub(crate) fn parse(text: &str, at: Span) -> Result<Expr, ExpressionError> {
    let (tokens, _) = tokens(text, false)?;
    Parser { text, tokens, next: 0, depth: 0, at }.whole()
}

/// Reads an expression that ends at `>>`, and says how many bytes it took with it.
pub(crate) fn parse_embedded(text: &str, at: Span) -> Result<(Expr, usize), ExpressionError> {
    let (tokens, length) = tokens(text, true)?;
    Ok((Parser { text, tokens, next: 0, depth: 0, at }.whole()?, length))
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
    at: Span,
}

impl Parser<'_> {
    fn whole(mut self) -> Result<Expr, ExpressionError> {
        let operators = self.tokens.iter().filter(|(token, _)| matches!(token, Token::Operator(_)));
        if operators.count() > OPERATORS_MAX {
            return Err(
                self.error(format!("more than {OPERATORS_MAX} operators in one expression"))
            );
        }
        let expr = self.or()?;
        match self.peek() {
            Token::End => Ok(expr),
            token => Err(self.error(format!("unexpected {} in an expression", name(token)))),
        }
    }

    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    /// A mistake at the token that is next.
    fn error(&self, message: impl Into<String>) -> ExpressionError {
        let at = self.tokens.get(self.next).map_or(self.text.len(), |(_, at)| *at);
        ExpressionError::syntax(message, &self.text[at..])
    }

    fn take(&mut self, operators: &[&'static str]) -> Option<&'static str> {
        match self.peek() {
            Token::Operator(found) if operators.contains(found) => {
                let found = *found;
                self.next += 1;
                Some(found)
            }
            _ => None,
        }
    }

    fn or(&mut self) -> Result<Expr, ExpressionError> {
        let mut left = self.and()?;
        while self.take(&["or"]).is_some() {
            left = Expr::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr, ExpressionError> {
        let mut left = self.comparison()?;
        while self.take(&["and"]).is_some() {
            left = Expr::And(Box::new(left), Box::new(self.comparison()?));
        }
        Ok(left)
    }

    fn comparison(&mut self) -> Result<Expr, ExpressionError> {
        const OPERATORS: [&str; 8] = ["==", "!=", ">=", "<=", ">", "<", "starts-with", "matches"];
        let left = self.not()?;
        match self.take(&OPERATORS) {
            Some(operator) => Ok(Expr::Compare(operator, Box::new(left), Box::new(self.not()?))),
            None => Ok(left),
        }
    }

    fn not(&mut self) -> Result<Expr, ExpressionError> {
        if self.take(&["not"]).is_none() {
            return self.operand();
        }
        self.deeper()?;
        let inner = self.not()?;
        self.depth -= 1;
        Ok(Expr::Not(Box::new(inner)))
    }

    fn deeper(&mut self) -> Result<(), ExpressionError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.error(format!("nested more than {DEPTH_MAX} levels deep")));
        }
        Ok(())
    }

    fn operand(&mut self) -> Result<Expr, ExpressionError> {
        let token = self.peek().clone();
        self.next += 1;
        let literal = |value| Ok(Expr::Literal(Node::new(value, self.at)));
        match token {
            Token::Name(name) if name == "true" => literal(Value::Bool(true)),
            Token::Name(name) if name == "false" => literal(Value::Bool(false)),
            Token::Name(name) if name == "null" => literal(Value::Null),
            Token::Name(name) => Ok(Expr::Name(name)),
            Token::Text(text) => literal(Value::Text(Text { text: text.into(), plain: false })),
            Token::Int(number) => literal(Value::Int(number)),
            Token::Float(number) => literal(Value::Float(number)),
            Token::Pattern(text) => Ok(Expr::Pattern(text)),
            Token::Open => self.group(),
            token => {
                self.next -= 1;
                Err(self.error(format!("expected a value, found {}", name(&token))))
            }
        }
    }

    fn group(&mut self) -> Result<Expr, ExpressionError> {
        self.deeper()?;
        let inner = self.or()?;
        self.depth -= 1;
        if *self.peek() != Token::Close {
            return Err(self.error(format!("expected `)`, found {}", name(self.peek()))));
        }
        self.next += 1;
        Ok(inner)
    }
}

fn name(token: &Token) -> String {
    match token {
        Token::Name(text) => format!("`{text}`"),
        Token::Text(text) => format!("\"{text}\""),
        Token::Int(number) => number.to_string(),
        Token::Float(number) => number.to_string(),
        Token::Pattern(text) => format!("/{text}/"),
        Token::Operator(text) => format!("`{text}`"),
        Token::Open => "`(`".into(),
        Token::Close => "`)`".into(),
        Token::End => "the end".into(),
    }
}
