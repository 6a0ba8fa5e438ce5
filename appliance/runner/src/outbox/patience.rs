//! Asking again when the control plane does not answer: ever more slowly, for as long as it takes.

use crate::control_plane::Trouble;
use std::time::Duration;

/// The first wait after a failure of the link, doubled up to the longest.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Waits ever longer between tries.
#[derive(Default)]
pub(crate) struct Patience {
    tries: u32,
}

impl Patience {
    /// Waits after a try that failed.
    pub(crate) async fn wait(&mut self, trouble: &Trouble) {
        if self.tries == 0 {
            tracing::warn!(
                error = trouble.told(),
                "the control plane does not answer; going on without it"
            );
        }
        let wait = RETRY_FIRST.saturating_mul(1 << self.tries.min(16)).min(RETRY_LONGEST);
        self.tries += 1;
        tokio::time::sleep(wait).await;
    }
}
