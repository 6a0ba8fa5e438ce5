//! What answers on a socket: the S3 face, the web, or both, told apart by the host's name.
//!
//! Why no router: which of the two answers does not depend on the path, and a small object is read
//! in the time that a router takes to pass a request on.
//! Invariants: a request is told who is at the other end by the connection, never by a header.

use axum::{body::Body, response::Response};
use http::Request;
use hyper::body::Body as _;
use ingress::{Leftover, Peer};
use objects::{Objects, s3};
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};
use tower::Service;

/// What a socket offers.
#[derive(Clone)]
pub(crate) enum Face {
    /// The S3 face alone.
    S3(Objects),
    /// The S3 face where the host is one of its own, the web everywhere else.
    ByHost(Objects, axum::Router),
    /// The web alone.
    Web(axum::Router),
}

/// A face as one connection sees it.
#[derive(Clone)]
pub(crate) struct Caller {
    face: Face,
    web: web::Peer,
    s3: s3::Peer,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl Caller {
    /// `unix` is who comes by a socket file.
    pub(crate) fn new(face: Face, peer: Peer, unix: web::Peer, secure: bool) -> Self {
        let (web, address) = match peer {
            Peer::Tcp(address) => (web::Peer::Network(address.ip()), Some(address.ip())),
            Peer::Unix => (unix, None),
        };
        Self { face, web, s3: s3::Peer { address, secure } }
    }

    fn by_s3(&self, objects: &Objects, request: Request<Body>) -> Answer {
        let (objects, peer) = (objects.clone(), self.s3);
        Box::pin(async move { Ok(s3::serve(objects, peer, request).await) })
    }

    fn by_web(&self, router: &axum::Router, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(self.web);
        request.extensions_mut().insert(self.s3);
        Box::pin(router.clone().call(request))
    }
}

impl Service<Request<Leftover>> for Caller {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Leftover>) -> Answer {
        let request =
            request.map(|body| if body.is_end_stream() { Body::empty() } else { Body::new(body) });
        match &self.face {
            Face::S3(objects) => self.by_s3(objects, request),
            Face::ByHost(objects, _) if s3::is_ours(objects, &request) => {
                self.by_s3(objects, request)
            }
            Face::ByHost(_, router) | Face::Web(router) => self.by_web(router, request),
        }
    }
}
