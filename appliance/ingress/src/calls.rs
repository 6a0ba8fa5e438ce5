//! Requests that a connection has under way over HTTP/2, and how long it has had none.
//!
//! Why: a connection costs a slot of few. HTTP/1 bounds the wait for each header; HTTP/2 sets no bound,
//! and a peer that answers pings could hold every slot without ever asking for anything.
//! Invariant: a call counts from its header to the end of its answer.
//! Cost: one lock at either end of a call, one alarm for each wait of [`Calls::over`].

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

/// Of one connection.
pub(crate) struct Calls(Mutex<State>);

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
        Arc::new(Self(Mutex::new(State { open: 0, since: Instant::now(), asked: false })))
    }

    pub(crate) fn begin(self: &Arc<Self>) -> Call {
        let mut state = self.state();
        state.open += 1;
        state.asked = true;
        drop(state);
        Call(Arc::clone(self))
    }

    /// Completes when no call has been under way for `rest`, or none at all came within `first`.
    pub(crate) async fn over(&self, first: Duration, rest: Duration) {
        let mut look = Instant::now() + first;
        loop {
            sleep_until(look).await;
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
}
