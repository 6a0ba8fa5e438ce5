//! The output of one step as version 1.1 has it: a list with one entry.
//!
//! Why an address that bears its own proof: clients fetch `output_url` without their token, because
//! the original's leads to a store of objects and is signed.
//! Invariants: a pass opens the output of one task; it is made for a token, and ends with it, after
//! an hour, and when the program starts again.
//! Limits: the first [`OUTPUT_MAX`] of a large one; who wants more reads the raw page.

use crate::{
    State,
    access::{Permit, Routes, User, Via, Viewer},
    error::Failure,
    found,
};
use axum::{
    Json,
    extract::{FromRequestParts, Path},
};
use base::ids::TaskId;
use http::request::Parts;
use serde_json::{Value, json};
use store::{Reader, runs::family};

/// The kind of its passes.
const KIND: &str = "output";

/// The list form cannot be streamed.
const OUTPUT_MAX: usize = 4 << 20;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v1.1/output/{task}/{step}", by_caller)
        .get("/api/v1.1/output/{task}/{step}/{pass}", by_pass)
}

/// The end of an address that opens the output of a task for whoever asks with a token now.
pub(super) fn pass(state: &State, user: &User, task: TaskId) -> String {
    let Via::Token(token) = user.via else { return String::new() };
    format!("/{}", state.pass_key().pass(KIND, token, task, state.now()))
}

/// Whoever has a pass.
pub(crate) struct Holder {
    task: TaskId,
    step: u32,
}

impl Permit for Holder {
    const NAME: &'static str = "report";
}

impl FromRequestParts<State> for Holder {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        let place = Path::<(TaskId, u32, String)>::from_request_parts(parts, state).await;
        let Path((task, step, pass)) = place.map_err(|_| Failure::Unproven)?;
        let now = state.now();
        let token = state.pass_key().holder(KIND, &pass, task, now).ok_or(Failure::Unproven)?;
        let stands = state.store.look(|reader| reader.token_holder(token, now))?;
        stands.filter(|(_, user)| !user.one_time).ok_or(Failure::Unproven)?;
        Ok(Self { task, step })
    }
}

async fn by_caller(
    Viewer(user): Viewer,
    state: State,
    Path((task, step)): Path<(TaskId, u32)>,
) -> Result<Json<Value>, Failure> {
    list(&state, task, step, Some(user)).await
}

async fn by_pass(Holder { task, step }: Holder, state: State) -> Result<Json<Value>, Failure> {
    list(&state, task, step, None).await
}

async fn list(
    state: &State,
    task: TaskId,
    step: u32,
    user: Option<User>,
) -> Result<Json<Value>, Failure> {
    let read = move |reader: &Reader<'_>| found::job(reader, family::job_of(task));
    let job = state.store.read(read).await?.ok_or_else(|| Failure::missing("Job"))?;
    user.map_or(Ok(()), |user| user.reach(job.project))?;
    let mut text = Vec::new();
    while text.len() < OUTPUT_MAX {
        let chunk = state.logs.read(task, step, text.len() as u64..u64::MAX).await?;
        if chunk.bytes.is_empty() {
            break;
        }
        text.extend(chunk.bytes);
    }
    let message = String::from_utf8_lossy(&text);
    Ok(Json(json!([{ "type": "out", "time": job.started_at, "message": message }])))
}
