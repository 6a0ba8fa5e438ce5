//! One alarm for all waits of a connection that follow each other.
//!
//! Why: HTTP/1.1 sets a time-out for each request's header and drops it when the header is there.
//! Each would enter and leave a list that all connections share under a lock; one alarm that is
//! set again only when it has rung costs nothing between.
//! Invariants: a wait never ends before its deadline. One wait lives at a time; of two, both ring
//! in time, and whoever was polled last is woken.

use hyper::rt::{Sleep, Timer};
use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// The timer of one connection.
#[derive(Clone)]
pub(crate) struct OneAlarm(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl OneAlarm {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(Duration::ZERO)))))
    }
}

impl Timer for OneAlarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Wait { alarm: self.clone(), deadline })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

struct Wait {
    alarm: OneAlarm,
    deadline: Instant,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let deadline = tokio::time::Instant::from_std(self.deadline);
        let mut alarm = self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner);
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        while alarm.as_mut().poll(context).is_ready() {
            if tokio::time::Instant::now() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits that are dropped after so many seconds, and at the end one that rings.
    async fn check(dropped: &[u64], last: u64) {
        let timer = OneAlarm::new();
        for seconds in dropped {
            let wait = timer.sleep(Duration::from_secs(15));
            let dropped = tokio::time::timeout(Duration::from_secs(*seconds), wait).await;
            assert!(dropped.is_err(), "{dropped:?} {seconds}");
        }
        let begun = tokio::time::Instant::now();
        timer.sleep(Duration::from_secs(last)).await;
        let passed = begun.elapsed();
        assert!(passed >= Duration::from_secs(last), "{passed:?}");
        assert!(passed < Duration::from_secs(last + 1), "{passed:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_rings_at_its_deadline_whatever_was_waited_for_before() {
        check(&[], 15).await;
        check(&[1, 14, 3], 15).await;
        check(&[10], 2).await;
    }
}
