//! Requests that a connection has under way over HTTP/2, and how long it has had none.
//!
//! Why: a connection costs a slot of few. HTTP/1 bounds the wait for each header; HTTP/2 sets no bound,
//! and a peer that answers pings could hold every slot without ever asking for anything.
//! Invariants: a call counts from its header to the end of its answer; of a connection that speaks
//! HTTP/1 nothing is counted, and it is never over.
//! Cost: one lock at either end of a call, one alarm for each wait of [`Calls::over`].

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Of one connection.
pub(crate) struct Calls {
    is_http1: AtomicBool,
    state: Mutex<State>,
}

struct State {
    open: usize,
    /// When the last call ended; at first, when the connection began.
    since: Instant,
    asked: bool,
}

/// One call, until it is dropped.
pub(crate) struct Call(Arc<Calls>);

impl Calls {
    pub(crate) fn new() -> Arc<Self> {
        let state = Mutex::new(State { open: 0, since: Instant::now(), asked: false });
        Arc::new(Self { is_http1: AtomicBool::new(false), state })
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Call {
        let mut state = self.state();
        state.open += 1;
        state.asked = true;
        drop(state);
        Call(Arc::clone(self))
    }

    /// The peer speaks HTTP/1, which has bounds of its own.
    pub(crate) fn are_http1(&self) {
        if !self.is_http1.load(Relaxed) {
            self.is_http1.store(true, Relaxed);
        }
    }

    /// Completes when no call has been under way for `rest`, or none at all came within `first`.
    pub(crate) async fn over(&self, first: Duration, rest: Duration) {
        let mut look = Instant::now() + first;
        loop {
            sleep_until(look).await;
            if self.is_http1.load(Relaxed) {
                return std::future::pending().await;
            }
            let now = Instant::now();
            look = self.end(now, first, rest);
            if look <= now {
                return;
            }
        }
    }

    /// When the connection is over if nothing happens from `now` on.
    fn end(&self, now: Instant, first: Duration, rest: Duration) -> Instant {
        let state = self.state();
        match (state.open, state.asked) {
            (0, false) => state.since + first,
            (0, true) => state.since + rest,
            _ => now + rest,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open -= 1;
        state.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_secs(15);
    const REST: Duration = Duration::from_secs(60);

    /// Calls that begin and end at these seconds, and when the connection is over.
    async fn check(calls: &[(u64, u64)], over: u64) {
        let all = Calls::new();
        let begun = Instant::now();
        let second = move |second| begun + Duration::from_secs(second);
        for (from, to) in calls.iter().copied() {
            let all = Arc::clone(&all);
            tokio::spawn(async move {
                sleep_until(second(from)).await;
                let call = all.begin();
                sleep_until(second(to)).await;
                drop(call);
            });
        }
        all.over(FIRST, REST).await;
        let passed = begun.elapsed().as_secs();
        assert!((over..=over + 1).contains(&passed), "{calls:?}: {passed}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_over_when_nothing_was_asked_for_a_while() {
        check(&[], 15).await;
        check(&[(5, 6)], 66).await;
        check(&[(5, 300)], 360).await;
        check(&[(5, 300), (10, 20), (350, 351)], 411).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_speaks_http1_is_never_over() {
        let all = Calls::new();
        all.are_http1();
        let over = tokio::time::timeout(FIRST * 100, all.over(FIRST, REST)).await;
        assert!(over.is_err());
    }
}
