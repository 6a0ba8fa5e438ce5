//! The way to other machines: HTTP with rustls on ring, for remote object stores, for notices, and
//! for what the house itself reads.
//!
//! Invariants: certificates are always checked, against the roots that the operator names; an
//! answer that leads elsewhere is not followed; no proxy is taken from the environment.

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector as Tcp},
    rt::TokioExecutor,
};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest,
    HttpRequestBody, HttpResponse, HttpResponseBody, HttpService,
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use std::{path::Path, sync::Arc, time::Duration};

/// A machine that does not take a connection in this time is told unreachable.
const CONNECT: Duration = Duration::from_secs(10);

/// A request that is not answered in this time has failed; the body may take longer.
const ANSWER: Duration = Duration::from_secs(60);

/// What a refusal may say.
const REFUSAL_MAX: usize = 1 << 20;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Cut(Box<dyn std::error::Error + Send + Sync>);

/// The client; clones share its connections.
#[derive(Debug, Clone)]
pub struct Outward(Client<HttpsConnector<Tcp>, HttpRequestBody>);

impl Outward {
    /// A client that trusts the certificates of a PEM file; without one it speaks plain HTTP alone.
    #[must_use]
    pub fn new(roots: &Path) -> Self {
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        tcp.set_nodelay(true);
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls(roots))
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Self(Client::builder(TokioExecutor::new()).pool_max_idle_per_host(4).build(https))
    }

    /// Reads what stands at an address, at most `max` bytes.
    ///
    /// # Errors
    /// The reason, when nobody answers, or more than that.
    pub async fn read(&self, address: &str, max: usize) -> Result<Response<Bytes>, String> {
        let request = Request::get(address)
            .header(header::USER_AGENT, "appliance")
            .body(HttpRequestBody::from(String::new()))
            .map_err(|error| error.to_string())?;
        let (parts, body) = self.send(request).await?.into_parts();
        let body = Limited::new(body, max).collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(parts, body.to_bytes()))
    }

    /// One request; the reason when there was no answer.
    pub(crate) async fn send(
        &self,
        request: Request<HttpRequestBody>,
    ) -> Result<Response<Incoming>, String> {
        self.0.request(request).await.map_err(|error| crate::s3::report(&error))
    }
}

fn tls(roots: &Path) -> rustls::ClientConfig {
    let mut trusted = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(roots).into_iter().flatten().flatten();
    trusted.add_parsable_certificates(certificates);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows the versions of TLS that rustls has")
        .with_root_certificates(trusted)
        .with_no_client_auth()
}

impl HttpConnector for Outward {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait::async_trait]
impl HttpService for Outward {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = tokio::time::timeout(ANSWER, self.0.request(request)).await;
        let answer = answer.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?;
        let answer = answer.map_err(|error| {
            let connects = error.is_connect();
            let kind = if connects { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        let (parts, body) = answer.into_parts();
        // The library reads a refusal whole, into memory.
        let most = if parts.status.is_success() { usize::MAX } else { REFUSAL_MAX };
        let body = Limited::new(body, most);
        let body = body.map_err(|error| HttpError::new(HttpErrorKind::Interrupted, Cut(error)));
        Ok(HttpResponse::from_parts(parts, HttpResponseBody::new(body)))
    }
}
