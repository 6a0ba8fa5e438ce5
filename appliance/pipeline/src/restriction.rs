//! Expressions that restrict a context: written once, decided for each job that asks for it.
//!
//! Source: "Expression restrictions" of the original's page on contexts, and its reference of
//! expressions. The language is that of `when`, with what differs there: names are pipeline values
//! and `job.ssh.enabled`; parameters are none of them, because who triggers a pipeline chooses
//! them; everything but `false` holds.
//! Invariants: an expression that cannot be decided does not hold. A value that the pipeline does
//! not have (the branch of a tag's) is unknown, and so is what depends on it: neither `x != "a"` nor
//! `not x` holds then, while `or` needs one side alone.
//! Failure: a [`RestrictionError`] with the place when it is written; a [`Ruling`] when it is asked.

mod decide;

use crate::{
    diagnostic::nearest,
    expression::{Expr, ExpressionError, parse, pattern::Patterns},
    request::Values,
    scope::NOWHERE,
};
use decide::{CHOSEN, CONFIG_SOURCE, Decider, SSH, holds, value};

/// Characters of one expression.
const LENGTH_MAX: usize = 4096;

/// Why an expression cannot restrict anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}: {hint}")]
pub struct RestrictionError {
    line: usize,
    column: usize,
    message: String,
    hint: String,
}

/// What an expression says of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ruling {
    /// The job may have the context.
    Holds,
    /// It may not.
    False,
    /// It may not, because this could not be decided.
    Undecided(String),
}

/// Whether an expression can be decided at all.
///
/// # Errors
/// The first fault, with line and column and what to write.
pub fn check_restriction(text: &str) -> Result<(), RestrictionError> {
    if text.trim().is_empty() || text.chars().count() > LENGTH_MAX {
        let message = format!("an expression has 1 to {LENGTH_MAX} characters");
        return Err(at(text, None, message, EXAMPLE.to_owned()));
    }
    let expr = parse(text, NOWHERE).map_err(|error| told(text, &error))?;
    check(&expr, text, &mut Patterns::default())
}

const EXAMPLE: &str = "write for example `pipeline.git.branch == \"main\" and not job.ssh.enabled`";

fn check(expr: &Expr, text: &str, patterns: &mut Patterns) -> Result<(), RestrictionError> {
    match expr {
        Expr::Literal(_) => Ok(()),
        Expr::Name(name) => check_name(name, text),
        Expr::Pattern(pattern) => {
            let message = "a /pattern/ can stand only after `matches`".to_owned();
            Err(at(text, Some(&format!("/{pattern}")), message, EXAMPLE.to_owned()))
        }
        Expr::Not(inner) => check(inner, text, patterns),
        Expr::And(left, right) | Expr::Or(left, right) => {
            check(left, text, patterns)?;
            check(right, text, patterns)
        }
        Expr::Compare(operator, left, right) => {
            check(left, text, patterns)?;
            match &**right {
                Expr::Pattern(pattern) if *operator == "matches" => {
                    let found = patterns.get(pattern).map(drop);
                    found.map_err(|error| told(text, &ExpressionError::Pattern(error)))
                }
                right => check(right, text, patterns),
            }
        }
    }
}

fn check_name(name: &str, text: &str) -> Result<(), RestrictionError> {
    let refused = |message: &str, hint: String| {
        Err(at(text, Some(name), format!("`{name}` {message}"), hint))
    };
    if name.starts_with("pipeline.parameters.") || name.starts_with(CHOSEN) {
        let hint = "restrict by what the pipeline builds, for example `pipeline.git.branch`";
        return refused("is chosen by who triggers a pipeline", hint.to_owned());
    }
    if value(name, &Values::default()).is_some() {
        return Ok(());
    }
    let known = Values::names().iter().map(|known| format!("pipeline.{known}"));
    let known: Vec<String> = known.chain([SSH.to_owned(), CONFIG_SOURCE.to_owned()]).collect();
    let hint = match nearest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are pipeline values (`pipeline.git.branch` …) and `{SSH}`"),
    };
    refused("is not a value of a pipeline or job", hint)
}

/// What an expression says of a job of the pipeline with these values.
#[must_use]
pub fn rule(text: &str, values: &Values) -> Ruling {
    let decided = check_restriction(text).map_err(|error| error.to_string()).and_then(|()| {
        let expr = parse(text, NOWHERE).map_err(|error| error.to_string())?;
        let mut decider = Decider::new(values);
        let found = decider.decide(&expr).map_err(|error| error.to_string())?;
        let unknown = decider.unknown.unwrap_or_default();
        found.ok_or_else(|| format!("this pipeline has no `{unknown}`"))
    });
    match decided {
        Ok(node) if holds(&node) => Ruling::Holds,
        Ok(_) => Ruling::False,
        Err(why) => Ruling::Undecided(why),
    }
}

