//! What a job needs from before: caches and the workspace.

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
use base::protocol::{CacheHit, Presigned, WorkspaceLayer};
use serde::Deserialize;

/// Keys of one `restore_cache`; more is a mistake in a template.
const KEYS_MAX: usize = 100;

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/runner/v1/tasks/{task}/cache", cache)
        .post("/runner/v1/tasks/{task}/workspace", workspace)
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
    let (_, job) = held(&state, task_id(&task)?, fence).await?;
    let (project, now) = (job.project, state.now());
    let found = state
        .store
        .read(move |reader| {
            for key in keys.iter().filter(|key| !key.is_empty()) {
                let exact = reader.cache_get(project, key, now)?;
                let found = match exact {
                    Some(found) => Some(found),
                    None => reader.cache_find(project, key, now)?,
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
    })))
}

async fn workspace(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
) -> Result<Json<Vec<WorkspaceLayer>>, Denied> {
    let (task, _) = held(&state, task_id(&task)?, fence).await?;
    let layers = state.store.read(move |reader| reader.layer_list_upstream(task.id)).await?;
    let layers = layers.into_iter().map(|upstream| WorkspaceLayer {
        job_name: upstream.job_name,
        paths: upstream.layer.paths,
        generation: upstream.generation,
        from: from(&state, "workspaces", &upstream.layer.object),
    });
    Ok(Json(layers.collect()))
}
