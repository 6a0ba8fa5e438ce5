//! Configuration errors with the lines they mean.
//!
//! Messages begin with `file:line:column: `; the source is that of the pipeline. Pure.

use maud::{Markup, html};
use store::runs::PipelineError;

/// Lines shown before the wrong one.
const BEFORE: usize = 2;

/// Errors shown; the first ones are what matters.
const SHOWN_MAX: usize = 50;

/// Where a message points.
#[derive(Debug, PartialEq, Eq)]
struct Place<'a> {
    file: &'a str,
    line: usize,
    column: usize,
    text: &'a str,
}

fn place(message: &str) -> Option<Place<'_>> {
    let (place, text) = message.split_once(": ")?;
    let mut parts = place.rsplitn(3, ':');
    let column = parts.next()?.parse().ok()?;
    let line = parts.next()?.parse().ok()?;
    Some(Place { file: parts.next()?, line, column, text })
}

/// All errors of a pipeline.
#[must_use]
pub(super) fn list(errors: &[PipelineError], source: Option<&str>) -> Markup {
    html! {
        section.errors aria-label="Configuration errors" {
            h2 { (errors.len()) " " @if errors.len() == 1 { "error" } @else { "errors" } " in the configuration" }
            @for error in errors.iter().take(SHOWN_MAX) { (one(error, source)) }
            @if errors.len() > SHOWN_MAX { p { "and " (errors.len() - SHOWN_MAX) " more" } }
        }
    }
}

fn one(error: &PipelineError, source: Option<&str>) -> Markup {
    let Some(place) = place(&error.message) else {
        return html! { article.error { p.error-text { (error.message) } } };
    };
    html! {
        article.error {
            p.error-text { (place.text) }
            p.error-place { code { (place.file) ":" (place.line) ":" (place.column) } }
            @if let Some(source) = source { (excerpt(source, &place)) }
        }
    }
}

fn excerpt(source: &str, place: &Place<'_>) -> Markup {
    let first = place.line.saturating_sub(1 + BEFORE);
    let lines: Vec<(usize, &str)> = source
        .lines()
        .enumerate()
        .skip(first)
        .take(place.line.saturating_sub(first))
        .map(|(index, line)| (index + 1, line))
        .collect();
    html! {
        @if lines.last().is_some_and(|(number, _)| *number == place.line) {
            pre.excerpt tabindex="0" {
                @for (number, line) in &lines {
                    @let class = if *number == place.line { "this" } else { "near" };
                    span class=(class) { b { (format!("{number:>4}")) } " " (line) } "\n"
                    @if *number == place.line {
                        span.caret { "     " (padding(line, place.column)) "^" } "\n"
                    }
                }
            }
        }
    }
}

/// Blanks up to the column; a tab stays one.
fn padding(line: &str, column: usize) -> String {
    let before = line.chars().take(column.saturating_sub(1));
    before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "version: 2.1\njobs:\n  build:\n    steps: 7\n";

    fn check(message: &str, expected: &str) {
        let error = PipelineError { kind: "config".into(), message: message.into() };
        let shown = one(&error, Some(SOURCE)).into_string();
        assert!(shown.contains(expected), "{shown}");
    }

    #[test]
    fn the_wrong_line_is_shown_with_a_caret_under_its_column() {
        check(
            ".circleci/config.yml:4:12: steps must be a list",
            "<span class=\"this\"><b>   4</b>     steps: 7</span>\n<span class=\"caret\">                ^</span>",
        );
        check(".circleci/config.yml:4:12: steps must be a list", "steps must be a list</p>");
    }

    #[test]
    fn a_message_without_a_place_is_shown_as_it_is() {
        check("no configuration at this commit", ">no configuration at this commit</p>");
        check("other.yml:99:1: beyond the end", ">beyond the end</p>");
        check("<b>: x", "&lt;b&gt;: x");
    }
}
