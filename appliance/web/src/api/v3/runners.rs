//! Runners, and the classes that they serve.
//!
//! Source: the runner API of both command lines: plain lists under `items`.
//! Limits: a runner that serves jobs without a class stands in every list of an organisation.
//! Classes and tokens are not made here: the local runner needs none.

use crate::{
    State,
    access::{Routes, Viewer},
    error::Failure,
};
use axum::{Json, extract::Query};
use base::{ids::OrgId, time::Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::runs::RunnerRow;

/// Stands for all classes that are no runner's own.
const PLAIN: &str = "all plain classes";

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v3/runner", instances)
        .get("/api/v3/runner/resource", classes)
        .post("/api/v3/runner/resource", local_alone)
        .get("/api/v3/runner/token", local_alone)
        .post("/api/v3/runner/token", local_alone)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub(super) struct Wanted {
    resource_class: String,
    namespace: String,
    org_id: String,
}

/// Whose runners are listed.
async fn namespace(state: &State, wanted: &Wanted) -> Result<String, Failure> {
    if wanted.org_id.is_empty() {
        return Ok(wanted.namespace.clone());
    }
    let id: OrgId = crate::api::id(&wanted.org_id, "Organization")?;
    let found = state.store.read(move |reader| reader.org_get(id)).await?;
    found.map(|org| org.name).ok_or_else(|| Failure::missing("Organization"))
}

/// The classes of a runner that fit, [`PLAIN`] among them.
fn fitting<'a>(
    row: &'a RunnerRow,
    namespace: &'a str,
    class: &'a str,
) -> impl Iterator<Item = &'a str> {
    let plain = row.register.serves_plain_classes.then_some(PLAIN);
    let own = row.register.resource_classes.iter().map(String::as_str);
    let of = move |known: &str| known.split('/').next() == Some(namespace);
    plain.into_iter().chain(own).filter(move |known| match (class, namespace) {
        ("", "") => true,
        ("", _) => *known == PLAIN || of(known),
        (class, _) => *known == class,
    })
}

fn instance(row: &RunnerRow, class: &str, seen: Option<Timestamp>) -> Value {
    json!({
        "resource_class": class,
        "hostname": row.register.hostname,
        "name": row.register.name,
        "version": row.register.version,
        "ip": "",
        "first_connected": row.registered_at,
        "last_connected": seen,
        "last_used": null,
    })
}

async fn instances(
    _: Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let namespace = namespace(&state, &wanted).await?;
    let live = state.engine.status().await?.runners;
    let rows = state.store.read(|reader| reader.runner_list()).await?;
    let seen = |row: &RunnerRow| live.iter().find(|live| live.id == row.id)?.seen_at;
    let items = rows.iter().flat_map(|row| {
        let classes = fitting(row, &namespace, &wanted.resource_class);
        classes.map(move |class| instance(row, class, seen(row)))
    });
    Ok(Json(json!({ "items": items.collect::<Vec<_>>() })))
}

async fn classes(
    _: Viewer,
    state: State,
    Query(wanted): Query<Wanted>,
) -> Result<Json<Value>, Failure> {
    let namespace = namespace(&state, &wanted).await?;
    let rows = state.store.read(|reader| reader.runner_list()).await?;
    let known: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| fitting(row, &namespace, ""))
        .filter(|known| *known != PLAIN)
        .collect();
    let shape = |class: &str| json!({ "id": super::orbs::id(class), "resource_class": class, "description": "" });
    Ok(Json(json!({ "items": known.into_iter().map(shape).collect::<Vec<_>>() })))
}

async fn local_alone(_: Viewer) -> Failure {
    Failure::NotOffered("this appliance runs jobs on its local runner, which serves all plain classes (`medium`, `large` …) and needs no resource class and no token: leave `resource_class` out or name a plain one".into())
}
