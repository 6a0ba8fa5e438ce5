//! The `run` and `deploy` steps.

use super::{
    environment,
    reader::{self, Reader},
};
use crate::{
    diagnostic::{Code, nearest},
    report::Report,
    syntax::{Node, Span, Value},
    template::BROKEN,
};
use base::{
    limits::NO_OUTPUT_TIMEOUT,
    plan::{RunCommand, When},
};
use std::time::Duration;

/// Repeats of a failed step.
const RERUNS_MAX: i64 = 5;

/// Longest wait between repeats.
const RERUN_DELAY_MAX: Duration = Duration::from_secs(600);

const KEYS: [&str; 10] = [
    "command",
    "name",
    "shell",
    "environment",
    "background",
    "working_directory",
    "no_output_timeout",
    "when",
    "max_auto_reruns",
    "auto_rerun_delay",
];

/// A `run` step read: its name, when it runs and what.
pub(super) struct Run {
    pub name: String,
    pub when: When,
    pub command: RunCommand,
}

/// Reads the map form; the short form was turned into it by the expansion.
pub(super) fn read(node: &Node, at: Span, report: &mut Report) -> Option<Run> {
    if node.is_null() {
        report.error(
            Code::MissingKey,
            at,
            "required key [command] not found",
            "write `- run: COMMAND`, or indent its keys by four spaces",
        );
        return None;
    }
    if node.as_list().is_some() {
        let message = format!("expected type: Mapping, found: {}", node.schema_name());
        report.error(
            Code::WrongType,
            node.at,
            message,
            "write `run: COMMAND`; several lines of a script stand below `run: |`",
        );
        return None;
    }
    let mut map = Reader::of(node, report)?;
    map.only(&KEYS);
    let command = map.required_text("command");
    let name = map.text("name").filter(|name| !name.is_empty());
    let background = map.boolean("background");
    let max_auto_reruns = reruns(&mut map);
    let auto_rerun_delay = delay(&mut map, max_auto_reruns);
    if background && max_auto_reruns > 0 {
        map.report.error(
            Code::Value,
            map.at,
            "a background step cannot have max_auto_reruns",
            "remove one of the two keys",
        );
    }
    let no_output_timeout = timeout(&mut map);
    let when = when(&mut map);
    let environment = environment::read(map.get("environment"), map.report);
    let (shell, working_directory) = (map.text("shell"), map.text("working_directory"));
    let command = command?;
    Some(Run {
        name: name.unwrap_or_else(|| command.clone()),
        when,
        command: RunCommand {
            command,
            shell,
            environment,
            background,
            working_directory,
            no_output_timeout,
            max_auto_reruns,
            auto_rerun_delay,
        },
    })
}

/// `when:` of any step.
pub(super) fn when(map: &mut Reader<'_>) -> When {
    let Some(node) = map.get("when") else { return When::OnSuccess };
    match node.as_text() {
        Some("on_success") => When::OnSuccess,
        Some("on_fail") => When::OnFail,
        Some("always") => When::Always,
        Some(BROKEN) => When::OnSuccess,
        other => {
            let near = nearest(other.unwrap_or_default(), ["on_success", "on_fail", "always"]);
            let hint = near.map_or_else(
                || "`when` is on_success, on_fail or always".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            map.report.error(Code::Value, node.at, "Input not a valid enum value", hint);
            When::OnSuccess
        }
    }
}

fn reruns(map: &mut Reader<'_>) -> u8 {
    match map.get("max_auto_reruns").map(|node| (&node.value, node)) {
        None => 0,
        Some((Value::Int(number @ 0..=RERUNS_MAX), _)) => u8::try_from(*number).unwrap_or(0),
        Some((_, node)) => {
            map.report.error(
                Code::Value,
                node.at,
                "max_auto_reruns is not a number from 1 to 5",
                "write `max_auto_reruns: 3`",
            );
            0
        }
    }
}

fn delay(map: &mut Reader<'_>, reruns: u8) -> Duration {
    let Some(node) = map.get("auto_rerun_delay") else { return Duration::ZERO };
    let delay = span(node, map.report);
    if delay > RERUN_DELAY_MAX {
        map.report.error(
            Code::Value,
            node.at,
            "auto_rerun_delay is longer than 10m",
            "write at most `10m`",
        );
    }
    if reruns == 0 {
        map.report.error(
            Code::MissingKey,
            node.at,
            "auto_rerun_delay needs max_auto_reruns",
            "add `max_auto_reruns: 1`",
        );
    }
    delay.min(RERUN_DELAY_MAX)
}

fn timeout(map: &mut Reader<'_>) -> Duration {
    let Some(node) = map.get("no_output_timeout") else { return NO_OUTPUT_TIMEOUT };
    span(node, map.report)
}

fn span(node: &Node, report: &mut Report) -> Duration {
    let text = reader::text(node, report).unwrap_or_default();
    if text == BROKEN {
        return NO_OUTPUT_TIMEOUT;
    }
    parse_span(&text).unwrap_or_else(|| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let hint = match is_number {
            true => format!("write its unit: {text}s, {text}m or {text}h"),
            false => "write a number and its unit: 30s, 20m, 1.5h".to_owned(),
        };
        report.error(Code::Value, node.at, format!("'{text}' is not a span of time"), hint);
        NO_OUTPUT_TIMEOUT
    })
}

/// `20m`, `1.5h`, `1h30m`, `500ms`.
pub(crate) fn parse_span(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = 0.0_f64;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    // Beyond a year it is no time-out any more, and must not overflow.
    Duration::try_from_secs_f64(total.min(365.0 * 86_400.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u64>) {
        assert_eq!(parse_span(text).map(|span| span.as_secs()), expected, "{text}");
    }

    #[test]
    fn spans_are_numbers_with_units() {
        check("10m", Some(600));
        check("1.5h", Some(5400));
        check("1h30m", Some(5400));
        check("45s", Some(45));
        check("10", None);
        check("m", None);
        check("", None);
        check("9999999999999h", Some(365 * 86_400));
    }
}
