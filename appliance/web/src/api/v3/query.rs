//! The filter of `runs/search`: comparisons for equality, joined by `and`.
//!
//! Source: what the command line sends, such as
//! `pipeline.git.branch == "main" and pipeline.status == "failed"`; texts are quoted as in Go.
//! Invariants: pure; what is not understood is refused with what is.

use base::state::WorkflowState;

/// What a run must be to be found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) branch: Option<String>,
    pub(super) tag: Option<String>,
    pub(super) revision: Option<String>,
    pub(super) status: Option<WorkflowState>,
}

/// Reads a filter; an empty one takes everything.
pub(super) fn parse(text: &str) -> Result<Query, String> {
    let mut query = Query::default();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, value, after) = comparison(rest)?;
        put(&mut query, key, value)?;
        rest = match after.strip_prefix("and ") {
            Some(next) => next.trim_start(),
            None if after.is_empty() => after,
            None => return Err(unknown(after)),
        };
    }
    Ok(query)
}

fn unknown(place: &str) -> String {
    let place: String = place.chars().take(80).collect();
    format!(
        "filter: `{place}` is not understood: write `KEY == \"VALUE\"`, joined by `and`, of pipeline.git.branch, pipeline.git.tag, pipeline.git.revision and pipeline.status"
    )
}

/// Key, value, and what comes after.
fn comparison(text: &str) -> Result<(&str, String, &str), String> {
    let (key, rest) = text.split_once("==").ok_or_else(|| unknown(text))?;
    let quoted = rest.trim_start().strip_prefix('"').ok_or_else(|| unknown(text))?;
    let mut escaped = false;
    let is_end = |c: char| {
        let end = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    };
    let end = quoted.find(is_end).ok_or_else(|| unknown(text))?;
    // Go's quoting of what names of refs hold is JSON's.
    let value = serde_json::from_str(&format!("\"{}\"", &quoted[..end]));
    Ok((key.trim(), value.map_err(|_| unknown(text))?, quoted[end + 1..].trim_start()))
}

fn put(query: &mut Query, key: &str, value: String) -> Result<(), String> {
    match key {
        "pipeline.git.branch" => query.branch = Some(value),
        "pipeline.git.tag" => query.tag = Some(value),
        "pipeline.git.revision" => query.revision = Some(value),
        "pipeline.status" => {
            // What waits for a runner is running here.
            let name = if value == "queued" { "running" } else { value.as_str() };
            query.status = Some(name.parse().map_err(|_| unknown(&value))?);
        }
        other => return Err(unknown(other)),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str, Option<WorkflowState>)>) {
        let found = parse(text).ok();
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let expected = expected.map(|(branch, revision, status)| Query {
            branch: some(branch),
            revision: some(revision),
            status,
            tag: None,
        });
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn filters_are_read_as_the_command_line_writes_them() {
        check("", Some(("", "", None)));
        check(r#"pipeline.git.branch == "main""#, Some(("main", "", None)));
        check(
            r#"pipeline.git.branch == "a \"and\" b" and pipeline.status == "on_hold""#,
            Some((r#"a "and" b"#, "", Some(WorkflowState::OnHold))),
        );
        check(
            r#"pipeline.git.revision == "c0ffee" and pipeline.git.branch == "main""#,
            Some(("main", "c0ffee", None)),
        );
        check(r#"pipeline.git.branch == "main" or x"#, None);
        check(r#"pipeline.git.branch != "main""#, None);
        check(r#"pipeline.number == "1""#, None);
        check(r#"pipeline.status == "great""#, None);
        check(r#"pipeline.git.branch == "main"#, None);
        check("==", None);
    }
}