/// An error of the language, with the place that it tells.
fn told(text: &str, error: &ExpressionError) -> RestrictionError {
    let needle = error.needle().map(str::to_owned);
    let message = error.to_string();
    if let ExpressionError::Syntax { rest, .. } = error {
        return place(text, text.len().saturating_sub(rest.len()), message, EXAMPLE.to_owned());
    }
    let hint = match error {
        ExpressionError::Pattern(error) => error.hint().to_owned(),
        _ => EXAMPLE.to_owned(),
    };
    at(text, needle.as_deref(), message, hint)
}

fn at(text: &str, needle: Option<&str>, message: String, hint: String) -> RestrictionError {
    let found = needle.and_then(|needle| text.find(needle)).unwrap_or(0);
    place(text, found, message, hint)
}

fn place(text: &str, offset: usize, message: String, hint: String) -> RestrictionError {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    RestrictionError { line, column, message, hint }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::trigger::ParameterValue;

    fn values(branch: &str, tag: &str) -> Values {
        let mut values = Values::default();
        values.set("git.branch", branch);
        values.set("git.tag", tag);
        values.put("number", ParameterValue::Integer(7));
        values.set("trigger.type", "webhook");
        values
    }

    fn check(text: &str, branch: &str, tag: &str, expected: &Ruling) {
        assert_eq!(&rule(text, &values(branch, tag)), expected, "{text} on `{branch}` `{tag}`");
    }

    const REFERENCE: &str = "pipeline.git.branch == \"main\"\n\tand not job.ssh.enabled\n\
                             and not (pipeline.config_source starts-with \"api\")";

    #[test]
    fn the_references_own_examples_are_decided() {
        check(REFERENCE, "main", "", &Ruling::Holds);
        check(REFERENCE, "dev", "", &Ruling::False);
        let two = "pipeline.git.branch == \"main\" or pipeline.git.branch starts-with \"integration-test\"";
        check(two, "integration-test-7", "", &Ruling::Holds);
        check(two, "dev", "", &Ruling::False);
        check("pipeline.number >= 7", "main", "", &Ruling::Holds);
        check("pipeline.git.tag matches /^v[0-9]+$/", "", "v7", &Ruling::Holds);
        check("pipeline.git.tag matches /^v[0-9]+$/", "", "v7x", &Ruling::False);
    }

    #[test]
    fn what_is_not_known_decides_nothing() {
        let unknown = |name: &str| Ruling::Undecided(format!("this pipeline has no `{name}`"));
        let (branch, tag) = ("pipeline.git.branch", "pipeline.git.tag");
        check("pipeline.git.branch != \"dev\"", "", "v1", &unknown(branch));
        check("not (pipeline.git.branch == \"dev\")", "", "v1", &unknown(branch));
        check("not pipeline.git.tag", "main", "", &unknown(tag));
        check("pipeline.schedule.name == \"x\"", "main", "", &unknown("pipeline.schedule.name"));
        let either = "pipeline.git.branch == \"main\" or pipeline.git.tag starts-with \"v\"";
        check(either, "main", "", &Ruling::Holds);
        check(either, "", "v1", &Ruling::Holds);
        check(either, "", "w1", &unknown(branch));
        check("pipeline.git.tag and false", "main", "", &Ruling::False);
    }

    #[test]
    fn everything_but_false_holds() {
        for (text, expected) in [
            ("true", Ruling::Holds),
            ("0", Ruling::Holds),
            ("\"\"", Ruling::Holds),
            ("not 0", Ruling::False),
            ("false", Ruling::False),
            ("not false", Ruling::Holds),
        ] {
            check(text, "main", "", &expected);
        }
    }

    #[test]
    fn an_operand_of_the_wrong_kind_closes() {
        for text in ["pipeline.git.branch > 3", "pipeline.number starts-with \"7\""] {
            let ruling = rule(text, &values("main", ""));
            assert!(
                matches!(&ruling, Ruling::Undecided(why) if why.contains("only")),
                "{ruling:?}"
            );
        }
    }

    #[test]
    fn a_fault_is_told_with_its_place_and_what_to_write() {
        for (text, expected) in [
            ("", "1:1: an expression has 1 to 4096 characters"),
            ("pipeline.git.branch == ", "1:24: expected a value, found the end"),
            ("true\nand pipeline.git.brunch == \"a\"", "2:5: `pipeline.git.brunch` is not"),
            ("pipeline.git.brunch", "did you mean `pipeline.git.branch`?"),
            ("job.ssh.enable", "did you mean `job.ssh.enabled`?"),
            ("true && false", "1:6: unexpected `&&` in an expression: write `and`"),
            ("pipeline.parameters.deploy", "is chosen by who triggers"),
            ("pipeline.trigger_parameters.webhook.body", "is chosen by who triggers"),
            ("parameters.x", "there are pipeline values"),
            ("pipeline.git.tag matches /(/", "unclosed group"),
            ("(true", "1:6: expected `)`"),
        ] {
            let told = check_restriction(text).unwrap_err().to_string();
            assert!(told.contains(expected), "{text}: {told}");
        }
        assert_eq!(check_restriction(REFERENCE), Ok(()));
    }
}
