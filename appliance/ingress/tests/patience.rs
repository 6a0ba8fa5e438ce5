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
    rest: Duration::from_millis(600),
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

#[tokio::test]
async fn a_header_that_comes_slowly_over_http1_has_its_own_time() {
    let (address, _) = start().await;
    let mut stream = connect(address).await;
    for part in ["G", "ET / HTTP/1.1\r\nhost: here\r\n", "connection: close\r\n", "\r\n"] {
        stream.write_all(part.as_bytes()).await.unwrap();
        tokio::time::sleep(PATIENCE.first * 2 / 3).await;
    }
    let mut status = [0; 15];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut status)).await.unwrap().unwrap();
    assert_eq!(&status, b"HTTP/1.1 200 OK");
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

/// A frame of HTTP/2 (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), body].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

/// `GET http://here/` in the static table of HPACK, with nothing to follow.
const GET: &[u8] = b"\x82\x86\x84\x41\x04here";

/// Begins HTTP/2 with so large a window for each answer, and asks on some streams.
async fn ask(stream: &mut TcpStream, window: u32, streams: &[u32]) {
    let mut first = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE.
    first.extend(frame(SETTINGS, 0, 0, &[&[0, 4], &window.to_be_bytes()[..]].concat()));
    // END_STREAM and END_HEADERS.
    streams.iter().for_each(|stream| first.extend(frame(HEADERS, 5, *stream, GET)));
    stream.write_all(&first).await.unwrap();
}

/// The next frame's kind, stream and length; `None` at the end of the connection.
async fn next(stream: &mut TcpStream) -> Option<(u8, u32, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), length))
}

/// Opens no window, or one that is soon full, and goes on with pings, which are answered.
async fn check_no_window(window: u32) {
    let (address, ended) = start().await;
    let mut stream = connect(address).await;
    ask(&mut stream, window, &[1, 3]).await;
    let mut answered = 0;
    let pings = async {
        let ping = frame(PING, 0, 0, &[7; 8]);
        while stream.write_all(&ping).await.is_ok() {
            while let Some((kind, ..)) = next(&mut stream).await {
                if kind == PING {
                    break;
                }
            }
            answered += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(DEADLINE, pings).await.expect("the connection is cut");
    assert!(answered > 5, "it was alive: {answered}");
    let gone = tokio::time::timeout(DEADLINE, ended.acquire_many(2)).await;
    assert!(gone.is_ok(), "both answers are given up");
}

#[tokio::test]
async fn an_http2_peer_that_opens_no_window_is_cut_though_it_answers() {
    check_no_window(0).await;
    check_no_window(1000).await;
}

#[tokio::test]
async fn an_http2_peer_that_asks_for_nothing_is_cut_though_it_answers() {
    let (address, _) = start().await;
    let mut stream = connect(address).await;
    ask(&mut stream, 64 << 10, &[]).await;
    let alive = async {
        while let Some((kind, ..)) = next(&mut stream).await {
            // Each ping is answered, the one that asks whether it has heard of the end as well.
            let ping = frame(PING, u8::from(kind == PING), 0, &[7; 8]);
            if stream.write_all(&ping).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, alive).await.expect("the connection is cut");
}

#[tokio::test]
async fn a_slow_http2_reader_is_served() {
    let (address, _) = start().await;
    let mut stream = connect(address).await;
    ask(&mut stream, 64 << 10, &[1]).await;
    let mut got = 0;
    let reading = async {
        while got < LARGE / 4 {
            let (kind, _, length) = next(&mut stream).await.expect("it is not cut");
            if kind != DATA || length == 0 {
                continue;
            }
            got += usize::try_from(length).unwrap();
            // The answer waits for each update of its window.
            tokio::time::sleep(Duration::from_millis(1)).await;
            for id in [0, 1] {
                let update = frame(WINDOW_UPDATE, 0, id, &length.to_be_bytes());
                stream.write_all(&update).await.unwrap();
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.unwrap();
}
