//! The event log, page by page, for whoever follows everything: a script, a test, another site.

use super::shapes;
use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use axum::{Json, extract::Query};
use base::ids::Cursor;
use serde::Deserialize;
use serde_json::Value;

/// Events of one page; a reader that wants all asks again with the last cursor.
const PAGE: u32 = 1000;

pub(super) fn routes() -> Routes {
    Routes::new().get("/api/appliance/v1/event", list)
}

/// Where to go on.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Wanted {
    page_token: Option<u64>,
}

async fn list(
    Viewer(user): Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    user.unbound()?;
    let after = Cursor(wanted.page_token.unwrap_or(0));
    let events = state.store.read(move |reader| reader.event_list(after, PAGE)).await?;
    let next =
        events.last().filter(|_| events.len() == PAGE as usize).map(|last| last.cursor.to_string());
    let items = events
        .iter()
        .map(serde_json::to_value)
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::inside)?;
    Ok(Json(shapes::page(items, next)))
}
