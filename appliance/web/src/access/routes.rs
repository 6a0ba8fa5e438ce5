//! Routes that state in their type who may call them.
//!
//! Why: an open route is forgotten, not decided. Here a handler is accepted only when its first
//! argument is a [`Permit`]: the argument admits the caller or answers in the handler's place.
//!
//! ```compile_fail
//! # use web::access::Routes;
//! async fn secrets() -> &'static str { "everything" }
//! let open = Routes::new().get("/secrets", secrets);
//! ```
//!
//! ```
//! # use web::access::{Admin, Routes};
//! async fn secrets(_: Admin) -> &'static str { "everything" }
//! let guarded = Routes::new().get("/secrets", secrets);
//! ```
//!
//! Invariants: every route is listed in [`Routes::table`] with its permit, so that one test can
//! try each route with each kind of caller.

use crate::{State, error::Failure};
use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    handler::Handler,
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{MethodFilter, on},
};
use base::units::Bytes;
use std::time::Duration;

/// Proof that the caller may be here; made only by reading it from a request.
pub trait Permit: axum::extract::FromRequestParts<State> {
    /// As shown in the table of routes.
    const NAME: &'static str;
}

/// Arguments whose first is a [`Permit`]. Implemented for every handler that may be mounted.
#[diagnostic::on_unimplemented(
    message = "this route does not say who may call it",
    label = "the handler's first argument must be a permit: Public, Anyone, Account, Viewer, Member, Admin or Runner"
)]
pub trait Guarded {
    /// The first argument.
    type By: Permit;
}

macro_rules! guarded {
    ($($rest:ident)*) => {
        impl<M, P: Permit, $($rest,)*> Guarded for (M, P, $($rest,)*) {
            type By = P;
        }
    };
}
guarded!();
guarded!(A);
guarded!(A B);
guarded!(A B C);
guarded!(A B C D);
guarded!(A B C D E);
guarded!(A B C D E F);

/// One line of the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Path with its placeholders.
    pub path: &'static str,
    /// `GET`, `POST` …
    pub method: &'static str,
    /// [`Permit::NAME`] of whom it admits.
    pub permit: &'static str,
}

/// A group of routes with common limits.
#[derive(Debug, Default)]
pub struct Routes {
    router: Router<State>,
    table: Vec<Entry>,
}

impl Routes {
    /// An empty group.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers `GET` (and `HEAD`).
    #[must_use]
    pub fn get<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: Guarded + 'static,
    {
        self.on(MethodFilter::GET, "GET", path, handler)
    }

    /// Answers `POST`.
    #[must_use]
    pub fn post<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: Guarded + 'static,
    {
        self.on(MethodFilter::POST, "POST", path, handler)
    }

    /// Answers `PUT`.
    #[must_use]
    pub fn put<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: Guarded + 'static,
    {
        self.on(MethodFilter::PUT, "PUT", path, handler)
    }

    /// Answers `PATCH`.
    #[must_use]
    pub fn patch<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: Guarded + 'static,
    {
        self.on(MethodFilter::PATCH, "PATCH", path, handler)
    }

    /// Answers `DELETE`.
    #[must_use]
    pub fn delete<H, T>(self, path: &'static str, handler: H) -> Self
    where
        H: Handler<T, State>,
        T: Guarded + 'static,
    {
        self.on(MethodFilter::DELETE, "DELETE", path, handler)
    }

    fn on<H, T>(
        mut self,
        filter: MethodFilter,
        method: &'static str,
        path: &'static str,
        handler: H,
    ) -> Self
    where
        H: Handler<T, State>,
        T: Guarded + 'static,
    {
        self.router = self.router.route(path, on(filter, handler));
        self.table.push(Entry { path, method, permit: <T::By as Permit>::NAME });
        self
    }

    /// Bounds the request body of all routes so far; without it axum's 2 MB hold.
    #[must_use]
    pub fn body_max(mut self, max: Bytes) -> Self {
        let bytes = usize::try_from(max.0).unwrap_or(usize::MAX);
        self.router = self.router.layer(DefaultBodyLimit::max(bytes));
        self
    }

    /// For routes that bound a streamed body themselves (Git packs, objects).
    #[must_use]
    pub fn body_unbounded(mut self) -> Self {
        self.router = self.router.layer(DefaultBodyLimit::disable());
        self
    }

    /// Bounds the time until the answer begins, for all routes so far.
    #[must_use]
    pub fn answer_within(mut self, span: Duration) -> Self {
        self.router = self
            .router
            .layer(middleware::from_fn(move |request, next| answer_within(span, request, next)));
        self
    }

    /// Both groups; each keeps the limits that it has.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.router = self.router.merge(other.router);
        self.table.extend(other.table);
        self
    }

    /// Every route, sorted by path and method.
    #[must_use]
    pub fn table(&self) -> Vec<Entry> {
        let mut table = self.table.clone();
        table.sort();
        table
    }

    pub(crate) fn into_router(self) -> Router<State> {
        self.router
    }
}

async fn answer_within(span: Duration, request: Request, next: Next) -> Response {
    match tokio::time::timeout(span, next.run(request)).await {
        Ok(response) => response,
        Err(_) => Failure::Slow { after: span }.into_response(),
    }
}
