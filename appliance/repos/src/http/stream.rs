//! The bridge between async bodies and blocking readers and writers.
//!
//! Invariants: at most [`CHUNKS`] chunks of [`CHUNK`] bytes wait in either direction; a peer that
//! is silent for longer than the idle bound ends the transfer.

use super::BoxError;
use bytes::{Buf, Bytes, BytesMut};
use http_body::Frame;
use std::{
    io::{self, Read, Write},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{runtime::Handle, sync::mpsc, time::timeout};

/// Bytes gathered before they are handed on: one TLS record holds half of it.
const CHUNK: usize = 32 << 10;

/// Chunks on their way to a slow client.
const CHUNKS: usize = 4;

fn silent() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the peer was silent for too long")
}

type BoxBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = BoxError> + Send>>;

/// Reads a request's body from a blocking thread.
pub(super) struct BodyReader {
    body: BoxBody,
    rest: Bytes,
    runtime: Handle,
    idle: Duration,
}

impl BodyReader {
    pub(super) fn new<B>(body: B, runtime: Handle, idle: Duration) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self { body: Box::pin(Boxed(Box::pin(body))), rest: Bytes::new(), runtime, idle }
    }

    fn next(&mut self) -> io::Result<Option<Bytes>> {
        let body = &mut self.body;
        let frame = std::future::poll_fn(|context| body.as_mut().poll_frame(context));
        let idle = self.idle;
        match self.runtime.block_on(async { timeout(idle, frame).await }) {
            Err(_) => Err(silent()),
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(io::Error::new(io::ErrorKind::ConnectionAborted, error)),
            Ok(Some(Ok(frame))) => Ok(Some(frame.into_data().unwrap_or_default())),
        }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.rest.is_empty() {
            match self.next()? {
                Some(bytes) => self.rest = bytes,
                None => return Ok(0),
            }
        }
        let count = self.rest.len().min(buffer.len());
        self.rest.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// A body whose error was made one type.
struct Boxed<B>(Pin<Box<B>>);

impl<B> http_body::Body for Boxed<B>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.0.as_mut().poll_frame(context).map_err(Into::into)
    }
}

/// A response's body.
#[derive(Debug)]
pub struct Body {
    first: Option<Bytes>,
    rest: Option<mpsc::Receiver<Chunk>>,
    /// The sender said that all is written.
    is_whole: bool,
}

/// What the writer hands on.
#[derive(Debug)]
enum Chunk {
    Bytes(Bytes),
    /// Nothing follows; a channel that closes without it was cut.
    End,
}

impl Body {
    pub(super) fn from_text(text: String) -> Self {
        Self { first: Some(text.into()), rest: None, is_whole: true }
    }

    /// Waits for the first bytes; false when the writer ended without any.
    pub(super) async fn has_begun(&mut self) -> bool {
        let Some(rest) = &mut self.rest else { return self.first.is_some() };
        match rest.recv().await {
            Some(Chunk::Bytes(bytes)) => {
                self.first = Some(bytes);
                true
            }
            Some(Chunk::End) => {
                self.is_whole = true;
                false
            }
            None => false,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if self.is_whole {
            return Poll::Ready(None);
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        match rest.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Chunk::Bytes(bytes))) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Poll::Ready(Some(Chunk::End)) => {
                self.is_whole = true;
                Poll::Ready(None)
            }
            // The connection is cut, so that the client does not take a part for the whole.
            Poll::Ready(None) => {
                self.is_whole = true;
                let error = io::Error::new(io::ErrorKind::UnexpectedEof, "the answer was cut");
                Poll::Ready(Some(Err(error)))
            }
        }
    }
}

/// Writes a response's body from a blocking thread.
pub(crate) struct ChannelWriter {
    buffer: BytesMut,
    to: mpsc::Sender<Chunk>,
    runtime: Handle,
    idle: Duration,
}

pub(crate) fn channel(runtime: Handle, idle: Duration) -> (ChannelWriter, Body) {
    let (to, rest) = mpsc::channel(CHUNKS);
    let writer = ChannelWriter { buffer: BytesMut::with_capacity(CHUNK), to, runtime, idle };
    (writer, Body { first: None, rest: Some(rest), is_whole: false })
}

impl ChannelWriter {
    fn send(&mut self, chunk: Chunk) -> io::Result<()> {
        let sent = self.runtime.block_on(async { timeout(self.idle, self.to.send(chunk)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(silent()),
        }
    }

    /// Hands on what is left and says that this was all.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.send(Chunk::End)
    }
}

impl Write for ChannelWriter {
    /// Fails, though there be nothing to write, when the reader is gone.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.to.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let bytes = self.buffer.split().freeze();
        self.send(Chunk::Bytes(bytes))
    }
}
