//! Is it alive, is it ready, and whom to trust.

use crate::{
    State,
    access::{Public, Routes},
    error::Failure,
};
use axum::response::{IntoResponse, Response};
use http::header;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/healthz", alive)
        .get("/readyz", ready)
        .get("/.well-known/appliance-ca.pem", authority)
}

async fn alive(_: Public) -> &'static str {
    "ok\n"
}

/// Ready when the store answers, and may be written to.
async fn ready(_: Public, state: State) -> Result<&'static str, Failure> {
    if state.store.is_broken() {
        return Err(store::Error::Broken.into());
    }
    state.store.read(|reader| reader.event_last()).await?;
    Ok("ready\n")
}

async fn authority(_: Public, state: State) -> Result<Response, Failure> {
    let pem = state.config.authority.clone().ok_or_else(|| Failure::missing("Authority"))?;
    let kind = [(header::CONTENT_TYPE, "application/x-pem-file")];
    Ok((kind, pem).into_response())
}
