//! Bodies of many megabytes: a few at a time, and read within a bound of time.
//!
//! Why: such a body is held in memory as a whole before anybody knows what is in it, and one of
//! these doors opens to everybody who knows a key that stands in the body.
//! Invariants: at most [`AT_ONCE`] are read and worked on at the same time; a client that does not
//! send on is cut.

use crate::{State, error::Failure};
use axum::{
    Json,
    extract::{FromRequest, Request, rejection::JsonRejection},
};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Four of 20 MiB are what a small machine can spare.
const AT_ONCE: usize = 4;

/// 20 MiB over a link of 3 Mbit/s.
const READ: Duration = Duration::from_secs(60);

/// A wait in line is shorter than most clients' patience.
const LINE: Duration = Duration::from_secs(10);

/// Room for large bodies, shared by all doors that take them.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// A large JSON body; keeps its place until it is dropped.
pub(crate) struct Large<T> {
    pub(crate) body: T,
    _place: OwnedSemaphorePermit,
}

impl<T: DeserializeOwned> FromRequest<State> for Large<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &State) -> Result<Self, Failure> {
        let busy =
            || Failure::Unavailable("several large requests are being worked on: try again".into());
        let wait = Arc::clone(&state.large().0).acquire_owned();
        let place =
            tokio::time::timeout(LINE, wait).await.ok().and_then(Result::ok).ok_or_else(busy)?;
        let read = tokio::time::timeout(READ, Json::<T>::from_request(request, state)).await;
        let late =
            |_| Failure::Invalid(format!("the request did not come within {} s", READ.as_secs()));
        let Json(body) =
            read.map_err(late)?.map_err(|error: JsonRejection| Failure::from(error))?;
        Ok(Self { body, _place: place })
    }
}
