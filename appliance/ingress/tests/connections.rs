//! The listener as a client meets it: protocols, certificate exchange, drain.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use base::time::Timestamp;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use ingress::{Authority, Certificates, Drain, Lanes, Listener, Names};
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
    _lanes: Lanes,
}

async fn start(folder: &Path) -> Server {
    let authority = Authority::open(folder, "test").unwrap();
    let (chain, key) = authority.server(&names(), now()).unwrap();
    let certificates = Certificates::load(&chain, &key).unwrap();
    let tls = certificates.server_config().unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), Some(tls)).await.unwrap();
    let (address, drain, lanes) =
        (listener.address().unwrap(), Drain::new(), Lanes::start(2).unwrap());
    let listener = listener.with_lanes(&lanes);
    let task =
        tokio::spawn(listener.serve(drain.clone(), DEADLINE, |_peer| tower::service_fn(hello)));
    Server { address, drain, certificates, task, _lanes: lanes }
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
    Authority::open(folder.path(), "test").unwrap().server(&more, now()).unwrap();
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

/// Tells the thread that answers, but to `/never`, which is not answered.
async fn thread(request: Request<ingress::Leftover>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.uri().path() == "/never" {
        std::future::pending::<()>().await;
    }
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    Ok(Response::new(Full::new(name.into())))
}

async fn asked(stream: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
}

/// Reads what came of an answer.
async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn a_connection_stays_on_its_lane_and_one_that_is_not_done_is_cut_at_the_deadline() {
    let lanes = Lanes::start(2).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let listener = listener.with_lanes(&lanes);
    let (address, drain) = (listener.address().unwrap(), Drain::new());
    let deadline = Duration::from_millis(200);
    let serving = listener.serve(drain.clone(), deadline, |_peer| tower::service_fn(thread));
    let task = tokio::spawn(serving);
    let mut streams = vec![];
    for lane in ["lane-0", "lane-1"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        for _ in 0..3 {
            asked(&mut stream, "/").await;
            let answer = answer(&mut stream).await;
            assert!(answer.ends_with(lane), "{answer}");
        }
        streams.push(stream);
    }
    asked(&mut streams[0], "/never").await;
    // The request has come before the drain: a lane takes what its connections sent in turn.
    let mut other = TcpStream::connect(address).await.unwrap();
    asked(&mut other, "/").await;
    assert!(answer(&mut other).await.ends_with("lane-0"));
    drain.start();
    let cut = tokio::time::timeout(DEADLINE, task).await.unwrap().unwrap();
    assert_eq!(cut, 1);
    drop(lanes);
    let rest = streams[0].read(&mut [0; 64]).await.unwrap();
    assert_eq!(rest, 0, "it was closed with its lane");
}

#[tokio::test]
async fn a_port_in_use_is_refused_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = Listener::bind(taken.local_addr().unwrap(), None).await;
    let message = refused.err().unwrap().to_string();
    assert!(message.contains("ss -ltnp") && message.contains("s3_listen"), "{message}");
}
