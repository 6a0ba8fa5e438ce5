//! What a job keeps: places for artifacts, caches and workspace layers, and their confirmation.
//!
//! The way: the runner asks for a place, puts the bytes at the presigned address, and confirms;
//! only then is a cache or layer visible. Bytes that were never confirmed have no row, and
//! [`engine::leftovers`] finds them.
//! Invariants: an object's key begins with the task that it was given to; a cache key that is
//! taken is never overwritten, the later one is dropped. A cache is saved for the level of trust that
//! its job's pipeline has.

use super::{
    Answer, Asked,
    held::{Fenced, held, task_id},
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
    ids::TaskId,
    protocol::{Progress, StoreConfirm, StoreRequest, StoreTarget},
    units::Bytes as Size,
    workspace::PACKED_MAX,
};
use sha2::{Digest, Sha256};
use std::time::Duration;
use store::runs::{Cache, Job, Layer, caches::CacheInsert};

/// Bytes in an artifact's path; longer ones fit no file system that they came from.
pub(super) const PATH_MAX: usize = 4096;

/// Characters in a cache key, as on the original service.
const KEY_MAX: usize = 900;

/// Time to begin a transfer; a job cannot run longer.
pub(super) const TRANSFER: Duration = base::limits::JOB_RUNTIME_MAX;

/// Days that a cache is kept when its job does not say, as on the original service.
const CACHE_DAYS: u8 = 15;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The packed names of a workspace layer, with what goes with them. A job sends one such at a time, so
/// that the slots of the runner bound how many are held.
const CONFIRM_MAX: Size = Size(PACKED_MAX as u64 + (1 << 20));

pub(super) fn routes() -> Routes {
    let place = Routes::new().post("/runner/v1/tasks/{task}/store", place);
    let confirm = Routes::new().post("/runner/v1/tasks/{task}/confirm", confirm);
    place.merge(confirm.body_max(CONFIRM_MAX))
}

/// An artifact in a report must be one whose place was given to that task.
pub(super) fn names_own_objects(task: TaskId, progress: &Progress) -> bool {
    match progress {
        Progress::Artifact { key, .. } => key.starts_with(&format!("{task}/")),
        _ => true,
    }
}

/// The bucket of a request's objects.
pub(super) const fn bucket(request: &StoreRequest) -> &'static str {
    match request {
        StoreRequest::Artifact { .. } => "artifacts",
        StoreRequest::Cache { .. } => "caches",
        StoreRequest::Workspace => "workspaces",
    }
}

/// The key of a request's object: the same request again overwrites what came of the first.
fn object_key(task: TaskId, request: &StoreRequest) -> String {
    let named = match request {
        StoreRequest::Artifact { path } => path.as_str(),
        StoreRequest::Cache { key } => key.as_str(),
        // A job may persist more than once, and each time adds a layer.
        StoreRequest::Workspace => return format!("{task}/{}", uuid::Uuid::now_v7()),
    };
    let hash: [u8; 32] = Sha256::digest(named.as_bytes()).into();
    let hex: String = hash[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{task}/{hex}")
}

fn check(request: &StoreRequest) -> Result<(), Failure> {
    match request {
        StoreRequest::Artifact { path } if path.is_empty() || path.len() > PATH_MAX => {
            Err(Failure::Invalid(format!("an artifact's path has 1 to {PATH_MAX} bytes")))
        }
        StoreRequest::Cache { key } if key.is_empty() || key.chars().count() > KEY_MAX => {
            Err(Failure::Invalid(format!("a cache key has 1 to {KEY_MAX} characters")))
        }
        _ => Ok(()),
    }
}

async fn place(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
    asked: Asked<StoreRequest>,
) -> Answer<StoreTarget> {
    let Json(request) = asked?;
    check(&request)?;
    let (task, job) = held(&state, task_id(&task)?, fence)?;
    if let StoreRequest::Cache { key } = &request {
        let (key, project, job, now) = (key.clone(), job.project, job.id, state.now());
        let look = move |reader: &store::Reader<'_>| {
            reader.cache_get(project, reader.job_trust(job)?, &key, now)
        };
        if state.store.read(look).await?.is_some() {
            return Ok(Json(StoreTarget::Exists));
        }
    }
    let key = object_key(task.id, &request);
    let to = state.objects.presign(&http::Method::PUT, bucket(&request), &key, TRANSFER, "");
    Ok(Json(StoreTarget::Put { to, key }))
}

async fn confirm(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
    asked: Asked<StoreConfirm>,
) -> Answer<()> {
    let Json(confirm) = asked?;
    check(&confirm.request)?;
    let (task, job) = held(&state, task_id(&task)?, fence)?;
    if !confirm.key.starts_with(&format!("{}/", task.id)) {
        return Err(Failure::Invalid("that key was not given to this task".to_owned()).into());
    }
    let bucket = bucket(&confirm.request);
    let stored = state.objects.head(bucket, &confirm.key).await?;
    if stored.size != confirm.size {
        let wrong = format!("{} bytes were stored, {} confirmed", stored.size, confirm.size);
        return Err(Failure::Invalid(wrong).into());
    }
    match confirm.request {
        StoreRequest::Artifact { .. } => {}
        StoreRequest::Cache { key } => {
            let kept = Kept { key, object: confirm.key, size: confirm.size, paths: confirm.paths };
            cache_confirm(&state, &job, kept).await?;
        }
        StoreRequest::Workspace => {
            let layer = Layer {
                task: task.id,
                object: confirm.key,
                size: confirm.size,
                created_at: state.now(),
            };
            let names = confirm.names;
            // The job may have ended since, and its project be deleted.
            let write = move |txn: &mut store::Txn<'_>| match txn.task_get(layer.task)? {
                Some(_) => txn.layer_insert(&layer, &names),
                None => Ok(()),
            };
            state.store.write(write).await?;
        }
    }
    Ok(Json(()))
}

/// What was stored as a cache.
struct Kept {
    key: String,
    object: String,
    size: u64,
    paths: Vec<String>,
}

/// Makes a cache visible, unless another job was first: then these bytes are dropped. So are those
/// of an expired cache whose key it takes.
async fn cache_confirm(state: &State, job: &Job, kept: Kept) -> Result<(), Denied> {
    let Kept { key, object, size, paths } = kept;
    let (now, id, project) = (state.now(), job.id, job.project);
    let number = job.number.ok_or_else(|| Failure::missing("Job"))?;
    let unwanted = state
        .store
        .write(move |txn| {
            let days = txn.job_spec(id)?.and_then(|spec| spec.cache_retention_days);
            let life = DAY * u32::from(days.unwrap_or(CACHE_DAYS));
            let expires_at = now.plus(life);
            let trust = txn.job_trust(id)?;
            let new = Cache {
                project,
                key,
                trust,
                object,
                size,
                paths,
                job: number,
                created_at: now,
                expires_at,
            };
            if txn.project_get(project)?.is_none() {
                return Ok(Some(new.object));
            }
            if let CacheInsert::Stored { replaced } = txn.cache_insert(&new)? {
                return Ok(replaced);
            }
            // The same confirmation again finds its own object.
            let there = txn.cache_get(project, trust, &new.key, now)?;
            let is_own = there.is_some_and(|row| row.object == new.object);
            Ok::<_, store::Error>((!is_own).then_some(new.object))
        })
        .await?;
    if let Some(object) = unwanted {
        state.objects.delete("caches", &object).await?;
    }
    Ok(())
}
