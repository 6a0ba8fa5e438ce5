//! Version 3 of the API: what version 1 of the official command line asks.
//!
//! Source: its client; paths, `filter[…]` and `page[…]` parameters, members of the answers. One
//! thing is `{"data": {id, attributes, references}}`, a list `{"data": […], "page": {next, prev}}`;
//! refusals are given their form by [`crate::shell`].
//! Invariants: who may do what, and how a thing is found, is as in version 2; only the shapes are
//! made here. Whatever is not offered is 501, because 404 is read as "no such thing".

mod definitions;
mod jobs;
mod lookups;
mod namespaces;
mod orb_versions;
mod orbs;
mod output;
mod phase;
mod query;
mod runners;
mod runs;
mod search;
mod shapes;
mod workflows;

use crate::access::Routes;
use axum::Json;
use serde_json::{Value, json};

pub(super) fn routes() -> Routes {
    lookups::routes()
        .merge(namespaces::routes())
        .merge(orbs::routes())
        .merge(orb_versions::routes())
        .merge(runs::routes())
        .merge(search::routes())
        .merge(workflows::routes())
        .merge(jobs::routes())
        .merge(output::routes())
        .merge(definitions::routes())
        .merge(runners::routes())
}

fn entity(data: Value) -> Json<Value> {
    let mut body = json!({});
    body["data"] = data;
    Json(body)
}

fn list(data: impl IntoIterator<Item = Value>) -> Json<Value> {
    page(data, None)
}

/// `next` is the cursor of the page after this one.
fn page(data: impl IntoIterator<Item = Value>, next: Option<String>) -> Json<Value> {
    let mut body = json!({ "page": { "prev": null } });
    body["data"] = data.into_iter().collect();
    body["page"]["next"] = next.into();
    Json(body)
}
