//! What answers on a socket: the S3 face, the web, or both, told apart by the host's name.
//!
//! Why no router: which of the two answers does not depend on the path, and a small object is read
//! in the time that a router takes to pass a request on.
//! Invariants: a request is told who is at the other end by the connection, never by a header; one of
//! HTTP/1.1 that does not name one host is refused, for what stands before us may read another
//! (RFC 9112, 3.2).

use axum::{body::Body, response::Response};
use http::{HeaderMap, Request, StatusCode, Version, header};
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
        if request.version() == Version::HTTP_11 && !names_one_host(request.headers()) {
            return Box::pin(async { Ok(one_host_wanted()) });
        }
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

/// What the grammar of a host and port knows (RFC 3986, 3.2.2).
fn names_one_host(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let is_known = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(byte);
    host.as_bytes().iter().all(is_known)
}

fn one_host_wanted() -> Response {
    let mut answer = Response::new(Body::from("a request names one host in its Host header\n"));
    *answer.status_mut() = StatusCode::BAD_REQUEST;
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(hosts: &[&str], good: bool) {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        assert_eq!(names_one_host(&headers), good, "{hosts:?}");
    }

    #[test]
    fn one_host_is_named() {
        check(&["box.example:8443"], true);
        check(&["[fd00::1]:8443"], true);
        check(&["appliance"], true);
        check(&[], false);
        check(&["a", "b"], false);
        check(&["a b"], false);
        check(&["user@a"], false);
        check(&["a/b"], false);
    }
}
