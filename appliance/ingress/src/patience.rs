//! Patience with peers: one that sends no request, or takes no answer, is cut.
//!
//! Why: a peer that connects and is silent holds one of few connections; one that asks for a large
//! answer and reads none of it holds buffers and an open file, and HTTP itself sets no bound.
//! Invariants: time counts against a peer only while bytes wait for it ([`Taking`]), so that an answer
//! that is slow to be made, or a connection that rests, costs it nothing; whoever takes
//! [`Patience::least`] within [`Patience::window`] of such waiting is never cut.
//! On failure: the connection ends with [`io::ErrorKind::TimedOut`], as if the peer had gone.

use crate::{limits, taking::Taking};
use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Sleep,
};

/// Bounds on what a peer may let wait.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From the handshake to the first bytes of the first request; over HTTP/2, to that request.
    pub first: Duration,
    /// Without a request under way, over HTTP/2.
    pub rest: Duration,
    /// Of waiting for the peer to take bytes.
    pub window: Duration,
    /// Bytes that it takes in that time.
    pub least: usize,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: limits::HEADER_READ,
            rest: limits::REST,
            window: limits::TAKE_WINDOW,
            least: limits::TAKE_LEAST,
        }
    }
}

/// How HTTP/2 begins (RFC 9113 section 3.4): only then the protocol is known, and with it the bounds of
/// its own.
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose peer may be cut.
pub(crate) struct Patient<I> {
    io: I,
    /// Bytes read so far, up to the length of [`PREFACE`].
    heard: usize,
    taking: Arc<Taking>,
    /// The peer lets bytes for the socket wait.
    blocked: bool,
    alarm: Pin<Box<Sleep>>,
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

impl<I> Patient<I> {
    pub(crate) fn new(io: I, patience: Patience) -> Self {
        let alarm = Box::pin(tokio::time::sleep(patience.first));
        Self { io, heard: 0, taking: Taking::new(patience), blocked: false, alarm }
    }

    /// For the answers on this connection.
    pub(crate) fn taking(&self) -> Arc<Taking> {
        Arc::clone(&self.taking)
    }

    fn hear(&mut self, bytes: &[u8]) {
        let due = &PREFACE[self.heard..];
        let count = bytes.len().min(due.len());
        if bytes[..count] != due[..count] {
            self.taking.speaks_http1();
        }
        self.heard += count;
    }

    /// What became of an attempt to give bytes to the peer.
    fn given<T>(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<T>>,
        count: impl FnOnce(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        // Who is answered has asked.
        self.heard = PREFACE.len();
        let Poll::Ready(done) = result else { return self.wait(context) };
        if std::mem::take(&mut self.blocked) {
            self.taking.end();
        }
        self.taking.took(done.as_ref().map_or(0, count));
        Poll::Ready(done)
    }

    fn wait<T>(&mut self, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if !std::mem::replace(&mut self.blocked, true) {
            self.taking.begin();
        }
        if self.is_late(context) { Poll::Ready(Err(late())) } else { Poll::Pending }
    }

    /// The peer has let something wait for too long; else its task is woken when that is so.
    fn is_late(&mut self, context: &mut Context<'_>) -> bool {
        let Some(deadline) = self.taking.deadline(context) else { return false };
        if self.alarm.deadline() != deadline {
            self.alarm.as_mut().reset(deadline);
        }
        self.alarm.as_mut().poll(context).is_ready()
    }

    /// A peer of whom nothing comes: it is to send its first bytes, or to take what waits for it.
    fn is_late_silent(&mut self, context: &mut Context<'_>) -> bool {
        if self.heard < PREFACE.len() {
            self.alarm.as_mut().poll(context).is_ready()
        } else {
            self.is_late(context)
        }
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patient<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.io).poll_read(context, buffer);
        this.hear(&buffer.filled()[before..]);
        if read.is_pending() && this.is_late_silent(context) {
            return Poll::Ready(Err(late()));
        }
        read
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Patient<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.io).poll_write(context, bytes);
        this.given(context, result, |count| *count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.io).poll_write_vectored(context, parts);
        this.given(context, result, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.io).poll_flush(context);
        // HTTP/2 flushes while the preface is still on its way: nothing was taken by that.
        if result.is_ready() && !this.blocked {
            return result;
        }
        this.given(context, result, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let result = Pin::new(&mut this.io).poll_shutdown(context);
        this.given(context, result, |()| 0)
    }
}
