//! The questions that the official command line, version 0.1, asks in its query language.
//!
//! Not a GraphQL engine: a query is told by the fields at its root, each is answered whole, and the
//! client reads of it what it asked for.
//! On failure: status 200 with `errors` (see `shell::forms`); the client reads no other status.

use super::{
    compile::answer,
    large::Large,
    orb_queries::{self, argument},
    orbs::{IMPORTED, off_thread},
};
use crate::{
    State,
    access::{Routes, User, Viewer},
    error::Failure,
};
use axum::Json;
use base::{ids::OrgId, units::Bytes};
use orbs::Registry;
use pipeline::endpoints;
use serde_json::{Value, json};

/// All that is answered, for who asks something else.
const KNOWN: &str = "this appliance answers buildConfig, orbConfig, orb, orbs, orbVersion, orbCategories, registryNamespace, organization and me";

pub(super) fn routes() -> Routes {
    Routes::new()
        .post("/graphql-unstable", graphql)
        // The text itself may have 8 MB; quoted as JSON it grows.
        .body_max(Bytes::mib(20))
}

async fn graphql(
    Viewer(user): Viewer,
    state: State,
    large: Large<Value>,
) -> Result<Json<Value>, Failure> {
    let body = large.body;
    let query = body["query"].as_str().unwrap_or_default().to_owned();
    let variables = body["variables"].clone();
    let fields = orb_queries::root_fields(&query);
    let asks = |field: &str| fields.contains(&field);
    let data = if query.trim_start().starts_with("mutation") {
        Err(Failure::Invalid(IMPORTED.into()))
    } else if asks("buildConfig") {
        compiled(&state, variables, endpoints::build_config).await
    } else if asks("orbConfig") {
        compiled(&state, variables, endpoints::orb_config).await
    } else if fields.iter().any(|field| orb_queries::FIELDS.contains(field)) {
        orbs(&state, query, variables).await
    } else if asks("organization") {
        organization(&state, &query, &variables).await
    } else if asks("me") {
        Ok(me(&user))
    } else {
        Err(Failure::Invalid(KNOWN.into()))
    };
    Ok(Json(json!({ "data": data? })))
}

async fn compiled(
    state: &State,
    variables: Value,
    endpoint: super::compile::Endpoint,
) -> Result<Value, Failure> {
    let answered = answer(state, variables, "/config", endpoint).await?;
    answered.map_err(|error| Failure::Invalid(error.to_string()))
}

fn me(user: &User) -> Value {
    json!({ "me": { "id": user.id.to_string(), "name": user.login, "login": user.login } })
}

/// What `orb list`, `orb source` and `orb info` ask.
async fn orbs(state: &State, query: String, variables: Value) -> Result<Value, Failure> {
    off_thread(state, move |registry: &Registry| {
        let fields = orb_queries::root_fields(&query);
        let known = fields.into_iter().filter(|field| orb_queries::FIELDS.contains(field));
        let answers = known.map(|field| {
            let value = orb_queries::answer(registry, field, &query, &variables)?;
            Ok::<_, orbs::Error>((field.to_owned(), value))
        });
        answers.collect::<Result<serde_json::Map<_, _>, _>>().map(Value::Object)
    })
    .await
}

/// What `context` and `namespace` ask: an organisation by its id, or by its name, whatever forge it
/// is said to be on.
async fn organization(state: &State, query: &str, variables: &Value) -> Result<Value, Failure> {
    let text = |name| argument(query, variables, "organization", name).map(str::to_owned);
    let (id, name) = (text("id"), text("name").unwrap_or_default());
    let id: Option<OrgId> = id.map(|id| super::id(&id, "Organization")).transpose()?;
    let read = move |reader: &store::Reader<'_>| match id {
        Some(id) => reader.org_get(id),
        None => reader.org_by_name(&name),
    };
    let org = state.store.read(read).await?.ok_or_else(|| Failure::missing("Organization"))?;
    Ok(json!({ "organization": { "id": org.id, "name": org.name, "vcsType": "GITHUB" } }))
}
