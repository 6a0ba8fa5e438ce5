//! The door through which a setup job continues its pipeline.
//!
//! Nobody logs in here: the continuation key, known to the jobs of one setup workflow alone, is
//! the permit. Refusals are 400 with the original's form; its continuation orb shows them.

use super::{
    large::{Keyed, LargeKeyed},
    message,
};
use crate::{
    State,
    access::{Public, Routes},
    error::Failure,
};
use axum::Json;
use base::{trigger::ParameterValue, units::Bytes};
use http::StatusCode;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;
use std::fmt::Write as _;
use store::Reader;

pub(super) fn routes() -> Routes {
    // The text itself may have 8 MB; quoted as JSON it grows.
    Routes::new().post("/api/v2/pipeline/continue", go_on).body_max(Bytes::mib(20))
}

/// What to go on with.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Wanted {
    continuation_key: String,
    configuration: String,
    #[serde(default)]
    parameters: Option<IndexMap<String, ParameterValue>>,
}

impl Keyed for Wanted {
    const KEY: &'static str = "continuation-key";

    fn opens(state: &State, key: &str) -> bool {
        let made = |reader: &Reader<'_>| Ok::<_, store::Error>(reader.continuation_pipeline(key));
        matches!(state.store.look(made), Ok(Some(_)))
    }
}

async fn go_on(
    _: Public,
    state: State,
    LargeKeyed(large): LargeKeyed<Wanted>,
) -> Result<(StatusCode, Json<Value>), Failure> {
    let Wanted { continuation_key, configuration, parameters } = large.body;
    let parameters = parameters.unwrap_or_default();
    match state.engine.continue_pipeline(continuation_key, configuration, parameters).await {
        Ok((_, timed)) => Ok(message(StatusCode::OK, &told(&timed))),
        Err(engine::Error::Conflict(why)) => Err(Failure::Invalid(why)),
        Err(other) => Err(other.into()),
    }
}

/// What the one hears who continued: the orb shows it in the job's log.
fn told(timed: &[String]) -> String {
    let mut told = "Pipeline successfully continued.".to_owned();
    if !timed.is_empty() {
        let names = timed.join("`, `");
        let _ = write!(
            told,
            " Its `triggers` count for nothing in a continued configuration (`{names}`): put them into that with `setup: true`, or make a schedule of the project."
        );
    }
    told
}
