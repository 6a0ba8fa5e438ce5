//! A step's output: a window of lines, more on demand, the whole as a download, live as a stream.
//!
//! Why windows: a million lines stop a browser; the last ones are what a person wants.
//! Invariants: line numbers count from 1 for people and from 0 inside; what a build printed is
//! escaped by [`crate::ansi`]; a download is plain text and never rendered.

use crate::{
    State,
    access::{Routes, Viewer},
    ansi::Terminal,
    error::Failure,
    found,
};
use axum::{
    body::Body,
    extract::{Path, Query},
    response::{IntoResponse, Response},
};
use base::{ids::TaskId, state::StepState, units::Bytes};
use engine::logs::READ_MAX;
use futures_util::stream;
use http::header;
use maud::{Markup, PreEscaped, html};
use serde::Deserialize;
use std::ops;
use store::runs::{Step, family};

/// Lines of a window on a page.
const WINDOW: u64 = 300;

/// Lines of one answer to the script.
const LINES_MAX: u64 = 2000;

/// Lines shown before one that is linked to.
const BEFORE: u64 = 20;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/tasks/{task}/steps/{step}/lines", lines)
        .get("/tasks/{task}/steps/{step}/raw", raw)
}

/// Some lines of a step.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Number of the first, from 0.
    pub(crate) first: u64,
    /// As HTML.
    pub(crate) lines: Vec<String>,
    /// Line breaks there are so far.
    pub(crate) total: u64,
}

/// The window around a line (from 1) if there is such a line, or the last lines.
pub(super) async fn window(
    state: &State,
    step: &Step,
    line: Option<u64>,
) -> Result<Window, Failure> {
    if let Some(line) = line {
        let first = line.saturating_sub(BEFORE);
        let around = read(state, step.task, step.step, first, WINDOW + BEFORE).await?;
        if !around.lines.is_empty() {
            return Ok(around);
        }
    }
    newest(state, step.task, step.step, WINDOW).await
}

/// The last `count` lines that have their end, and the one that has none yet; of very long ones only
/// the last [`READ_MAX`] bytes.
async fn newest(state: &State, task: TaskId, step: u32, count: u64) -> Result<Window, Failure> {
    // Asking for no line tells how many there are.
    let total = state.logs.read_lines(task, step, 0, 0).await?.total;
    let found = state.logs.read_lines(task, step, total.saturating_sub(count), 0).await?;
    let (start, size) = (found.chunk.offset, found.chunk.size);
    let from = start.max(size.saturating_sub(READ_MAX));
    let bytes = state.logs.read(task, step, from..size).await?.bytes;
    let whole = if from > start { after_break(&bytes) } else { 0 };
    let lines = bytes.get(whole..).unwrap_or_default();
    let breaks = memchr::memchr_iter(b'\n', lines).count() as u64;
    Ok(Window { first: found.total.saturating_sub(breaks), lines: html(lines), total: found.total })
}

/// Where the first whole line begins; 0 where there is none.
fn after_break(bytes: &[u8]) -> usize {
    memchr::memchr(b'\n', bytes).map_or(0, |place| place + 1)
}

fn html(bytes: &[u8]) -> Vec<String> {
    let mut terminal = Terminal::default();
    let mut lines = terminal.feed(bytes);
    lines.extend(terminal.rest());
    lines
}

/// Lines `first` and following, as many of `count` as are in [`READ_MAX`] bytes.
pub(crate) async fn read(
    state: &State,
    task: TaskId,
    step: u32,
    first: u64,
    count: u64,
) -> Result<Window, Failure> {
    let found = state.logs.read_lines(task, step, first, count).await?;
    let mut bytes = found.chunk.bytes.as_slice();
    if found.chunk.offset + (bytes.len() as u64) < found.chunk.size {
        // A line that was cut is left to the next answer, unless it is the only one.
        let whole = memchr::memrchr(b'\n', bytes).map_or(bytes.len(), |place| place + 1);
        bytes = bytes.get(..whole).unwrap_or_default();
    }
    Ok(Window { first: found.first, lines: html(bytes), total: found.total })
}

/// May `user` see this task?
async fn reach(state: &State, user: &crate::access::User, task: TaskId) -> Result<(), Failure> {
    let job = family::job_of(task);
    let job = state.store.read(move |reader| found::job(reader, job)).await?;
    user.reach(job.ok_or_else(|| Failure::missing("Step"))?.project)
}

