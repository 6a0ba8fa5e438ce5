//! Bodies of many megabytes: a few at a time, and read within a bound of time.
//!
//! Why: such a body is held in memory as a whole before anybody knows what is in it, and one of
//! these doors opens to everybody who knows a key that stands in the body.
//! Invariants: at most [`AT_ONCE`] are read and worked on at the same time, and at most [`STRANGERS`] of
//! callers who have shown nothing, who keep nobody else waiting; a client that does not send on is cut.

use crate::{State, error::Failure};
use axum::{
    Json,
    body::Body,
    extract::{FromRequest, Request, rejection::JsonRejection},
};
use bytes::BytesMut;
use futures_util::{StreamExt, future, stream};
use serde::de::DeserializeOwned;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Four of 20 MiB are what a small machine can spare.
const AT_ONCE: usize = 4;

/// Large bodies of callers who have shown nothing.
const STRANGERS: usize = 1;

/// 20 MiB over a link of 3 Mbit/s.
const READ: Duration = Duration::from_secs(60);

/// A wait in line is shorter than most clients' patience.
const LINE: Duration = Duration::from_secs(10);

/// What is read of a keyed body before it has a place: most such bodies whole.
const HEAD: usize = 64 << 10;

/// Room for large bodies, shared by all doors that take them.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Default for Room {
    fn default() -> Self {
        let places = |number| Arc::new(Semaphore::new(number));
        Self { known: places(AT_ONCE), strangers: places(STRANGERS) }
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
        read(request, state, &state.large().known).await
    }
}

/// A body that holds the key of its door: one that does so early has a place among those who logged in.
pub(crate) trait Keyed: DeserializeOwned {
    /// The name of the key's member.
    const KEY: &'static str;

    /// Did this site make the key?
    fn opens(state: &State, key: &str) -> bool;
}

/// A large JSON body of somebody who did not log in.
pub(crate) struct LargeKeyed<T>(pub(crate) Large<T>);

impl<T: Keyed> FromRequest<State> for LargeKeyed<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &State) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let (head, body) = timeout(READ, begun(body)).await.map_err(|_| late())??;
        let is_known = member(&head, T::KEY).is_some_and(|key| T::opens(state, key));
        let room = state.large();
        let places = if is_known { &room.known } else { &room.strangers };
        read(Request::from_parts(parts, body), state, places).await.map(Self)
    }
}

async fn read<T: DeserializeOwned>(
    request: Request,
    state: &State,
    places: &Arc<Semaphore>,
) -> Result<Large<T>, Failure> {
    let busy =
        || Failure::Unavailable("several large requests are being worked on: try again".into());
    let wait = Arc::clone(places).acquire_owned();
    let place = timeout(LINE, wait).await.ok().and_then(Result::ok).ok_or_else(busy)?;
    let read = timeout(READ, Json::<T>::from_request(request, state)).await;
    let Json(body) =
        read.map_err(|_| late())?.map_err(|error: JsonRejection| Failure::from(error))?;
    Ok(Large { body, _place: place })
}

fn late() -> Failure {
    Failure::Invalid(format!("the request did not come within {} s", READ.as_secs()))
}

/// What a body begins with, and the body as if nothing had been read of it.
async fn begun(body: Body) -> Result<(BytesMut, Body), Failure> {
    let mut rest = body.into_data_stream();
    let mut head = BytesMut::new();
    while head.len() < HEAD {
        let Some(part) = rest.next().await else { break };
        let cut = |_| Failure::Invalid("the request ended before its body had come".into());
        head.extend_from_slice(&part.map_err(cut)?);
    }
    let first = stream::once(future::ready(Ok(head.clone().freeze())));
    Ok((head, Body::from_stream(first.chain(rest))))
}

/// The text of a member, as far as the beginning of a JSON object shows it.
fn member<'a>(head: &'a [u8], name: &str) -> Option<&'a str> {
    let name = format!("\"{name}\"");
    let after = memchr::memmem::find(head, name.as_bytes())? + name.len();
    let value = head[after..].trim_ascii_start().strip_prefix(b":")?;
    let text = value.trim_ascii_start().strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', text)?;
    std::str::from_utf8(&text[..end]).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_found_where_the_body_begins() {
        let check = |head: &str, expected: Option<&str>| {
            assert_eq!(member(head.as_bytes(), "key"), expected, "{head}");
        };
        check(r#"{"key":"ab","configuration":""#, Some("ab"));
        check("{\n  \"key\" : \"ab\"", Some("ab"));
        check(r#"{"configuration":"\"key\": \"no\"","key":"ab"}"#, Some("ab"));
        check(r#"{"key":"a"#, None);
        check(r#"{"key":7}"#, None);
        check(r#"{"configuration":"x""#, None);
    }

    #[tokio::test]
    async fn a_body_of_which_the_head_was_read_is_whole() {
        let whole: Vec<u8> = (0..3 * HEAD).map(|n| n.to_le_bytes()[0]).collect();
        let parts: Vec<_> =
            whole.chunks(1000).map(|part| Ok::<_, axum::Error>(part.to_vec())).collect();
        let (head, body) = begun(Body::from_stream(stream::iter(parts))).await.unwrap();
        assert!(head.len() >= HEAD && head.len() < HEAD + 1000);
        assert_eq!(axum::body::to_bytes(body, usize::MAX).await.unwrap(), whole);
    }
}
