//! The runner protocol over HTTP/1.1, through a Unix socket.
//!
//! Why own pooling over hyper's connection: a handful of connections to one known place need no
//! resolver, no proxy and no connector stack.
//! Invariants: an answer is read whole before its connection is used again; each exchange has a
//! deadline; a connection that broke while idle is replaced without the caller noticing.
//! On failure: 409 carries a [`Refusal`]; other 4xx a message for people; the rest is a
//! [`Trouble::Link`] and may be tried again.

use crate::control_plane::{ControlPlane, Trouble};
use base::{
    limits::CLAIM_WAIT,
    protocol::{
        CacheHit, Claim, Claimed, Heartbeat, Held, ImageSource, Pace, PaceAsk, Presigned, Refusal,
        Register, Registered, Report, Reported, StoreConfirm, StoreRequest, StoreTarget, Verdicts,
        Workspace,
    },
};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde::{Serialize, de::DeserializeOwned};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

mod body;
mod pool;

use body::Body;
use pool::{Pool, PoolError};

/// Longer than any answer takes but that of a claim.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// A pace that is late is taken for lost.
const PACE_WAIT: Duration = Duration::from_secs(5);

/// An object may be gigabytes; it must still end.
const OBJECT_WAIT: Duration = Duration::from_secs(3600);

/// The largest JSON answer that is read; an assignment with its plan stays far below.
const ANSWER_MAX: usize = 16 << 20;

/// Speaks to one control plane.
pub(crate) struct Client {
    pool: Pool,
}

impl Client {
    /// A client of the control plane that listens on `socket`; connects when first asked.
    #[must_use]
    pub(crate) fn over_unix(socket: PathBuf) -> Self {
        Self { pool: Pool::new(socket) }
    }

    /// Introduces the runner.
    pub(crate) async fn register(&self, register: &Register) -> Result<Registered, Trouble> {
        self.ask("register", "/runner/v1/register", register, ANSWER_WAIT).await
    }

    /// Waits for work.
    pub(crate) async fn claim(&self, claim: &Claim) -> Result<Claimed, Trouble> {
        self.ask("claim work", "/runner/v1/claim", claim, CLAIM_WAIT + ANSWER_WAIT).await
    }

    /// Renews the leases of held tasks.
    pub(crate) async fn heartbeat(&self, heartbeat: &Heartbeat) -> Result<Verdicts, Trouble> {
        self.ask("renew leases", "/runner/v1/heartbeat", heartbeat, ANSWER_WAIT).await
    }

    /// Waits for another pace.
    pub(crate) async fn pace(&self, ask: &PaceAsk) -> Result<Pace, Trouble> {
        self.ask("learn the pace", "/runner/v1/pace", ask, ask.wait + PACE_WAIT).await
    }

    /// Posts JSON and reads JSON.
    async fn ask<A: DeserializeOwned>(
        &self,
        attempt: &str,
        path: &str,
        question: &(impl Serialize + Sync),
        wait: Duration,
    ) -> Result<A, Trouble> {
        let answer = self.post(attempt, path, question, wait).await?;
        serde_json::from_slice(&answer).map_err(|source| link(attempt, source))
    }

    async fn post(
        &self,
        attempt: &str,
        path: &str,
        question: &(impl Serialize + Sync),
        wait: Duration,
    ) -> Result<Bytes, Trouble> {
        let json = serde_json::to_vec(question).map_err(|source| link(attempt, source))?;
        self.exchange(attempt, Method::POST, path, "application/json", json.into(), wait).await
    }

    /// One request with a small body, one answer, read whole.
    async fn exchange(
        &self,
        attempt: &str,
        method: Method,
        path: &str,
        media: &str,
        content: Bytes,
        wait: Duration,
    ) -> Result<Bytes, Trouble> {
        let request = || {
            Request::builder()
                .method(method.clone())
                .uri(path)
                .header(http::header::HOST, "appliance")
                .header(http::header::CONTENT_TYPE, media)
                .body(body::full(content.clone()))
        };
        self.answer(attempt, request, wait).await
    }