#[derive(Debug, Deserialize)]
struct Range {
    /// From 0; the last `count` lines without it.
    first: Option<u64>,
    count: u64,
}

/// Lines as list items, for the script.
async fn lines(
    Viewer(user): Viewer,
    state: State,
    Path((task, step)): Path<(TaskId, u32)>,
    Query(range): Query<Range>,
) -> Result<Markup, Failure> {
    reach(&state, &user, task).await?;
    let count = range.count.min(LINES_MAX);
    let window = match range.first {
        Some(first) => read(&state, task, step, first, count).await?,
        None => newest(&state, task, step, count).await?,
    };
    Ok(items(step, &window))
}

/// The whole output as it came.
async fn raw(
    Viewer(user): Viewer,
    state: State,
    Path((task, step)): Path<(TaskId, u32)>,
) -> Result<Response, Failure> {
    reach(&state, &user, task).await?;
    let size = state.logs.read(task, step, 0..0).await?.size;
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_LENGTH, size.to_string()),
        (header::CONTENT_DISPOSITION, format!("inline; filename=\"step-{step}.log\"")),
    ];
    Ok((headers, output(state, task, step, 0..size)).into_response())
}

/// Output of a step, read as it is sent.
pub(crate) fn output(state: State, task: TaskId, step: u32, bytes: ops::Range<u64>) -> Body {
    Body::from_stream(stream::try_unfold(bytes.start, move |offset| {
        let state = state.clone();
        async move {
            let chunk = state.logs.read(task, step, offset..bytes.end).await?;
            let next = offset + chunk.bytes.len() as u64;
            let part = (!chunk.bytes.is_empty()).then_some((chunk.bytes, next));
            Ok::<_, engine::logs::LogError>(part)
        }
    }))
}

fn items(step: u32, window: &Window) -> Markup {
    html! {
        @for (index, line) in window.lines.iter().enumerate() {
            @let number = window.first + index as u64 + 1;
            li id=(format!("S{step}L{number}")) value=(number) {
                a href=(format!("#S{step}L{number}")) tabindex="-1" aria-label=(format!("Line {number}")) { (number) }
                code { (PreEscaped(line)) }
            }
        }
    }
}

/// What stands inside a step: tools and lines, or a link that opens it.
pub(super) fn panel(step: &Step, window: Option<&Window>, permalink: &str) -> Markup {
    let address = format!("/tasks/{}/steps/{}", step.task, step.step);
    let is_live = step.state == StepState::Running;
    let name = format!("Output of {}", step.name);
    html! {
        div.log-panel data-keep data-log=(address) data-name=(name) data-first=[window.map(|w| w.first)]
            data-total=[window.map(|w| w.total)] data-live-log[is_live] {
            div.log-tools {
                @if let Some(window) = window {
                    @if window.first > 0 {
                        a.earlier href=(earlier(permalink, window.first)) { "Earlier lines (" (window.first) ")" }
                    }
                }
                span.grow {}
                a.tool href=(permalink) aria-label=(format!("Link to the step {}", step.name)) { "Link" }
                a.tool href=(format!("{address}/raw")) aria-label=(format!("Raw {}", name.to_lowercase())) { "Raw" @if step.output_bytes > 0 { " · " (Bytes(step.output_bytes)) } }
            }
            @match window {
                Some(window) => ol.log tabindex="0" aria-label=(name) { (items(step.step, window)) },
                None => p.log-closed { a href=(permalink) { "Show the output" } },
            }
        }
    }
}

fn earlier(permalink: &str, first: u64) -> String {
    let line = first.saturating_sub(WINDOW - BEFORE).max(1);
    permalink.replacen('#', &format!("&line={line}#"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_from_one_and_can_be_linked() {
        let window = Window { first: 119, lines: vec!["a".into(), "b".into()], total: 200 };
        let shown = items(3, &window).into_string();
        assert!(
            shown.starts_with("<li id=\"S3L120\" value=\"120\"><a href=\"#S3L120\""),
            "{shown}"
        );
    }

    #[test]
    fn earlier_lines_are_reached_without_a_script() {
        assert_eq!(
            earlier("/gh/a/b/1?node=0&step=3#S3", 1000),
            "/gh/a/b/1?node=0&step=3&line=720#S3"
        );
        assert_eq!(earlier("/gh/a/b/1?node=0&step=3#S3", 5), "/gh/a/b/1?node=0&step=3&line=1#S3");
    }
}
