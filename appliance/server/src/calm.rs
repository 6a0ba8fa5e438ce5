//! What is done when nothing happens: memory that the last work took goes back to the machine.

use base::ids::Cursor;
use std::time::Duration;
use tokio::{sync::watch, time::timeout};

/// So long without an event, and it is calm.
const CALM: Duration = Duration::from_secs(5);

/// Once after the start, and once after each time in which something happened.
pub(crate) async fn give_back(mut events: watch::Receiver<Cursor>) {
    loop {
        match timeout(CALM, events.changed()).await {
            Ok(Ok(())) => continue,
            Ok(Err(_)) => return,
            Err(_) => {}
        }
        // Nobody waits for it; a runtime that stops has no memory to give back.
        let _ = tokio::task::spawn_blocking(runner::memory::give_back).await;
        if events.changed().await.is_err() {
            return;
        }
    }
}
