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
use base::{
    protocol::{CacheHit, Presigned, TestResult, Workspace, WorkspaceLayer},
    workspace::{Conflict, NamesError, Owner, Owners},
};
use pipeline::split::TestTime;
use serde::Deserialize;
use std::time::Duration;
use store::runs::workspaces::Upstream;
use tokio::sync::Semaphore;

/// Keys of one `restore_cache`; more is a mistake in a template.
const KEYS_MAX: usize = 100;

/// One at a time: the names of two million files take a hundred megabytes to compare.
static COMPARING: Semaphore = Semaphore::const_new(1);

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
                // The newest that begins so, also before an older one of that very key.
                let found = reader.cache_find(project, trust, key, now)?;
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
) -> Answer<Workspace> {
    let (task, _) = held(&state, task_id(&task)?, fence)?;
    let turn = COMPARING.acquire().await.expect("nobody closes it");
    let look = move |reader: &store::Reader<'_>| {
        let _turn = turn;
        let upstream = reader.layer_list_upstream(task.id)?;
        let conflict = conflict(reader, &upstream)?;
        Ok::<_, store::Error>((upstream, conflict))
    };
    let (upstream, conflict) = state.store.read(look).await?;
    let conflict = conflict.map_err(|error| Failure::Invalid(error.to_string()))?;
    let layers = upstream.into_iter().map(|upstream| WorkspaceLayer {
        from: from(&state, "workspaces", &upstream.layer.object),
        job_name: upstream.job_name,
        job: upstream.job,
        upstream: upstream.upstream,
    });
    Ok(Json(Workspace { layers: layers.collect(), conflict }))
}

/// Reads the names of one layer after the other; none when all are of one job.
fn conflict(
    reader: &store::Reader<'_>,
    layers: &[Upstream],
) -> Result<Result<Option<Conflict>, NamesError>, store::Error> {
    if layers.iter().all(|layer| layer.job == layers[0].job) {
        return Ok(Ok(None));
    }
    let mut owners = Owners::default();
    for Upstream { job_name, job, upstream, layer } in layers {
        let owner = Owner { job_name: job_name.clone(), job: *job, upstream: upstream.clone() };
        match owners.add(owner, &reader.layer_names(layer)?) {
            Ok(None) => {}
            found => return Ok(found),
        }
    }
    Ok(Ok(None))
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
