//! Patience with senders: a body that stops, or comes by drops, is cut.
//!
//! Why: a sender that gives one byte a minute would hold a connection, a file and their memory for
//! ever, with a limit on silence alone.
//! Invariant: whoever keeps [`RATE`] on the whole is never cut, whatever its pauses within [`IDLE`].

use futures_util::{Stream, StreamExt};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A sender that is silent for so long is cut; so much is every sender's start.
pub(crate) const IDLE: Duration = Duration::from_secs(60);

/// Bytes in a second on the whole: a quarter of the slowest radio modem in use.
const RATE: u64 = 256;

/// Patience with one body.
#[derive(Debug)]
pub(crate) struct Patience {
    begun: Instant,
    got: u64,
}

/// How long the next bytes may take.
fn left(passed: Duration, got: u64) -> Duration {
    let due = IDLE.saturating_add(Duration::from_secs(got / RATE));
    due.saturating_sub(passed).min(IDLE)
}

impl Patience {
    pub(crate) fn new() -> Self {
        Self { begun: Instant::now(), got: 0 }
    }

    /// The next part; `Err` when it took too long.
    pub(crate) async fn next<S, T, E>(&mut self, body: &mut S) -> Result<Option<Result<T, E>>, ()>
    where
        S: Stream<Item = Result<T, E>> + Unpin,
        T: AsRef<[u8]>,
    {
        let next =
            timeout(left(self.begun.elapsed(), self.got), body.next()).await.map_err(drop)?;
        if let Some(Ok(part)) = &next {
            self.got += part.as_ref().len() as u64;
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    /// Parts of `size` bytes, one every `every` seconds; how many come through.
    async fn check(size: usize, every: u64, parts: usize, expected: usize) {
        let mut body = stream::iter(0..parts)
            .then(|_| async move {
                tokio::time::sleep(Duration::from_secs(every)).await;
                Ok::<_, ()>(vec![0_u8; size])
            })
            .boxed();
        let (mut patience, mut count) = (Patience::new(), 0);
        while let Ok(Some(Ok(_))) = patience.next(&mut body).await {
            count += 1;
        }
        assert_eq!(count, expected, "{size} bytes every {every} s");
    }

    #[tokio::test(start_paused = true)]
    async fn drops_and_silence_are_cut_and_slow_links_are_not() {
        check(1, 61, 9, 0).await;
        check(1, 20, 9, 3).await;
        check(16 << 10, 59, 100, 100).await;
        check(1 << 20, 61, 9, 0).await;
    }
}
