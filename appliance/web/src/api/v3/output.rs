//! The output of one step, as bytes.
//!
//! Source: the client follows a step by asking for what comes after what it has
//! (`Range: bytes=N-`) until the answer has `X-Terminal: true`.
//! Limits: what a step prints is kept as one stream, so that its errors stand in `stdout`;
//! `condensed` is the end of it.

use crate::{
    State,
    access::{Routes, User, Viewer},
    api::jobs::by_id,
    error::Failure,
    pages,
};
use axum::{
    body::Body,
    extract::{Path, Query},
    response::{IntoResponse, Response},
};
use base::{ids::TaskId, state::StepState};
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

/// Bytes at the end of an output that usually tell why it failed.
const CONDENSED: u64 = 8 << 10;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/jobs/{id}/stdout", stdout)
        .get("/api/v3/jobs/{id}/stdout/condensed", condensed)
        .get("/api/v3/jobs/{id}/stderr", stderr)
}

/// Which step, on which node.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    #[serde(rename = "filter[execution]")]
    node: u32,
    #[serde(rename = "filter[step_num]")]
    step: u32,
}

/// A step's output as far as it is there.
struct Output {
    task: TaskId,
    step: u32,
    size: u64,
    is_whole: bool,
}

async fn find(state: &State, user: &User, text: &str, wanted: Wanted) -> Result<Output, Failure> {
    let job = by_id(state, user, text).await?;
    let source = job.source();
    let found = state
        .store
        .read(move |reader| {
            let tasks = reader.task_list_newest(source)?;
            let Some(task) = tasks.into_iter().find(|task| task.node == wanted.node) else {
                return Ok(None);
            };
            reader.step_get(task.id, wanted.step)
        })
        .await?;
    let step = found.ok_or_else(|| Failure::missing("Step"))?;
    // Looked at after the state: an end that was seen has all of its output before it.
    let size = state.logs.read(step.task, step.step, 0..0).await?.size;
    let is_whole = step.state != StepState::Running;
    Ok(Output { task: step.task, step: step.step, size, is_whole })
}

/// `bytes=N-`; nothing else is asked.
fn offset(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(header::RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}

async fn stdout(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let output = find(&state, &user, &text, wanted).await?;
    let offset = offset(&headers);
    let from = offset.unwrap_or(0).min(output.size);
    let mut response = answer(&state, &output, from);
    // A follower that has everything is no mistake of its own.
    if let (Some(_), true) = (offset, from < output.size) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let told = format!("bytes {from}-{}/{}", output.size - 1, output.size);
        if let Ok(told) = told.parse() {
            response.headers_mut().insert(header::CONTENT_RANGE, told);
        }
    }
    Ok(response)
}

fn answer(state: &State, output: &Output, from: u64) -> Response {
    let headers = [
        (header::CONTENT_TYPE.as_str(), "application/octet-stream".to_owned()),
        (header::CONTENT_LENGTH.as_str(), (output.size - from).to_string()),
        ("x-terminal", output.is_whole.to_string()),
    ];
    let bytes = pages::output(state.clone(), output.task, output.step, from..output.size);
    (headers, bytes).into_response()
}

async fn condensed(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let output = find(&state, &user, &text, wanted).await?;
    Ok(answer(&state, &output, output.size.saturating_sub(CONDENSED)))
}

async fn stderr(
    Viewer(user): Viewer,
    state: State,
    Path(text): Path<String>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let output = find(&state, &user, &text, wanted).await?;
    Ok(([("x-terminal", output.is_whole.to_string())], Body::empty()).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(range: &str, expected: Option<u64>) {
        let headers = HeaderMap::from_iter([(header::RANGE, range.parse().unwrap())]);
        assert_eq!(offset(&headers), expected, "{range}");
    }

    #[test]
    fn followers_ask_for_the_rest() {
        check("bytes=0-", Some(0));
        check("bytes=17-", Some(17));
        check("bytes=1-2", None);
        check("bytes=-5", None);
        check("lines=1-", None);
        assert_eq!(offset(&HeaderMap::new()), None);
    }
}
