//! From rows to the words of `base` and back.
//!
//! Identifiers bind as `id.0` (16 bytes), times as `at.0`, numbers as `n.0`, states and names as
//! `state.as_str()`; texts are parsed by [`parsed`], structured values by [`json`].

use crate::error::Error;
use base::time::Timestamp;
use rusqlite::{Row, types::Type};
use serde::{Serialize, de::DeserializeOwned};
use std::{str::FromStr, sync::Arc, time::Duration};
use uuid::{ContextV7, Uuid};

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn unreadable(column: usize, cause: impl Into<Failure>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, cause.into())
}

/// Reads a text column with the type's own parser.
pub(crate) fn parsed<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|error| unreadable(column, error))
}

/// Reads a JSON column.
pub(crate) fn json<T: DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|error| unreadable(column, error))
}

/// Reads a column in a form of our own; `read` gives `None` when the bytes make no sense.
pub(crate) fn formed<T>(
    row: &Row<'_>,
    column: usize,
    read: impl Fn(&[u8]) -> Option<T>,
) -> rusqlite::Result<T> {
    let bytes = row.get_ref(column)?.as_blob()?;
    read(bytes).ok_or_else(|| unreadable(column, "the stored bytes have no known form"))
}

/// Writes a value for a JSON column; `what` names it in the error.
pub(crate) fn to_json<T: Serialize>(what: &'static str, value: &T) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::Form { what, source: Arc::new(error) })
}

/// A new identifier whose rows sort by age.
pub(crate) fn new_id(at: Timestamp) -> Uuid {
    let since = Duration::from_micros(u64::try_from(at.0).unwrap_or(0));
    let place = ContextV7::new();
    Uuid::new_v7(uuid::Timestamp::from_unix(&place, since.as_secs(), since.subsec_nanos()))
}
