//! The machine: what it tells, what the governor makes of it, and which jobs it holds back.

use super::metrics as page;
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
    events,
};
use axum::{
    Json,
    extract::Query,
    response::{IntoResponse, Response, sse::Event},
};
use base::{ids::JobId, state::JobState, time::Timestamp};
use engine::govern::Moment;
use futures_util::stream;
use http::header;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{convert::Infallible, sync::atomic::Ordering, time::Duration};
use store::{Reader, runs::Job};

/// Held jobs that are told; behind them stand the same reasons again.
pub(crate) const HELD_MAX: usize = 100;

/// A page is drawn anew so often at most.
const NEWS: Duration = Duration::from_secs(5);

/// Hours of history that are told when nobody says how many.
const HOURS: u64 = 6;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/appliance/v1/hardware", show)
        .get("/api/appliance/v1/hardware/history", history)
        .get("/hardware/stream", follow)
        .get("/metrics", metrics)
}

async fn show(Viewer(user): Viewer, state: State) -> Result<Json<Value>, Failure> {
    let governed = state.engine.governed().borrow().clone();
    let held = held(&state).await?;
    let mine = held.iter().filter(|(job, _)| user.reach(job.project).is_ok());
    let held: Vec<Value> = mine.map(|(job, why)| told(job, why)).collect();
    let decision = &governed.decision;
    Ok(Json(json!({
        "slots": decision.slots,
        "pool": decision.pool,
        "running": governed.running,
        "waiting": governed.waiting,
        "bound_by": decision.binding(),
        "quota": decision.quota,
        "paused": decision.pause,
        "headroom_celsius": decision.headroom,
        "network_slots": decision.network_slots,
        "sync_share": decision.sync_share,
        "memory_free": decision.memory_free,
        "limiters": decision.bounds,
        "held": held,
        "readings": governed.readings.as_deref(),
    })))
}

fn told(job: &Job, why: &str) -> Value {
    json!({
        "id": job.id,
        "job_number": job.number,
        "name": job.name,
        "queued_at": job.queued_at,
        "why": why,
    })
}

/// The jobs that wait for a runner, with the reason of each.
pub(crate) async fn held(state: &State) -> Result<Vec<(Job, String)>, Failure> {
    let reasons = state.engine.held(HELD_MAX).await?;
    let ids: Vec<JobId> = reasons.iter().map(|(job, _)| *job).collect();
    let jobs = state
        .store
        .read(move |reader| {
            ids.iter().map(|id| reader.job_get(*id)).collect::<Result<Vec<_>, store::Error>>()
        })
        .await?;
    let waiting = jobs.into_iter().zip(reasons).filter_map(|(job, (_, why))| Some((job?, why)));
    let queued = waiting.filter(|(job, _)| job.state == JobState::Queued);
    Ok(queued.map(|(job, why)| (job, why.to_string())).collect())
}

#[derive(Debug, Deserialize)]
struct Span {
    hours: Option<u64>,
}

async fn history(
    _: Viewer,
    state: State,
    Query(span): Query<Span>,
) -> Result<Json<Value>, Failure> {
    let hours = span.hours.unwrap_or(HOURS).clamp(1, 24 * 14);
    let items = moments(&state, Duration::from_secs(hours * 3600)).await?;
    Ok(Json(json!({ "items": items })))
}

/// What the last `span` was like: the hours from memory, the days from the store.
pub(crate) async fn moments(state: &State, span: Duration) -> Result<Vec<Moment>, Failure> {
    let begun = Timestamp(
        state.now().0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)),
    );
    let mut recent = state.engine.recent();
    recent.retain(|moment| moment.at >= begun);
    let from_memory = recent.first().map_or(state.now(), |moment| moment.at);
    let spans = state.store.read(move |reader| reader.machine_spans(begun)).await?;
    let days = spans.iter().filter(|(at, _)| *at < from_memory);
    let mut all: Vec<Moment> =
        days.filter_map(|(_, body)| serde_json::from_str(body).ok()).collect();
    all.append(&mut recent);
    Ok(all)
}

/// A word each few seconds while the page is open: the browser fetches it anew.
async fn follow(Viewer(user): Viewer, state: State) -> Result<Response, Failure> {
    let room = state.stream_room(&user)?;
    let news = state.engine.governed();
    let moments = stream::unfold((news, room), move |(mut news, room)| async move {
        tokio::time::sleep(NEWS).await;
        news.changed().await.ok()?;
        let slots = news.borrow_and_update().decision.slots;
        Some((Ok::<_, Infallible>(Event::default().data(slots.to_string())), (news, room)))
    });
    Ok(events::answer(moments, user, &state))
}

async fn metrics(Viewer(user): Viewer, state: State) -> Result<Response, Failure> {
    user.unbound()?;
    let status = state.engine.status().await?;
    let read = |reader: &Reader<'_>| Ok((reader.event_last()?, reader.deliveries_waiting()?));
    let (last, waiting) = state.store.read::<_, store::Error, _>(read).await?;
    let governed = state.engine.governed().borrow().clone();
    let mut text = page::text(&status, last, &governed, state.store.flushes());
    text += &page::certificates(&state.config.certificates.borrow());
    text += &page::deliveries(waiting, state.deliveries_lost().load(Ordering::Relaxed));
    text += &super::object_metrics::text(&state.objects.account().await?);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
