//! What is kept for how long: the plan, shown before it acts, and the deed.
//!
//! Invariants: for administrators alone; a plan changes nothing; the deed is noted in the audit log.

use super::{message, projects::audit};
use crate::{
    State,
    access::{Admin, Routes},
    error::Failure,
};
use axum::Json;
use engine::{leftovers, retention};
use http::StatusCode;
use serde_json::{Value, json};

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/appliance/v1/retention", plan)
        .post("/api/appliance/v1/retention/run", run)
}

fn line(class: &str, count: u64, bytes: u64) -> Value {
    json!({ "class": class, "count": count, "bytes": bytes })
}

async fn plan(_: Admin, state: State) -> Result<Json<Value>, Failure> {
    let now = state.now();
    let runs = retention::plan(&state.store, state.config.keep, now).await?;
    let images = state.objects.image_plan(now).await.map_err(Failure::inside)?;
    let held =
        |class, holding: store::runs::holdings::Holding| line(class, holding.count, holding.bytes);
    let mut items = vec![
        line("pipelines", runs.pipelines, 0),
        held("artifacts", runs.artifacts),
        held("workspaces", runs.workspaces),
        held("logs", runs.logs),
        held("caches", runs.caches),
        line("images", images.0, images.1),
    ];
    for (bucket, expired) in state.objects.expire_plan(now).await? {
        let count = expired.current + expired.noncurrent + expired.markers + expired.uploads;
        items.push(line(&format!("bucket {bucket}"), count, expired.bytes));
    }
    Ok(Json(super::shapes::page(items, None)))
}

async fn run(Admin(user): Admin, state: State) -> Result<(StatusCode, Json<Value>), Failure> {
    let now = state.now();
    let deed = audit(&user, "retention.run", "site");
    state.store.write(move |txn| txn.audit_append(now, &deed)).await?;
    let keep = state.config.keep;
    let swept = retention::sweep(&state.store, &state.logs, &state.objects, keep, now).await?;
    let left = leftovers::sweep(&state.objects, now).await?;
    let images = state.objects.image_sweep(now).await.map_err(Failure::inside)?;
    let expired = state.objects.expire(now).await?;
    let versions = expired.current + expired.noncurrent + expired.markers + expired.uploads;
    Ok(message(
        StatusCode::OK,
        &format!(
            "Removed {} pipelines, parts of {} others, {} caches, {images} objects of images, {versions} objects by rules of buckets, {} that uploads without a report had left. Space comes back within two minutes.",
            swept.pipelines, swept.released, swept.caches, left.objects
        ),
    ))
}