    /// The answer to a request, read whole.
    async fn answer(
        &self,
        attempt: &str,
        request: impl Fn() -> http::Result<Request<Body>>,
        wait: Duration,
    ) -> Result<Bytes, Trouble> {
        let talk = async {
            let (response, connection) = self.pool.send(request).await?;
            let status = response.status();
            let answer = collect(response).await?;
            self.pool.give_back(connection);
            Ok::<_, PoolError>((status, answer))
        };
        let (status, answer) = tokio::time::timeout(wait, talk)
            .await
            .map_err(|late| link(attempt, late))?
            .map_err(|error| trouble(attempt, error))?;
        verdict(attempt, status, answer)
    }

    async fn download(&self, attempt: &str, path: &str, into: &Path) -> Result<(), Trouble> {
        let request = || {
            Request::builder().uri(path).header(http::header::HOST, "appliance").body(body::empty())
        };
        let talk = async {
            let (response, connection) =
                self.pool.send(request).await.map_err(|source| link(attempt, source))?;
            if !response.status().is_success() {
                let status = response.status();
                let answer = collect(response).await.map_err(|error| trouble(attempt, error))?;
                return verdict(attempt, status, answer).map(drop);
            }
            body::save(response.into_body(), into)
                .await
                .map_err(|error| error.told_as(attempt, into))?;
            self.pool.give_back(connection);
            Ok(())
        };
        tokio::time::timeout(OBJECT_WAIT, talk).await.map_err(|late| link(attempt, late))?
    }

    async fn upload(
        &self,
        attempt: &str,
        path: &str,
        from: &Path,
        offset: u64,
        size: u64,
    ) -> Result<(), Trouble> {
        let file = |source| Trouble::File { attempt: format!("read {}", from.display()), source };
        // Otherwise a missing file would look like a broken link, and be tried for ever.
        std::fs::File::open(from).map_err(file)?;
        let request = || {
            Request::builder()
                .method(Method::PUT)
                .uri(path)
                .header(http::header::HOST, "appliance")
                .header(http::header::CONTENT_LENGTH, size)
                .body(body::file(from, offset, size))
        };
        self.answer(attempt, request, OBJECT_WAIT).await.map(drop)
    }
}

fn link(attempt: &str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Trouble {
    Trouble::Link { attempt: attempt.to_owned(), source: source.into() }
}

/// An answer that is too long will be so the next time, too.
fn trouble(attempt: &str, error: PoolError) -> Trouble {
    match error {
        PoolError::TooLong => {
            let most = base::units::Bytes(ANSWER_MAX as u64);
            let message = format!("could not {attempt}: the answer is longer than {most}");
            Trouble::Rejected { message }
        }
        other => link(attempt, other),
    }
}

async fn collect(response: Response<Incoming>) -> Result<Bytes, PoolError> {
    let limited = Limited::new(response.into_body(), ANSWER_MAX);
    let collected =
        limited.collect().await.map_err(|error| match error.is::<LengthLimitError>() {
            true => PoolError::TooLong,
            false => PoolError::Answer(error),
        })?;
    Ok(collected.to_bytes())
}

/// What an answer's status says.
fn verdict(attempt: &str, status: StatusCode, answer: Bytes) -> Result<Bytes, Trouble> {
    if status.is_success() {
        return Ok(answer);
    }
    if status == StatusCode::CONFLICT
        && let Ok(refusal) = serde_json::from_slice::<Refusal>(&answer)
    {
        return Err(refusal.into());
    }
    let message = message_of(&answer);
    // Asked too often or too early is no answer to the question.
    let later = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status);
    if status.is_client_error() && !later {
        return Err(Trouble::Rejected { message: format!("could not {attempt}: {message}") });
    }
    Err(link(attempt, format!("HTTP status {}: {message}", status.as_u16())))
}

