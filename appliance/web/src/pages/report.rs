//! Reports: pages of HTML that a build made, with the style sheets and images beside them.
//!
//! Why an address that bears its own proof: a page in the sandbox has no origin, so that its browser
//! sends no cookie with the requests for what belongs to it. The proof stands in the path, before the
//! artifact's own path, so that relative addresses keep it.
//! Invariants: a pass opens the artifacts of one task, to look at; it is made for a browser's session,
//! and ends with it, after [`LIFE`], and when the program starts again. What it opens is as sandboxed
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
use base::{
    ids::{SessionId, TaskId},
    time::Timestamp,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue, header, request::Parts};
use sha2::Sha256;
use std::time::Duration;

/// Long enough to read a report.
const LIFE: Duration = Duration::from_secs(3600);

/// Style sheets and images may come from where the page came from, and from nowhere else.
const POLICY: &str = "default-src 'none'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
frame-ancestors 'self'; sandbox";

pub(super) fn routes() -> Routes {
    Routes::new().get("/reports/{pass}/{task}/{*path}", show)
}

/// Signs passes; a new one at every start.
#[derive(Clone)]
pub(crate) struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    pub(crate) fn random() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("the kernel gives random bytes once it has booted");
        Self(bytes)
    }

    fn mac(&self, words: &str) -> Hmac<Sha256> {
        let mut mac =
            <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("HMAC takes any key length");
        mac.update(words.as_bytes());
        mac
    }

    /// The sign of what a pass says.
    pub(crate) fn sign(&self, words: &str) -> String {
        BASE64.encode(self.mac(words).finalize().into_bytes())
    }

    /// Is it the sign that this key made of these words?
    pub(crate) fn fits(&self, words: &str, sign: &str) -> bool {
        BASE64.decode(sign).is_ok_and(|sign| self.mac(words).verify_slice(&sign).is_ok())
    }

    fn pass(&self, session: SessionId, until: i64, task: TaskId) -> String {
        let words = format!("{session}.{until}.{task}");
        format!("{session}.{until}.{}", self.sign(&words))
    }

    /// The session of a pass that this key made for the task and that is not over.
    fn session(&self, pass: &str, task: TaskId, now: Timestamp) -> Option<SessionId> {
        let (session, rest) = pass.split_once('.')?;
        let (until, sign) = rest.split_once('.')?;
        let (session, until): (SessionId, i64) = (session.parse().ok()?, until.parse().ok()?);
        let is_ours = self.fits(&format!("{session}.{until}.{task}"), sign);
        (is_ours && now.0 < until).then_some(session)
    }
}

/// Where an artifact's page is shown with what belongs to it; for a caller without a session, where it
/// is shown alone.
pub(super) fn address(state: &State, user: &User, task: TaskId, artifact: &str) -> String {
    let Via::Session(session) = user.via else { return artifact.to_owned() };
    let pass = state.report_key().pass(session, state.now().plus(LIFE).0, task);
    artifact.replacen("/artifacts", &format!("/reports/{pass}"), 1)
}

/// Whoever has a pass.
pub(crate) struct Reader {
    task: TaskId,
    path: String,
}

impl Permit for Reader {
    const NAME: &'static str = "report";
}

impl FromRequestParts<State> for Reader {
    type Rejection = Failure;
    async fn from_request_parts(parts: &mut Parts, state: &State) -> Result<Self, Failure> {
        let place = Path::<(String, TaskId, String)>::from_request_parts(parts, state).await?;
        let Path((pass, task, path)) = place;
        let now = state.now();
        let session = state.report_key().session(&pass, task, now).ok_or(Failure::Unproven)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_pass_opens_its_task_in_its_time_and_nothing_else() {
        let (key, other) = (Key([1; 32]), Key([2; 32]));
        let session = SessionId(Uuid::from_u128(1));
        let (task, foreign) = (TaskId(Uuid::from_u128(2)), TaskId(Uuid::from_u128(3)));
        let pass = key.pass(session, 100, task);
        assert_eq!(key.session(&pass, task, Timestamp(99)), Some(session));
        assert_eq!(key.session(&pass, task, Timestamp(100)), None);
        assert_eq!(key.session(&pass, foreign, Timestamp(99)), None);
        assert_eq!(other.session(&pass, task, Timestamp(99)), None);
        let longer = pass.replace(".100.", ".900.");
        for bad in ["", ".", "..", &longer, &pass[1..]] {
            assert_eq!(key.session(bad, task, Timestamp(99)), None, "{bad}");
        }
    }
}
