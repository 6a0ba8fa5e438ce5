//! Slow and stalled peers over real sockets: who sends nothing or takes nothing is cut, who is
//! merely slow is served.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use ingress::{Drain, Leftover, Listener, Patience};
use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};

/// Nothing here takes so long.
const DEADLINE: Duration = Duration::from_secs(30);

/// More than the buffers of both sockets hold.
const LARGE: usize = 32 << 20;

const PATIENCE: Patience = Patience {
    first: Duration::from_millis(400),
    window: Duration::from_millis(800),
    least: 256 << 10,
};

/// A body that tells when it is dropped.
struct Told {
    inner: Full<Bytes>,
    dropped: Arc<Semaphore>,
}

impl Body for Told {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.dropped.add_permits(1);
    }
}

/// Answers with many bytes; the semaphore tells of the connections that ended.
async fn start() -> (SocketAddr, Arc<Semaphore>) {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), None).await.unwrap();
    let address = listener.address().unwrap();
    let ended = Arc::new(Semaphore::new(0));
    let dropped = Arc::clone(&ended);
    let service = move |_peer| {
        let dropped = Arc::clone(&dropped);
        tower::service_fn(move |_: Request<Leftover>| {
            let inner = Full::new(Bytes::from(vec![7; LARGE]));
            let dropped = Arc::clone(&dropped);
            async move { Ok::<_, Infallible>(Response::new(Told { inner, dropped })) }
        })
    };
    let listener = listener.with_patience(PATIENCE);
    tokio::spawn(listener.serve(Drain::new(), DEADLINE, service));
    (address, ended)
}

async fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    // A small window, so that a slow reader is soon felt at the other end.
    socket.set_recv_buffer_size(64 << 10).unwrap();
    socket.connect(address).await.unwrap()
}

/// Sends `first` and waits until the server ends the connection.
async fn check_silent(first: &[u8]) {
    let (address, _) = start().await;
    let mut stream = connect(address).await;
    stream.write_all(first).await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "still open after {first:?}");
    assert_eq!(rest, b"", "nothing was asked");
}

#[tokio::test]
async fn a_peer_that_never_sends_its_request_is_cut() {
    check_silent(b"").await;
    // Too little to know the protocol.
    check_silent(b"PRI * HTTP/2.0").await;
}

/// Asks, and takes `part` bytes every `pause`, until the server gives up or all is there.
async fn take(part: usize, pause: Duration) -> (usize, Arc<Semaphore>) {
    let (address, ended) = start().await;
    let mut stream = connect(address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await.unwrap();
    let (mut buffer, mut got) = (vec![0; part], 0);
    let reading = async {
        loop {
            tokio::time::sleep(pause).await;
            if ended.available_permits() > 0 && part < 1000 {
                return;
            }
            match stream.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => got += count,
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap();
    (got, ended)
}

#[tokio::test]
async fn a_reader_that_takes_nothing_or_drops_is_cut() {
    let (address, ended) = start().await;
    let mut stream = connect(address).await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await.unwrap();
    let gone = tokio::time::timeout(DEADLINE, ended.acquire()).await;
    assert!(gone.is_ok(), "the answer is still held for a peer that reads nothing");
    drop(stream);

    let (got, ended) = take(100, Duration::from_millis(20)).await;
    assert!(ended.available_permits() > 0 && got < LARGE / 100, "{got}");
}

#[tokio::test]
async fn a_slow_reader_gets_all() {
    // Four times the least.
    let (got, _) = take(128 << 10, Duration::from_millis(10)).await;
    assert!(got >= LARGE, "{got}");
}