/// The `message` of a JSON error, or the text itself.
fn message_of(answer: &[u8]) -> String {
    let json = serde_json::from_slice::<serde_json::Value>(answer).ok();
    let told =
        json.as_ref().and_then(|json| json.get("message")).and_then(|message| message.as_str());
    told.map_or_else(
        || String::from_utf8_lossy(answer).trim().chars().take(2000).collect(),
        str::to_owned,
    )
}

fn of_task(task: Held, what: &str) -> String {
    format!("/runner/v1/tasks/{}/{what}?fence={}", task.task, task.fence)
}

/// The path of a presigned URL on this connection.
fn path_of<'a>(attempt: &str, presigned: &'a Presigned) -> Result<&'a str, Trouble> {
    let url = presigned.url.expose();
    if url.starts_with('/') {
        return Ok(url);
    }
    // The address carries a signature and is not shown.
    let message = format!(
        "could not {attempt}: objects elsewhere than on the control plane need a remote runner"
    );
    Err(Trouble::Rejected { message })
}

impl ControlPlane for Client {
    const JOBS_OUTLIVE: bool = true;

    async fn report(&self, report: &Report) -> Result<Reported, Trouble> {
        let path = format!("/runner/v1/report?fence={}", report.fence);
        self.ask("report progress", &path, report, ANSWER_WAIT).await
    }

    async fn output(
        &self,
        task: Held,
        step: u32,
        offset: u64,
        bytes: Bytes,
    ) -> Result<(), Trouble> {
        let Held { task, fence } = task;
        let path =
            format!("/runner/v1/output?task={task}&fence={fence}&step={step}&offset={offset}");
        let media = "application/octet-stream";
        self.exchange("send output", Method::PUT, &path, media, bytes, ANSWER_WAIT).await.map(drop)
    }

    async fn store(&self, task: Held, request: &StoreRequest) -> Result<StoreTarget, Trouble> {
        self.ask("ask for a place in the store", &of_task(task, "store"), request, ANSWER_WAIT)
            .await
    }

    async fn confirm(&self, task: Held, confirm: &StoreConfirm) -> Result<(), Trouble> {
        self.post("confirm a stored object", &of_task(task, "confirm"), confirm, ANSWER_WAIT)
            .await
            .map(drop)
    }

    async fn cache(&self, task: Held, keys: &[String]) -> Result<Option<CacheHit>, Trouble> {
        let question = serde_json::json!({ "keys": keys });
        self.ask("look for a cache", &of_task(task, "cache"), &question, ANSWER_WAIT).await
    }

    async fn workspace(&self, task: Held) -> Result<Workspace, Trouble> {
        let question = serde_json::json!({});
        self.ask("list the workspace", &of_task(task, "workspace"), &question, ANSWER_WAIT).await
    }

    async fn image(&self, task: Held, reference: &str) -> Result<ImageSource, Trouble> {
        let question = serde_json::json!({ "reference": reference });
        self.ask("find the image", &of_task(task, "image"), &question, ANSWER_WAIT).await
    }

    async fn checkout(&self, task: Held, into: &Path) -> Result<(), Trouble> {
        self.download("check out the commit", &of_task(task, "checkout"), into).await
    }

    async fn timings(&self, task: Held, into: &Path) -> Result<(), Trouble> {
        self.download("ask what tests took", &of_task(task, "timings"), into).await
    }

    async fn get(&self, from: &Presigned, into: &Path) -> Result<(), Trouble> {
        self.download("fetch an object", path_of("fetch an object", from)?, into).await
    }

    async fn put(
        &self,
        to: &Presigned,
        from: &Path,
        offset: u64,
        size: u64,
    ) -> Result<(), Trouble> {
        self.upload("store an object", path_of("store an object", to)?, from, offset, size).await
    }
}

#[cfg(test)]
mod tests;
