//! The runner protocol over HTTP: `base::protocol`, one address for each question.
//!
//! Why here: the local runner on its Unix socket and a remote one over TLS ask the same router;
//! only [`crate::access::Peer`] or the token tells them apart.
//! Invariants: every question about a task names its fence, and is answered only while that lease
//! holds; a report's answer means that it is on disk; output's answer promises nothing until its
//! step has ended.
//! On failure: 409 carries a [`Refusal`], which the runner obeys; everything else is a
//! [`Failure`]: 4xx must not be repeated, 5xx may.

mod checkout;
mod held;
mod image;
mod job_key;
mod keep;
mod reach;
mod refusal;

pub use job_key::job_key_stands;

use crate::{
    State,
    access::{Routes, Runner},
    error::Failure,
};
use axum::{
    Json,
    body::Bytes,
    extract::{Query, rejection::JsonRejection},
};
use base::{
    ids::{Fence, TaskId},
    limits::OUTPUT_FRAME_MAX,
    protocol::{
        Claim, Claimed, Heartbeat, Pace, PaceAsk, Progress, Register, Registered, Report, Reported,
        Verdicts,
    },
    units::Bytes as Size,
};
use held::held;
use refusal::Denied;
use serde::Deserialize;

/// A report may carry the results of thousands of tests.
const REPORT_MAX: Size = Size::mib(16);

type Asked<T> = Result<Json<T>, JsonRejection>;
type Answer<T> = Result<Json<T>, Denied>;

pub(crate) fn routes() -> Routes {
    let reports = Routes::new()
        .post("/runner/v1/register", register)
        .post("/runner/v1/claim", claim)
        .post("/runner/v1/heartbeat", heartbeat)
        .post("/runner/v1/pace", pace)
        .post("/runner/v1/report", report)
        .body_max(REPORT_MAX);
    let output =
        Routes::new().put("/runner/v1/output", output).body_max(Size(OUTPUT_FRAME_MAX as u64));
    reports
        .merge(output)
        .merge(keep::routes())
        .merge(reach::routes())
        .merge(image::routes())
        .merge(checkout::routes())
}

async fn register(_: Runner, state: State, asked: Asked<Register>) -> Answer<Registered> {
    let Json(register) = asked?;
    Ok(Json(state.engine.register(register).await?))
}

async fn claim(_: Runner, state: State, asked: Asked<Claim>) -> Answer<Claimed> {
    let Json(claim) = asked?;
    let mut claimed = state.engine.claim(claim).await?;
    claimed.assignments.iter_mut().for_each(|job| job_key::give(&state, job));
    Ok(Json(claimed))
}

async fn heartbeat(_: Runner, state: State, asked: Asked<Heartbeat>) -> Answer<Verdicts> {
    let Json(heartbeat) = asked?;
    Ok(Json(state.engine.heartbeat(heartbeat).await?))
}

/// The pace is of this machine, as its runner is.
async fn pace(_: Runner, state: State, asked: Asked<PaceAsk>) -> Answer<Pace> {
    let Json(ask) = asked?;
    Ok(Json(state.engine.pace(&ask).await))
}

async fn report(_: Runner, state: State, asked: Asked<Report>) -> Answer<Reported> {
    let Json(mut report) = asked?;
    if !report.progress.iter().all(|progress| keep::names_own_objects(report.task, progress)) {
        let foreign = "an artifact's key is not one that was given to this task";
        return Err(Failure::Invalid(foreign.to_owned()).into());
    }
    let paths = report.progress.iter().filter_map(artifact_path);
    if paths.into_iter().any(|path| path.len() > keep::PATH_MAX) {
        return Err(Failure::Invalid("an artifact's path is too long".to_owned()).into());
    }
    drop_rests_unless_held(&state, &mut report);
    let mut reported = state.logs.report(&state.engine, report).await?;
    reported.next.iter_mut().for_each(|job| job_key::give(&state, job));
    Ok(Json(reported))
}

/// Output is taken from whoever holds the task alone; what a report says to a fence that is over, the
/// engine knows.
fn drop_rests_unless_held(state: &State, report: &mut Report) {
    let mut rests: Vec<_> = report.progress.iter_mut().filter_map(rest).collect();
    if !rests.is_empty() && held(state, report.task, report.fence).is_err() {
        rests.iter_mut().for_each(|rest| rest.clear());
    }
}

fn rest(progress: &mut Progress) -> Option<&mut Vec<u8>> {
    match progress {
        Progress::StepEnded { rest, .. } if !rest.is_empty() => Some(rest),
        _ => None,
    }
}

fn artifact_path(progress: &Progress) -> Option<&str> {
    match progress {
        Progress::Artifact { path, .. } => Some(path),
        _ => None,
    }
}

/// Where a frame of output belongs.
#[derive(Debug, Deserialize)]
struct Frame {
    task: TaskId,
    fence: Fence,
    step: u32,
    offset: u64,
}

/// Where the next frame is expected.
#[derive(Debug, serde::Serialize)]
struct Taken {
    next: u64,
}

async fn output(
    _: Runner,
    state: State,
    Query(frame): Query<Frame>,
    bytes: Bytes,
) -> Answer<Taken> {
    held(&state, frame.task, frame.fence)?;
    let next = state.logs.append(frame.task, frame.step, frame.offset, &bytes).await?;
    Ok(Json(Taken { next }))
}

#[cfg(test)]
mod tests;
