//! What a form's parser is given, and when.
//!
//! Why: the parser keeps all that it is given until it can make a field of it, and takes all that is
//! there each time it is asked. A form that never comes to a field, by a sender who has proven
//! nothing, would fill the memory.
//! States: up to the file a frame is let through when the parser cannot go on without one, and
//! [`HEAD_MAX`] bytes in all; from the file on, one frame for each time that it asks.
//! Invariant: the parser never holds more than [`HEAD_MAX`] and one frame.
//! On failure: `MaxPostPreDataLengthExceeded`.
//! Units: bytes.

use super::error::{Code, in_stream};
use crate::{error::Error, vault::ByteStream};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::{
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

/// The fields as S3 bounds them, and as much again and more for the boundaries and heads around them.
const HEAD_MAX: usize = super::post::FIELDS_SIZE_MAX + (44 << 10);

/// Lets the parser have what it needs; clones stand at the same gate.
#[derive(Debug, Clone, Default)]
pub(super) struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// The file has begun.
    open: AtomicBool,
    /// The parser asked in vain.
    asked: AtomicBool,
    /// The next frame may pass.
    given: AtomicBool,
}

impl Gate {
    /// The file has begun: the rest is bounded by whoever takes it in.
    pub(super) fn open(&self) {
        self.0.open.store(true, Relaxed);
    }

    /// Does a piece of the parser's work, and gives it frames when it cannot go on.
    pub(super) async fn feed<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|context| {
            loop {
                let done = work.as_mut().poll(context);
                if done.is_ready() || !self.0.asked.swap(false, Relaxed) {
                    return done;
                }
                self.0.given.store(true, Relaxed);
            }
        })
        .await
    }

    /// The bytes of the wire, behind the gate.
    pub(super) fn hold(
        &self,
        wire: ByteStream,
    ) -> impl Stream<Item = Result<Bytes, Error>> + use<> {
        Held { gate: self.clone(), wire, passed: 0 }
    }
}

struct Held {
    gate: Gate,
    wire: ByteStream,
    passed: usize,
}

impl Stream for Held {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let gate = Arc::clone(&self.gate.0);
        let open = gate.open.load(Relaxed);
        if !gate.given.load(Relaxed) {
            if open {
                gate.given.store(true, Relaxed);
                context.waker().wake_by_ref();
            } else {
                gate.asked.store(true, Relaxed);
            }
            return Poll::Pending;
        }
        if !open && self.passed > HEAD_MAX {
            let error = in_stream("", Code::MaxPostPreDataLengthExceeded.into());
            return Poll::Ready(Some(Err(error)));
        }
        let next = ready!(self.wire.poll_next_unpin(context));
        gate.given.store(false, Relaxed);
        self.passed += next.as_ref().map_or(0, |part| part.as_ref().map_or(0, Bytes::len));
        Poll::Ready(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    #[tokio::test]
    async fn behind_an_open_gate_one_frame_comes_each_time_that_the_parser_asks() {
        let frames = stream::iter(0..5).map(|_| Ok(Bytes::from_static(b"frame")));
        let gate = Gate::default();
        gate.open();
        let mut held = gate.hold(frames.boxed());
        let mut passed = Vec::new();
        for _ in 0..7 {
            // It takes whatever is there.
            let all = poll_fn(|context| {
                let mut count = 0;
                while let Poll::Ready(Some(_)) = held.poll_next_unpin(context) {
                    count += 1;
                }
                Poll::Ready(count)
            });
            passed.push(all.await);
        }
        assert_eq!(passed, [0, 1, 1, 1, 1, 1, 0]);
    }
}
