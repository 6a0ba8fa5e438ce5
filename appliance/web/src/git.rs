//! Git over HTTPS: clone, fetch and push at `/git/<org>/<repo>.git`.
//!
//! Why here: `repos` knows what the bytes mean; this face knows who may call, makes the project when
//! its first push is taken (a look, or a push that is refused, makes none), and sees to it that each push brings forth its pipelines.
//! Invariants: a push is noted in the store before its references move, and told to the engine
//! after; the engine takes a push and reference once, so that telling twice does no harm. What a
//! cut left untold is told at the next start ([`tell_open_pushes`]).
//! On failure: the message is plain text, which Git shows after `remote:`.

mod door;
mod pushes;
mod watcher;
mod who;

use crate::{
    State,
    access::{Anyone, Routes},
    error::Failure,
};
use axum::{
    body::Body,
    extract::{Path, Query, Request},
    response::{IntoResponse, Response},
};
use door::Purpose;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use repos::http::Service;
use serde::Deserialize;
use std::sync::Arc;
use watcher::Watcher;

pub(crate) use pushes::set_default_branch;
pub use pushes::tell_open_pushes;

pub(crate) fn routes() -> Routes {
    Routes::new()
        .get("/git/{org}/{repo}/info/refs", info_refs)
        .post("/git/{org}/{repo}/git-upload-pack", upload_pack)
        .post("/git/{org}/{repo}/git-receive-pack", receive_pack)
        .body_unbounded()
}

type Place = Path<(String, String)>;

/// The query of `info/refs`.
#[derive(Deserialize)]
struct Asked {
    service: Option<String>,
}

async fn info_refs(
    Anyone(caller): Anyone,
    state: State,
    Path((org, repo)): Place,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let Some(service) = asked.service.as_deref().and_then(Service::from_name) else {
        let why = "this address speaks Git's smart protocol only; use Git 1.6.6 or newer";
        return tell(&Failure::Forbidden(why.into()));
    };
    let purpose = match service {
        Service::UploadPack => Purpose::Fetch,
        Service::ReceivePack => Purpose::Push,
    };
    match door::look(&state, caller, &org, &repo, purpose).await {
        Ok(Some(repository)) => {
            repos::http::advertise(repository, service, &headers).await.map(Body::new)
        }
        Ok(None) => repos::http::advertise_new(&headers).map(Body::new),
        Err(failure) => tell(&failure),
    }
}

async fn upload_pack(
    Anyone(caller): Anyone,
    state: State,
    Path((org, repo)): Place,
    request: Request,
) -> Response {
    match door::enter(&state, caller, &org, &repo, Purpose::Fetch).await {
        Ok(entered) => {
            let (parts, body) = request.into_parts();
            repos::http::upload_pack(entered.repository, &parts.headers, body).await.map(Body::new)
        }
        Err(failure) => tell(&failure),
    }
}

async fn receive_pack(
    Anyone(caller): Anyone,
    state: State,
    Path((org, repo)): Place,
    request: Request,
) -> Response {
    match door::enter(&state, caller, &org, &repo, Purpose::Push).await {
        Ok(entered) => {
            let (parts, body) = request.into_parts();
            let policy = entered.who.policy(&entered.settings());
            let repository = entered.repository.clone();
            let watcher = Arc::new(Watcher::new(state, entered));
            repos::http::receive_pack(repository, &parts.headers, body, policy, watcher)
                .await
                .map(Body::new)
        }
        Err(failure) => tell(&failure),
    }
}

/// A failure in the form that Git shows to its user.
fn tell(failure: &Failure) -> Response {
    if let Failure::Inside(cause) = failure {
        tracing::error!(error = &**cause as &dyn std::error::Error, "a Git request failed inside");
    }
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    let mut response = (failure.status(), format!("{failure}\n")).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    if failure.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static(r#"Basic realm="appliance", charset="UTF-8""#);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
