//! Reports: pages of HTML that a build made, with the style sheets and images beside them.
//!
//! Why an address that bears its own proof: a page in the sandbox has no origin, so that its browser
//! sends no cookie with the requests for what belongs to it. The proof stands in the path, before the
//! artifact's own path, so that relative addresses keep it.
//! Invariants: a pass opens the artifacts of one task, to look at; it is made for a browser's session,
//! and ends with it, after an hour, and when the program starts again. What it opens is as sandboxed
//! as without it.
//! On failure: as for somebody who is not logged in; the page about the artifact makes a new pass.

use super::{artifacts, media};
use crate::{
    State,
    access::{Permit, Routes, User, Via},
    error::Failure,
};
use axum::{
    extract::{FromRequestParts, Path},
    response::Response,
};
use base::ids::TaskId;
use http::{HeaderName, HeaderValue, header, request::Parts};

/// The kind of its passes.
const KIND: &str = "report";

/// Style sheets and images may come from where the page came from, and from nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
frame-ancestors 'self'; sandbox";

pub(super) fn routes() -> Routes {
    Routes::new().get("/reports/{pass}/{task}/{*path}", show)
}

/// Where an artifact's page is shown with what belongs to it; for a caller without a session, where it
/// is shown alone.
pub(super) fn address(state: &State, user: &User, task: TaskId, artifact: &str) -> String {
    let Via::Session(session) = user.via else { return artifact.to_owned() };
    let pass = state.pass_key().pass(KIND, session, task, state.now());
    artifact.replacen("/artifacts", &format!("/reports/{pass}"), 1)
}

/// Whoever has a pass.
pub(crate) struct Reader {
    task: TaskId,
    path: String,
}

impl Permit for Reader {
    const NAME: &'static str = KIND;
}

impl FromRequestParts<State> for Reader {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        let place = Path::<(String, TaskId, String)>::from_request_parts(parts, state).await?;
        let Path((pass, task, path)) = place;
        let now = state.now();
        let session = state.pass_key().holder(KIND, &pass, task, now).ok_or(Failure::Unproven)?;
        let holder = state.store.read(move |reader| reader.session_holder(session, now)).await?;
        holder.filter(|user| !user.one_time).ok_or(Failure::Unproven)?;
        Ok(Self { task, path })
    }
}

async fn show(Reader { task, path }: Reader, state: State) -> Result<Response, Failure> {
    let found = artifacts::find(&state, None, task, path).await?;
    let object = artifacts::open(&state, &found.artifact).await?;
    let mut answer = media::answer(object, &found.artifact.path, &media::Asked::default());
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // To a browser, what belongs to a page without an origin is asked for from elsewhere.
    let resource = HeaderName::from_static("cross-origin-resource-policy");
    headers.insert(resource, HeaderValue::from_static("cross-origin"));
    Ok(answer)
}
