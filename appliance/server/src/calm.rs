//! What is done when nothing happens: memory that the last work took goes back to the machine.

use base::ids::Cursor;
use std::time::Duration;
use tokio::{sync::watch, time::timeout};

/// So long without an event, and it is calm.
const CALM: Duration = Duration::from_secs(5);

/// Pages and objects are served without an event: so often is looked whether that took memory.
const LOOK: Duration = Duration::from_secs(15);

/// Bytes that are worth giving back; less comes and goes with what is done at rest.
const GROWN: u64 = 4 << 20;

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
        if !until_worth_it(&mut events).await {
            return;
        }
    }
}

/// Waits for an event, or until more is held than now and does not grow any more; `false` when there
/// will be no event.
async fn until_worth_it(events: &mut watch::Receiver<Cursor>) -> bool {
    let held = resident();
    let mut before = held;
    loop {
        if let Ok(happened) = timeout(LOOK, events.changed()).await {
            return happened.is_ok();
        }
        let now = resident();
        if is_worth_it(held, before, now) {
            return true;
        }
        before = now;
    }
}

const fn is_worth_it(held: u64, before: u64, now: u64) -> bool {
    now >= held + GROWN && now < before + GROWN / 8
}

/// Bytes of this process in memory; 0 where the kernel does not tell.
fn resident() -> u64 {
    let told = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = told.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * rustix::param::page_size() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_when_it_has_grown_and_grows_no_more() {
        let check = |before: u64, now: u64| is_worth_it(10 << 20, before << 20, now << 20);
        assert!(!check(10, 12), "little");
        assert!(!check(12, 40), "still growing");
        assert!(check(40, 40));
        assert!(check(50, 40));
    }

    #[test]
    fn the_kernel_tells_what_is_resident() {
        assert!(resident() > 1 << 20);
    }
}
