//! Who did what, newest first, for administrators.

use super::{
    frame::{self, Frame, Here, Theme},
    moment,
};
use crate::{
    State,
    access::{Admin, Routes},
    error::Failure,
};
use axum::extract::Query;
use maud::{Markup, html};
use serde::Deserialize;

/// Entries on one page.
const PAGE: u32 = 100;

pub(super) fn routes() -> Routes {
    Routes::new().get("/audit", show)
}

#[derive(Debug, Deserialize)]
struct Before {
    before: Option<u64>,
}

async fn show(
    Admin(user): Admin,
    state: State,
    theme: Theme,
    Query(Before { before }): Query<Before>,
) -> Result<Markup, Failure> {
    let entries = state.store.read(move |reader| reader.audit_list(before, PAGE)).await?;
    let frame = Frame {
        user: &user,
        theme,
        config: &state.config,
        here: Here::Audit,
        title: "Audit log".to_owned(),
        look: None,
        live: None,
    };
    let next = entries.last().filter(|_| entries.len() == PAGE as usize).map(|entry| entry.id);
    let body = html! {
        div.head { h1 { "Audit log" } }
        div.scroll { table.wide {
            thead { tr { th { "Time (UTC)" } th { "Actor" } th { "Action" } th { "Target" } th { "Address" } } }
            tbody { @for entry in &entries {
                tr {
                    td.nowrap data-th="Time (UTC)" { time datetime=(entry.at) { (moment::full(entry.at).replace(" UTC", "")) } }
                    td data-th="Actor" { b { (entry.deed.actor) } }
                    td.nowrap data-th="Action" { code { (entry.deed.action) } }
                    td data-th="Target" { (entry.deed.subject) @if let Some(detail) = &entry.deed.detail { span.faint { " · " (detail) } } }
                    td.faint data-th="Address" { (entry.deed.address.as_deref().unwrap_or("–")) }
                }
            } }
        } }
        @if let Some(next) = next {
            nav.paging aria-label="Pages" { a.button rel="next" href=(format!("/audit?before={next}")) { "Older entries" } }
        }
    };
    Ok(frame::page(&frame, &body))
}
