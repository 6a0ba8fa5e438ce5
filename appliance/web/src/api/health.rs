//! Is it alive, is it ready, whom to trust, and how busy it is.
//!
//! Source of the metrics' form: Prometheus text exposition format 0.0.4.

use crate::{
    State,
    access::{Public, Routes, Viewer},
    error::Failure,
};
use axum::response::{IntoResponse, Response};
use http::header;
use std::fmt::Write;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/healthz", alive)
        .get("/readyz", ready)
        .get("/.well-known/appliance-ca.pem", authority)
        .get("/metrics", metrics)
}

async fn alive(_: Public) -> &'static str {
    "ok\n"
}

/// Ready when the store answers.
async fn ready(_: Public, state: State) -> Result<&'static str, Failure> {
    state.store.read(|reader| reader.event_last()).await?;
    Ok("ready\n")
}

async fn authority(_: Public, state: State) -> Result<Response, Failure> {
    let pem = state.config.authority.clone().ok_or_else(|| Failure::missing("Authority"))?;
    let kind = [(header::CONTENT_TYPE, "application/x-pem-file")];
    Ok((kind, pem).into_response())
}

async fn metrics(_: Viewer, state: State) -> Result<Response, Failure> {
    let status = state.engine.status().await?;
    let last = state.store.read(|reader| reader.event_last()).await?;
    let runners = status.runners.iter().filter(|runner| runner.seen_at.is_some()).count();
    let rows = [
        (
            "appliance_tasks_waiting",
            "gauge",
            "Tasks that wait for a runner.",
            status.waiting as u64,
        ),
        (
            "appliance_tasks_leased",
            "gauge",
            "Tasks in the hands of runners.",
            u64::from(status.leased),
        ),
        ("appliance_slots", "gauge", "Tasks that may run at once.", u64::from(status.slots)),
        ("appliance_runners", "gauge", "Runners heard since the start.", runners as u64),
        ("appliance_events_total", "counter", "Events in the log.", last.0),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in rows {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}
