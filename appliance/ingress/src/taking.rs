//! How a peer takes its answers: what waits for it, for how long, and how much it took.
//!
//! Why beside the socket: on HTTP/2 a peer opens a window for each answer. One that never does lets
//! them wait while the socket is free for pings, so that a look at the socket sees nothing amiss.
//! Why over the whole connection: a browser that pauses one download goes on with the others, and on a
//! slow link many answers share what there is.
//! Invariants: time counts only while an answer that is ready, or bytes for the socket, wait for the
//! peer; it begins anew with every [`Patience::least`] bytes that the socket took.

use crate::{calls::Call, patience::Patience};
use hyper::body::{Body, Buf, Bytes, Frame, SizeHint};
use std::{
    io::IoSlice,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::time::Instant;

/// Of one connection.
pub(crate) struct Taking {
    patience: Patience,
    is_http1: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Answers, and the socket, that wait for the peer.
    waiting: usize,
    since: Option<Instant>,
    /// Waiting since the last [`Patience::least`] bytes, without the wait that goes on.
    spent: Duration,
    taken: usize,
    /// The connection's task, which is to look when a wait begins.
    task: Option<Waker>,
}

impl Taking {
    pub(crate) fn new(patience: Patience) -> Arc<Self> {
        Arc::new(Self { patience, is_http1: AtomicBool::new(false), state: Mutex::default() })
    }

    pub(crate) const fn patience(&self) -> Patience {
        self.patience
    }

    /// The first bytes were not those of HTTP/2.
    pub(crate) fn speaks_http1(&self) {
        self.is_http1.store(true, Relaxed);
    }

    pub(crate) fn is_http1(&self) -> bool {
        self.is_http1.load(Relaxed)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something begins to wait for the peer.
    pub(crate) fn begin(&self) {
        let mut state = self.state();
        state.waiting += 1;
        if state.since.is_none() {
            state.since = Some(Instant::now());
            state.task.iter().for_each(Waker::wake_by_ref);
        }
    }

    /// It waits no more.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.waiting = state.waiting.saturating_sub(1);
        if state.waiting == 0
            && let Some(since) = state.since.take()
        {
            state.spent += since.elapsed();
        }
    }

    /// The socket took bytes.
    pub(crate) fn took(&self, bytes: usize) {
        let mut state = self.state();
        state.taken += bytes;
        if state.taken >= self.patience.least {
            (state.taken, state.spent) = (0, Duration::ZERO);
            state.since = state.since.map(|_| Instant::now());
        }
    }

    /// When patience ends, if the peer goes on as it does; the task is woken when that changes from
    /// never.
    pub(crate) fn deadline(&self, context: &Context<'_>) -> Option<Instant> {
        let mut state = self.state();
        if !state.task.as_ref().is_some_and(|task| task.will_wake(context.waker())) {
            state.task = Some(context.waker().clone());
        }
        let left = self.patience.window.saturating_sub(state.spent);
        state.since.map(|since| since + left)
    }
}

/// Something that waits for the peer, until it is dropped.
struct Wait(Arc<Taking>);

impl Wait {
    fn begin(taking: &Arc<Taking>) -> Self {
        taking.begin();
        Self(Arc::clone(taking))
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The body of an answer; until somebody wishes for a part it waits for the peer.
pub(crate) struct Awaited<B> {
    body: B,
    taking: Option<Arc<Taking>>,
    wait: Option<Wait>,
    _call: Option<Call>,
}

impl<B: Body> Awaited<B> {
    /// Without `taking` nobody minds how long it waits. `call` is under way until it is dropped.
    pub(crate) fn new(body: B, taking: Option<Arc<Taking>>, call: Option<Call>) -> Self {
        let wait = taking.as_ref().filter(|_| !body.is_end_stream()).map(Wait::begin);
        Self { body, taking, wait, _call: call }
    }
}

impl<B: Body + Unpin> Body for Awaited<B> {
    type Data = Part<B::Data>;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, B::Error>>> {
        self.wait = None;
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let Poll::Ready(Some(Ok(frame))) = polled else {
            return polled.map(|end| end.and_then(Result::err).map(Err));
        };
        let begin = || self.taking.as_ref().map(Wait::begin);
        let frame = frame.map_data(|data| Part { data, _wait: begin() });
        self.wait = begin();
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A part of an answer; until it was sent to its end and dropped it waits for the peer.
pub(crate) struct Part<D> {
    data: D,
    _wait: Option<Wait>,
}

impl<D: Buf> Buf for Part<D> {
    fn remaining(&self) -> usize {
        self.data.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.data.chunk()
    }

    fn chunks_vectored<'a>(&'a self, parts: &mut [IoSlice<'a>]) -> usize {
        self.data.chunks_vectored(parts)
    }

    fn advance(&mut self, count: usize) {
        self.data.advance(count);
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        self.data.copy_to_bytes(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Patience = Patience {
        first: Duration::ZERO,
        rest: Duration::MAX,
        window: Duration::from_secs(10),
        least: 100,
    };

    async fn rest(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// Seconds of patience that are left.
    fn left(taking: &Taking) -> Option<u64> {
        let deadline = taking.deadline(&Context::from_waker(Waker::noop()))?;
        Some(deadline.duration_since(Instant::now()).as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn only_waits_for_the_peer_are_counted_together() {
        let taking = Taking::new(PATIENCE);
        rest(99).await;
        assert_eq!(left(&taking), None);
        taking.begin();
        rest(3).await;
        taking.begin();
        taking.end();
        rest(1).await;
        assert_eq!(left(&taking), Some(6));
        taking.end();
        rest(99).await;
        assert_eq!(left(&taking), None);
        taking.begin();
        assert_eq!(left(&taking), Some(6));
        rest(7).await;
        assert_eq!(left(&taking), Some(0));
    }

    #[tokio::test(start_paused = true)]
    async fn enough_that_was_taken_renews_patience_and_less_does_not() {
        let taking = Taking::new(PATIENCE);
        taking.begin();
        rest(4).await;
        taking.took(99);
        assert_eq!(left(&taking), Some(6));
        taking.took(1);
        assert_eq!(left(&taking), Some(10));
        rest(2).await;
        taking.took(99);
        assert_eq!(left(&taking), Some(8), "bytes from before are not counted again");
    }
}
