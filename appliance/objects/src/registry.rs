//! The OCI registry at `/v2/`, over the same blobs that jobs run from.
//!
//! Source: OCI distribution specification 1.1, with Docker's token service beside it.
//! The way: [`Objects::registry`] takes a request apart, asks the caller's permission for the
//! repository, and hands it to one handler. Who the caller is was found out before: this room
//! knows no users.
//! Invariants: a blob is known by the SHA-256 of its bytes, computed here; a manifest is taken only
//! with everything that it names; all that one request changes is one transaction; a repository
//! gives out only what was pushed to it or mounted from where the caller may pull.
//! On failure: the specification's error codes; nothing half-done is visible.

mod blob;
mod fault;
mod incoming;
mod list;
mod manifest;
mod pass;
mod route;
mod upload;

pub use pass::PASS_LIFE;
pub(crate) use upload::Sessions;

use crate::{objects::Objects, query::Query};
use axum::{body::Body, response::Response};
use fault::{Code, Fault};
use http::{HeaderValue, Method, Request, StatusCode, header};
use route::Route;
use std::{
    fmt,
    sync::{Arc, Mutex},
};
use store::Txn;

/// What is done with a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Get and list.
    Pull,
    /// Put, also over what is there.
    Push,
    /// Remove tags, manifests and blobs.
    Delete,
}

impl Action {
    /// Its word in a token's scope.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Delete => "delete",
        }
    }

    const ALL: [Self; 3] = [Self::Pull, Self::Push, Self::Delete];
}

type May = dyn Fn(&str, Action) -> bool + Send + Sync;

type Write = dyn Fn(&Txn<'_>) -> Result<(), store::Error> + Send + Sync;

/// What is written in the transaction of a removal.
#[derive(Clone, Default)]
struct Note(Option<Arc<Write>>);

impl Note {
    /// Writes it when something was removed.
    fn when(&self, removed: bool, txn: &Txn<'_>) -> Result<(), store::Error> {
        self.0.as_ref().filter(|_| removed).map_or(Ok(()), |write| write(txn))
    }
}

/// Somebody who proved who they are, and what they may.
#[derive(Clone)]
pub struct Caller {
    may: Arc<May>,
    /// A pass is bound to what it was asked for; whoever needs more gets another one.
    by_pass: bool,
    /// A pass for the names of all repositories.
    lists_all: bool,
    /// What they proved it by, in the words of whoever found them.
    proof: Option<String>,
    /// Who they are; empty for all whom nobody tells apart.
    account: String,
    note: Note,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("by_pass", &self.by_pass).finish_non_exhaustive()
    }
}

impl Caller {
    /// A caller who may do with a repository (`ns/app`) what `may` says.
    #[must_use]
    pub fn new(may: impl Fn(&str, Action) -> bool + Send + Sync + 'static) -> Self {
        Self {
            may: Arc::new(may),
            by_pass: false,
            lists_all: false,
            proof: None,
            account: String::new(),
            note: Note::default(),
        }
    }

    /// The same, with a note of what they proved themselves by: their passes give it back.
    #[must_use]
    pub fn proved_by(self, proof: String) -> Self {
        Self { proof: Some(proof), ..self }
    }

    /// The same, known as this account: what one account has begun is bounded.
    #[must_use]
    pub fn known_as(self, account: impl Into<String>) -> Self {
        Self { account: account.into(), ..self }
    }

    /// The same; when the request removes something, this is written in the same transaction.
    #[must_use]
    pub fn noting(
        self,
        write: impl Fn(&Txn<'_>) -> Result<(), store::Error> + Send + Sync + 'static,
    ) -> Self {
        Self { note: Note(Some(Arc::new(write))), ..self }
    }

    /// What the caller, or whoever asked for a pass, was proved by.
    #[must_use]
    pub fn proof(&self) -> Option<&str> {
        self.proof.as_deref()
    }

    /// The holder of a pass, who may do no more than its owner may now.
    #[must_use]
    pub fn within(self, owner: Self) -> Self {
        let lists_all = self.lists_all && owner.may("*", Action::Pull);
        let (granted, owners) = (Arc::clone(&self.may), owner.may);
        let may = move |name: &str, action| granted(name, action) && owners(name, action);
        Self { may: Arc::new(may), lists_all, ..self }
    }

    fn may(&self, repository: &str, action: Action) -> bool {
        (self.may)(repository, action)
    }
}

/// A request on its way through the handlers.
struct Call {
    objects: Objects,
    caller: Option<Caller>,
    parts: http::request::Parts,
    /// Behind a lock only because a body cannot be shared between threads.
    body: Mutex<Body>,
    /// Where passes are given out.
    realm: String,
}

impl Call {
    /// Lets the caller go on, or tells what they lack.
    fn permit(&self, repository: &str, action: Action) -> Result<(), Fault> {
        let wanted = format!("repository:{repository}:{}", wanted(action));
        let Some(caller) = &self.caller else {
            return Err(Fault::unauthorized(&self.realm, &wanted, "log in first"));
        };
        if caller.may(repository, action) {
            return Ok(());
        }
        let why = format!("you may not {} `{repository}`", action.name());
        if caller.by_pass {
            return Err(Fault::unauthorized(&self.realm, &wanted, &why));
        }
        Err(Code::Denied.says(why))
    }

