//! What a job needs from before: caches, the workspace, and what its tests took.

use super::{
    Answer, Asked,
    held::{Fenced, held, task_id},
    keep::TRANSFER,
    refusal::Denied,
};
use crate::{
    State,
    access::{Routes, Runner},
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::protocol::{CacheHit, Presigned, TestResult, WorkspaceLayer};
use pipeline::split::TestTime;
use serde::Deserialize;
use std::time::Duration;

/// Keys of one `restore_cache`; more is a mistake in a template.
const KEYS_MAX: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/runner/v1/tasks/{task}/cache", cache)
        .post("/runner/v1/tasks/{task}/workspace", workspace)
        .get("/runner/v1/tasks/{task}/timings", timings)
}

/// Evaluated keys, in order.
#[derive(Debug, Deserialize)]
struct Keys {
    keys: Vec<String>,
}

fn from(state: &State, bucket: &str, key: &str) -> Presigned {
    state.objects.presign(&http::Method::GET, bucket, key, TRANSFER, "")
}

async fn cache(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
    asked: Asked<Keys>,
) -> Answer<Option<CacheHit>> {
    let Json(Keys { keys }) = asked?;
    if keys.len() > KEYS_MAX {
        return Err(Failure::Invalid(format!("at most {KEYS_MAX} cache keys")).into());
    }
    let (_, job) = held(&state, task_id(&task)?, fence)?;
    let (project, job, now) = (job.project, job.id, state.now());
    let found = state
        .store
        .read(move |reader| {
            let trust = reader.job_trust(job)?;
            for key in keys.iter().filter(|key| !key.is_empty()) {
                let exact = reader.cache_exact(project, trust, key, now)?;
                let found = match exact {
                    Some(found) => Some(found),
                    None => reader.cache_find(project, trust, key, now)?,
                };
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok::<_, store::Error>(None)
        })
        .await?;
    Ok(Json(found.map(|row| CacheHit {
        from: from(&state, "caches", &row.object),
        key: row.key,
        build: row.job,
        size: row.size,
        paths: row.paths,
    })))
}

async fn workspace(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
) -> Result<Json<Vec<WorkspaceLayer>>, Denied> {
    let (task, _) = held(&state, task_id(&task)?, fence)?;
    let layers = state.store.read(move |reader| reader.layer_list_upstream(task.id)).await?;
    let layers = layers.into_iter().map(|upstream| WorkspaceLayer {
        job_name: upstream.job_name,
        paths: upstream.layer.paths,
        job: upstream.job,
        upstream: upstream.upstream,
        from: from(&state, "workspaces", &upstream.layer.object),
    });
    Ok(Json(layers.collect()))
}

/// What the tests of this job took when it last succeeded; a file for `circleci tests split`.
async fn timings(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
) -> Result<Json<Vec<TestTime>>, Denied> {
    let (_, job) = held(&state, task_id(&task)?, fence)?;
    let tests = state.store.read(move |reader| reader.test_list_before(&job)).await?;
    let time = |test: TestResult| TestTime {
        name: test.name,
        classname: test.classname,
        file: test.file.unwrap_or_default(),
        time: Duration::from_millis(test.run_time_ms).as_secs_f64(),
    };
    Ok(Json(tests.into_iter().map(time).collect()))
}
