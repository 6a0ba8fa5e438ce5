//! Asking the control plane how fast the jobs of this host may go.
//!
//! Why a question of its own: heat does not wait for a heartbeat, and a claim is not asked while
//! every slot is busy.
//! Invariants: the pace that was heard last holds for [`TRUST`]; then jobs that stood still go on,
//! at no more than [`ALONE`]: neither full speed nor a stop for ever when nobody watches the heat.
//! A control side that knows no pace leaves jobs at full speed.

use super::Runner;
use crate::control_plane::Trouble;
use base::{
    ids::RunnerId,
    limits::CLAIM_WAIT,
    protocol::{Pace, PaceAsk, Refusal},
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Longer than a restart of the control plane.
const TRUST: Duration = Duration::from_secs(60);

/// The pace without anybody who watches, in thousandths.
const ALONE: u32 = 250;

/// Between two questions to a control plane that does not answer.
const AGAIN: Duration = Duration::from_secs(1);

impl Runner {
    /// Follows the pace for as long as the control plane knows the runner.
    pub(super) async fn keep_pace(&self, id: RunnerId) {
        let mut heard = Instant::now();
        let mut seen = 0;
        loop {
            match self.client.pace(&PaceAsk { runner: id, seen, wait: CLAIM_WAIT }).await {
                Ok(pace) => {
                    (heard, seen) = (Instant::now(), pace.number);
                    self.take_pace(pace);
                }
                Err(Trouble::Refused(Refusal::UnknownRunner)) => return,
                // Another build, without the question: nobody will ever set a pace.
                Err(Trouble::Rejected { .. }) => return std::future::pending().await,
                Err(_) => {
                    if heard.elapsed() >= TRUST {
                        self.take_pace(alone(&self.host.pace.borrow()));
                        seen = 0;
                    }
                    sleep(AGAIN).await;
                }
            }
        }
    }

    fn take_pace(&self, pace: Pace) {
        self.host.pace.send_if_modified(|known| {
            let changed = *known != pace;
            *known = pace;
            changed
        });
    }
}

/// What holds when nobody tells.
fn alone(last: &Pace) -> Pace {
    if last.quota >= Pace::FULL && !last.pause {
        return last.clone();
    }
    let why = "the control plane does not answer".to_owned();
    Pace { number: 0, quota: ALONE.min(last.quota), pause: false, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(quota: u32, pause: bool, alone_at: u32) {
        let last = Pace { number: 7, quota, pause, why: String::new() };
        let pace = alone(&last);
        assert_eq!((pace.quota, pause && pace.pause), (alone_at, false));
    }

    #[test]
    fn without_news_jobs_crawl_and_never_stand_for_ever() {
        check(Pace::FULL, false, Pace::FULL);
        check(600, false, ALONE);
        check(100, false, 100);
        check(50, true, 50);
    }
}