    /// What is written beside a removal.
    fn note(&self) -> Note {
        self.caller.as_ref().map(|caller| caller.note.clone()).unwrap_or_default()
    }

    /// Who calls, as far as they are told apart.
    fn account(&self) -> &str {
        self.caller.as_ref().map_or("", |caller| &caller.account)
    }

    /// A parameter of the query, decoded.
    fn param(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query().unwrap_or_default();
        Query::parse(query).get(name).map(str::to_owned)
    }

    fn header(&self, name: header::HeaderName) -> Option<&str> {
        self.parts.headers.get(name)?.to_str().ok()
    }

    /// The number of a page, bounded.
    fn page(&self) -> Result<u32, Fault> {
        let Some(text) = self.param("n") else { return Ok(list::PAGE_MAX) };
        let number: u32 = text.parse().map_err(|_| Code::PaginationNumberInvalid.plain())?;
        Ok(number.min(list::PAGE_MAX))
    }
}

/// What a client that lacks `action` should ask for.
fn wanted(action: Action) -> &'static str {
    match action {
        Action::Pull => "pull",
        Action::Push => "pull,push",
        Action::Delete => "pull,push,delete",
    }
}

impl Objects {
    /// Answers a request whose path begins with `/v2/`. `caller` is `None` for somebody who showed
    /// nothing; `realm` is the absolute address of `/v2/token` as the caller reaches it.
    pub async fn registry(
        &self,
        request: Request<Body>,
        caller: Option<Caller>,
        realm: &str,
    ) -> Response {
        let path = request.uri().path().to_owned();
        let (parts, body) = request.into_parts();
        let (objects, body, realm) = (self.clone(), Mutex::new(body), realm.to_owned());
        let call = Call { objects, caller, parts, body, realm };
        let mut response = match dispatch(call, &path).await {
            Ok(response) => response,
            Err(fault) => fault.response(),
        };
        let version = HeaderValue::from_static("registry/2.0");
        response.headers_mut().insert("docker-distribution-api-version", version);
        response
    }

    /// The answer to somebody whose proof is worth nothing, or who tries too often.
    #[must_use]
    pub fn registry_refuse(status: StatusCode, why: &str, realm: &str) -> Response {
        match status {
            StatusCode::UNAUTHORIZED => Fault::unauthorized(realm, "", why).response(),
            StatusCode::TOO_MANY_REQUESTS => Code::TooManyRequests.says(why).response(),
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable.says(why).response(),
            _ => Code::Denied.says(why).response(),
        }
    }
}

async fn dispatch(call: Call, path: &str) -> Result<Response, Fault> {
    let method = call.parts.method.clone();
    let get = method == Method::GET || method == Method::HEAD;
    let route = route::parse(path);
    if call.caller.is_none() && route.is_err() {
        return Err(Fault::unauthorized(&call.realm, "", "log in first"));
    }
    match (route?, method) {
        (Route::Base, _) if get => base(&call),
        (Route::Token, Method::GET) => pass::give(&call),
        (Route::Catalogue, Method::GET) => list::catalogue(&call).await,
        (Route::Tags(name), Method::GET) => list::tags(&call, name).await,
        (Route::Referrers(name, digest), Method::GET) => list::referrers(&call, name, digest).await,
        (Route::Manifest(name, reference), _) if get => manifest::get(&call, name, reference).await,
        (Route::Manifest(name, reference), Method::PUT) => {
            manifest::put(call, name, reference).await
        }
        (Route::Manifest(name, reference), Method::DELETE) => {
            manifest::delete(&call, name, reference).await
        }
        (Route::Blob(name, digest), _) if get => blob::get(&call, name, digest).await,
        (Route::Blob(name, digest), Method::DELETE) => blob::delete(&call, name, digest).await,
        (Route::Uploads(name), Method::POST) => upload::begin(call, name).await,
        (Route::Upload(name, id), _) if get => upload::state(&call, name, id).await,
        (Route::Upload(name, id), Method::PATCH) => upload::chunk(call, name, id).await,
        (Route::Upload(name, id), Method::PUT) => upload::finish(call, name, id).await,
        (Route::Upload(name, id), Method::DELETE) => upload::cancel(&call, name, id).await,
        _ => Err(Code::Unsupported.plain()),
    }
}

/// "Is there a registry, and do you know me?"
fn base(call: &Call) -> Result<Response, Fault> {
    if call.caller.is_none() {
        return Err(Fault::unauthorized(&call.realm, "", "log in first"));
    }
    Ok(fault::json(StatusCode::OK, &serde_json::json!({})))
}
