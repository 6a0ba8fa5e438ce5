//! The command line's way to an appliance: HTTPS with a token, or the control socket of this
//! machine, which only the appliance's own user can open.
//!
//! Invariants: the token comes from `APPLIANCE_TOKEN`, never from an argument; certificates are
//! always checked, against the system-independent authority given with `--ca`.
//! On failure: [`Failure`] carries the exit code that the command line documents.

mod address;
mod alive;
mod failure;

pub(crate) use failure::Failure;

use crate::cli::Remote;
use address::Address;
use base::secret::Secret;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// A site on a slow radio link answers within this, or is told unreachable.
const CONNECT: Duration = Duration::from_secs(20);
/// A look is answered within this, or never: a service that hangs takes connections all the same.
const ANSWER: Duration = Duration::from_secs(300);
/// The same of a deed: a sweep of all that is old takes its time.
const DEED: Duration = Duration::from_secs(1800);
/// An answer of the API stays far below this.
const ANSWER_MAX: usize = 64 << 20;

const JSON: &str = "application/json";
/// Where the token comes from.
const TOKEN: &str = "APPLIANCE_TOKEN";

/// A token as the environment has it: with the line's end of the file that it was in, or empty.
fn token(given: Option<String>) -> Result<Option<Secret>, Failure> {
    let given = given.unwrap_or_default();
    let text = given.trim();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let why = "it holds what no token has, such as a space or a line's end".to_owned();
        return Err(Failure::Unusable { what: TOKEN, why });
    }
    Ok((!text.is_empty()).then(|| Secret::new(text)))
}

