//! Cache-key templates: `v1-{{ arch }}-{{ checksum "Cargo.lock" }}`.
//!
//! Parsing is pure and happens when a configuration is compiled; evaluation asks a [`Context`]
//! for what only the job's machine knows. Unknown functions are an error at compile time, before
//! a job runs for an hour and then cannot save its cache.

use std::fmt;

/// A template read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

/// Part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text as it is.
    Literal(String),
    /// `{{ .Branch }}`
    Branch,
    /// `{{ .BuildNum }}`
    BuildNum,
    /// `{{ .Revision }}`
    Revision,
    /// `{{ .CheckoutKey }}`
    CheckoutKey,
    /// `{{ .Environment.NAME }}`
    Environment(String),
    /// `{{ checksum "FILE" }}`, the path as written.
    Checksum(String),
    /// `{{ epoch }}`: seconds since 1970.
    Epoch,
    /// `{{ arch }}`: system and processor.
    Arch,
}

/// A template that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cache key template: {0}")]
pub struct TemplateError(String);

/// What a template asks for; the runner answers.
pub trait Context {
    /// Why a part has no value, for example a file that is missing.
    type Error;

    /// The text that a part (never a literal) stands for.
    ///
    /// # Errors
    /// The part has no value: a checksum of a file that cannot be read.
    fn value(&self, part: &Part) -> Result<String, Self::Error>;
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// An opened `{{` that is not closed, or an unknown name inside.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = vec![];
        let mut rest = text;
        while let Some(start) = rest.find("{{") {
            if start > 0 {
                parts.push(Part::Literal(rest[..start].into()));
            }
            let inner = &rest[start + 2..];
            let end = inner.find("}}").ok_or_else(|| {
                TemplateError(format!("`{{{{` without `}}}}` in `{}`", clip(text)))
            })?;
            parts.push(part(inner[..end].trim())?);
            rest = &inner[end + 2..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.into()));
        }
        Ok(Self { parts })
    }

    /// The parts in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The key.
    ///
    /// # Errors
    /// What the context answers for a part without value.
    pub fn evaluate<C: Context>(&self, context: &C) -> Result<String, C::Error> {
        let mut key = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => key.push_str(text),
                other => key.push_str(&context.value(other)?),
            }
        }
        Ok(key)
    }
}

fn part(text: &str) -> Result<Part, TemplateError> {
    // Go templates trim blanks around with a dash.
    let text = text.strip_prefix('-').unwrap_or(text);
    let text = text.strip_suffix('-').unwrap_or(text).trim();
    if let Some(name) = text.strip_prefix(".Environment.") {
        let is_name =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        return is_name.then(|| Part::Environment(name.into())).ok_or_else(|| unknown(text));
    }
    match text {
        ".Branch" => Ok(Part::Branch),
        ".BuildNum" => Ok(Part::BuildNum),
        ".Revision" => Ok(Part::Revision),
        ".CheckoutKey" => Ok(Part::CheckoutKey),
        "epoch" => Ok(Part::Epoch),
        "arch" => Ok(Part::Arch),
        _ => checksum(text).ok_or_else(|| unknown(text)),
    }
}

fn checksum(text: &str) -> Option<Part> {
    let argument = text.strip_prefix("checksum")?.trim();
    let quote = argument.chars().next().filter(|c| matches!(c, '"' | '`' | '\''))?;
    let path = argument.strip_prefix(quote)?.strip_suffix(quote)?;
    (!path.is_empty() && !path.contains(quote)).then(|| Part::Checksum(path.into()))
}

fn unknown(text: &str) -> TemplateError {
    TemplateError(format!("`{{{{ {} }}}}` is not known", clip(text)))
}

fn clip(text: &str) -> String {
    text.chars().take(60).collect()
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Branch => f.write_str("{{ .Branch }}"),
            Part::BuildNum => f.write_str("{{ .BuildNum }}"),
            Part::Revision => f.write_str("{{ .Revision }}"),
            Part::CheckoutKey => f.write_str("{{ .CheckoutKey }}"),
            Part::Environment(name) => write!(f, "{{{{ .Environment.{name} }}}}"),
            Part::Checksum(path) => write!(f, "{{{{ checksum \"{path}\" }}}}"),
            Part::Epoch => f.write_str("{{ epoch }}"),
            Part::Arch => f.write_str("{{ arch }}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Machine;

    impl Context for Machine {
        type Error = String;
        fn value(&self, part: &Part) -> Result<String, String> {
            match part {
                Part::Branch => Ok("main".into()),
                Part::Arch => Ok("arch1-linux-amd64-6_85".into()),
                Part::Environment(name) => Ok(format!("${name}")),
                Part::Checksum(path) if path == "lock" => Ok("abc=".into()),
                other => Err(format!("{other:?}")),
            }
        }
    }

    fn check(template: &str, expected: Result<&str, &str>) {
        let found =
            Template::parse(template).map_err(|e| e.to_string()).and_then(|t| t.evaluate(&Machine));
        assert_eq!(found.as_deref().map_err(String::as_str), expected, "{template}");
    }

    #[test]
    fn parts_are_replaced_by_their_values() {
        check("plain", Ok("plain"));
        check("v1-{{ .Branch }}-{{checksum \"lock\"}}", Ok("v1-main-abc="));
        check("{{ arch }}-{{ .Environment.CACHE }}", Ok("arch1-linux-amd64-6_85-$CACHE"));
        check("{{- .Branch -}}", Ok("main"));
        check("a}}b", Ok("a}}b"));
    }

    #[test]
    fn what_has_no_value_or_meaning_is_an_error() {
        check("{{ checksum \"gone\" }}", Err("Checksum(\"gone\")"));
        check("{{ .Brunch }}", Err("cache key template: `{{ .Brunch }}` is not known"));
        check("{{ checksum gone }}", Err("cache key template: `{{ checksum gone }}` is not known"));
        check("{{ .Branch", Err("cache key template: `{{` without `}}` in `{{ .Branch`"));
    }
}
