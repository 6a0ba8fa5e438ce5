//! The listener as a client meets it: protocols, certificate exchange, drain.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use base::time::Timestamp;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use ingress::{Authority, Certificates, Drain, Listener, Names};
use rustls::{ClientConfig, RootCertStore, crypto::ring, version};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use std::{convert::Infallible, net::SocketAddr, path::Path, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

const DEADLINE: Duration = Duration::from_secs(10);

fn names() -> Names {
    Names { dns: vec!["localhost".into()], addresses: vec!["127.0.0.1".parse().unwrap()] }
}

struct Server {
    address: SocketAddr,
    drain: Drain,
    certificates: Arc<Certificates>,
    task: JoinHandle<usize>,
}

async fn start(folder: &Path) -> Server {
    let authority = Authority::open(folder, "test", now()).unwrap();
    let (chain, key) = authority.server(&names(), now()).unwrap();
    let certificates = Certificates::load(&chain, &key).unwrap();
    let tls = certificates.server_config().unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
    let (address, drain) = (listener.address().unwrap(), Drain::new());
    let task =
        tokio::spawn(listener.serve(drain.clone(), DEADLINE, |_peer| tower::service_fn(hello)));
    Server { address, drain, certificates, task }
}

async fn hello(_request: Request<ingress::Leftover>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(b"hello"))))
}

/// The client checks validity against the real clock.
fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp(i64::try_from(since.as_micros()).unwrap())
}

async fn connect(
    folder: &Path,
    address: SocketAddr,
    versions: &[&'static rustls::SupportedProtocolVersion],
    alpn: &[&str],
) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(folder.join("ca.pem")).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let tcp = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap()
}

async fn get(stream: &mut TlsStream<TcpStream>) -> String {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 4096];
    let mut length = 0;
    while !answer[..length].ends_with(b"hello") {
        length += stream.read(&mut answer[length..]).await.unwrap();
    }
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

async fn check_protocol(version: &'static rustls::SupportedProtocolVersion, alpn: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let stream = connect(folder.path(), server.address, &[version], &[alpn]).await;
    let session = stream.get_ref().1;
    assert_eq!(session.protocol_version(), Some(version.version));
    assert_eq!(session.alpn_protocol(), Some(alpn.as_bytes()));
}

#[tokio::test]
async fn both_tls_versions_offer_both_protocols() {
    check_protocol(&version::TLS13, "h2").await;
    check_protocol(&version::TLS13, "http/1.1").await;
    check_protocol(&version::TLS12, "h2").await;
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_a_restart_and_without_hurting_connections() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let mut standing =
        connect(folder.path(), server.address, &[&version::TLS13], &["http/1.1"]).await;
    let first = standing.get_ref().1.peer_certificates().unwrap()[0].clone();

    let more = Names { dns: vec!["localhost".into(), "other".into()], ..names() };
    Authority::open(folder.path(), "test", now()).unwrap().server(&more, now()).unwrap();
    server.certificates.reload().unwrap();

    let fresh = connect(folder.path(), server.address, &[&version::TLS13], &["http/1.1"]).await;
    assert_ne!(fresh.get_ref().1.peer_certificates().unwrap()[0], first);
    assert!(get(&mut standing).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_pair_that_does_not_load_leaves_the_old_one_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    ingress::secure_file::write(&folder.path().join("server.key"), b"not a key").unwrap();
    assert!(server.certificates.reload().is_err());
    let mut stream =
        connect(folder.path(), server.address, &[&version::TLS13], &["http/1.1"]).await;
    assert!(get(&mut stream).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_drain_refuses_new_connections_and_ends_idle_ones() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path()).await;
    let mut stream =
        connect(folder.path(), server.address, &[&version::TLS13], &["http/1.1"]).await;
    get(&mut stream).await;
    server.drain.start();
    let cut = tokio::time::timeout(DEADLINE, server.task).await.unwrap().unwrap();
    assert_eq!(cut, 0);
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_port_in_use_is_refused_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = Listener::bind(taken.local_addr().unwrap(), None).await;
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("ss -ltnp") && message.contains("s3_listen"), "{message}");
}