/// The authorities of a file, which may hold several.
fn roots(path: &Path) -> Result<rustls::RootCertStore, Failure> {
    let unusable = |why: String| Failure::Unusable {
        what: "--ca or APPLIANCE_CA",
        why: format!("{}: {why}", path.display()),
    };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
    let mut roots = rustls::RootCertStore::empty();
    for certificate in found {
        let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
        roots.add(certificate).map_err(|error| unusable(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(unusable("there is no certificate in it (expected PEM)".into())),
        false => Ok(roots),
    }
}

enum Place {
    Socket(PathBuf),
    Tls { address: Address, ca: Option<PathBuf> },
}

/// One appliance.
pub(crate) struct Client {
    place: Place,
    token: Option<Secret>,
}

impl Client {
    /// The appliance that the flags and environment name.
    pub(crate) fn new(remote: &Remote) -> Result<Self, Failure> {
        let token = token(std::env::var(TOKEN).ok())?;
        let Some(given) = &remote.host else {
            return Ok(Self { place: Place::Socket(remote.data_dir.join("control.sock")), token });
        };
        let address = Address::of(given).ok_or_else(|| Failure::Unusable {
            what: "--host or APPLIANCE_HOST",
            why: format!("`{given}` is no address: {}", address::EXPECTED),
        })?;
        Ok(Self { place: Place::Tls { address, ca: remote.ca.clone() }, token })
    }

    /// The appliance of this machine, by its control socket.
    pub(crate) fn local(data_dir: &Path) -> Self {
        Self { place: Place::Socket(data_dir.join("control.sock")), token: None }
    }

    /// `GET` of a JSON answer.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.json(Method::GET, path, None).await
    }

    /// `POST` with a JSON body.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(Method::POST, path, Some(body)).await
    }

    /// `PUT` with a JSON body.
    pub(crate) async fn put(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(Method::PUT, path, Some(body)).await
    }

    /// `PATCH` with a JSON body.
    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.json(Method::PATCH, path, Some(body)).await
    }

    /// `DELETE` with a JSON answer.
    pub(crate) async fn delete(&self, path: &str) -> Result<Value, Failure> {
        self.json(Method::DELETE, path, None).await
    }

    /// A streamed answer, whatever its type.
    pub(crate) async fn stream(&self, path: &str) -> Result<Incoming, Failure> {
        self.send(Method::GET, path, JSON, Bytes::new()).await
    }

    /// `POST` of any bytes; the answer's bytes.
    pub(crate) async fn post_bytes(
        &self,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let answer = self.send(Method::POST, path, kind, body).await?;
        self.collect(answer).await
    }

    async fn json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, Failure> {
        let body = body.map_or_else(Bytes::new, |value| Bytes::from(value.to_string()));
        let answer = self.send(method, path, JSON, body).await?;
        let bytes = self.collect(answer).await?;
        serde_json::from_slice(&bytes)
            .map_err(|source| Failure::Strange { path: path.into(), source })
    }

    async fn collect(&self, answer: Incoming) -> Result<Bytes, Failure> {
        let limited = http_body_util::Limited::new(answer, ANSWER_MAX);
        let collected = self.within(ANSWER, limited.collect()).await?;
        Ok(collected.map_err(|error| self.unreachable(&*error))?.to_bytes())
    }

    async fn within<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let silent = |_| {
            let minutes = limit.as_secs() / 60;
            self.wrong(&format!("it has taken the request and not answered for {minutes} minutes"))
        };
        tokio::time::timeout(limit, work).await.map_err(silent)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        kind: &str,
        body: Bytes,
    ) -> Result<Incoming, Failure> {
        let limit = if method == Method::GET { ANSWER } else { DEED };
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.authority())
            .header(header::ACCEPT, "application/json, */*;q=0.5")
            .header(header::USER_AGENT, concat!("appliance/", env!("CARGO_PKG_VERSION")))
            .header(header::CONTENT_TYPE, kind);
        if let Some(token) = &self.token {
            // The token must reach the server, and nobody else.
            request = request.header("circle-token", token.expose());
        }
        let request = request
            .body(Full::new(body))
            .map_err(|_| Failure::Unaskable { path: path.to_owned() })?;
        let answer = match &self.place {
            Place::Socket(path) => {
                let stream =
                    UnixStream::connect(path).await.map_err(|error| self.no_socket(&error))?;
                self.within(limit, self.exchange(stream, request)).await??
            }
            Place::Tls { address, ca } => {
                let stream = tokio::time::timeout(CONNECT, self.encrypted(address, ca.as_ref()))
                    .await
                    .map_err(|error| self.unreachable(&error))??;
                self.within(limit, self.exchange(stream, request)).await??
            }
        };
        self.checked(answer, path).await
    }

    async fn checked(
        &self,
        answer: http::Response<Incoming>,
        path: &str,
    ) -> Result<Incoming, Failure> {
        let status = answer.status();
        if status.is_success() {
            return Ok(answer.into_body());
        }
        let bytes = self.collect(answer.into_body()).await?;
        let told = serde_json::from_slice::<Value>(&bytes).ok();
        let message = told
            .as_ref()
            .and_then(|told| told["message"].as_str())
            .map_or_else(|| format!("the server answered {status}"), str::to_owned);
        // The API's own words do not name what is missing.
        let place = path.split('?').next().unwrap_or(path);
        let message = match status {
            StatusCode::NOT_FOUND => format!("{message} ({place})"),
            StatusCode::UNAUTHORIZED => format!("{message} {}", self.token_remedy()),
            _ => message,
        };
        Err(Failure::Answered { status, message })
    }

    /// What somebody does whose token is not there or not taken.
    fn token_remedy(&self) -> String {
        let address = self.address();
        match self.token {
            None => format!(
                "(Put a token of {address} into {TOKEN}; `appliance token create` on that machine prints one.)"
            ),
            Some(_) => {
                format!("({TOKEN} holds a token that {address} does not know, or that has ended.)")
            }
        }
    }

    async fn exchange<S>(
        &self,
        stream: S,
        request: Request<Full<Bytes>>,
    ) -> Result<http::Response<Incoming>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| self.unreachable(&error))?;
        tokio::spawn(connection);
        sender.send_request(request).await.map_err(|error| self.unreachable(&error))
    }

    async fn encrypted(
        &self,
        address: &Address,
        ca: Option<&PathBuf>,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
        let Some(path) = ca else {
            return Err(self.wrong("give the certificate of its authority with --ca (the appliance serves it at /.well-known/appliance-ca.pem)"));
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| self.unreachable(&error))?
            .with_root_certificates(roots(path)?)
            .with_no_client_auth();
        let name =
            ServerName::try_from(address.host.clone()).map_err(|error| self.unreachable(&error))?;
        let tcp = alive::connect(&address.host, address.port).await;
        let tcp = tcp.map_err(|error| self.unreachable(&error))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(name, tcp).await.map_err(|error| self.not_trusted(&error, path))
    }

    fn not_trusted(&self, error: &std::io::Error, ca: &Path) -> Failure {
        let told = error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>());
        let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        if told == Some(&unknown) {
            return self.wrong(&format!(
                "its certificate is of another authority than {}: fetch /.well-known/appliance-ca.pem from it again, over a way that you trust",
                ca.display()
            ));
        }
        self.unreachable(error)
    }

    fn authority(&self) -> &str {
        match &self.place {
            Place::Socket(_) => "localhost",
            Place::Tls { address, .. } => &address.authority,
        }
    }

    /// Which appliance this is, for people.
    pub(crate) fn address(&self) -> String {
        match &self.place {
            Place::Socket(path) => path.display().to_string(),
            Place::Tls { address, .. } => format!("https://{}", address.authority),
        }
    }

    pub(crate) fn wrong(&self, why: &str) -> Failure {
        Failure::Unreachable { address: self.address(), why: why.into() }
    }

    pub(crate) fn unreachable(&self, error: &dyn std::error::Error) -> Failure {
        let mut why = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            why = format!("{why}: {next}");
            cause = next.source();
        }
        self.wrong(&why)
    }

    fn no_socket(&self, error: &std::io::Error) -> Failure {
        self.wrong(&format!(
            "{error}. Is the appliance running on this machine, and are you its user? Name another with --host"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_service_that_takes_a_request_and_never_answers_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("control.sock");
        let _silent = tokio::net::UnixListener::bind(socket).unwrap();
        let client = Client::local(folder.path());
        let failed = client.get::<Value>("/api/v2/me").await.unwrap_err();
        assert_eq!(failed.exit_code(), 7);
        assert!(failed.to_string().contains("not answered"), "{failed}");
    }
}
