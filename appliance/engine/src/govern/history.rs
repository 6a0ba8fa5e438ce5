//! What the machine was like: hours in live state, days in the store.
//!
//! Why two: a chart of the last hours wants every ten seconds, which flash must not pay for; a
//! chart of the last days is content with a row in five minutes.
//! Invariants: live state may be lost, and then the hours begin anew; a row of the store is the
//! worst of its span: the hottest, the fewest slots, held if jobs were held at any moment.

use super::{Moment, RECENT_MAX};
use crate::Handle;
use base::time::Timestamp;
use std::{sync::Arc, time::Duration};
use store::{
    Store,
    live::{Live, LiveError},
};

/// One row of the store.
const SPAN: Duration = Duration::from_secs(300);

/// Moments that one value of live state holds.
const PART: usize = 60;

const PREFIX: &[u8] = b"machine/";

/// Parts that hold all hours.
const PARTS: usize = RECENT_MAX / PART;

/// Reads back what an earlier run remembered, then keeps what comes; ends with the runtime.
pub async fn keep(engine: Handle, store: Store, live: Arc<dyn Live>) {
    let from = Arc::clone(&live);
    match tokio::task::spawn_blocking(move || read(&*from)).await {
        Ok(Ok(moments)) => engine.remember(moments),
        Ok(Err(error)) => tracing::warn!("the last hours of the machine are unknown: {error:#}"),
        Err(_) => {}
    }
    let mut ticks = tokio::time::interval(SPAN);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let recent = engine.recent();
        if let Some(worst) = worst(last_span(&recent)) {
            save(&store, &worst).await;
        }
        let to = Arc::clone(&live);
        let kept = tokio::task::spawn_blocking(move || write(&*to, &recent)).await;
        if let Ok(Err(error)) = kept {
            tracing::warn!("the last hours of the machine are not kept: {error:#}");
        }
    }
}

async fn save(store: &Store, moment: &Moment) {
    let at = Timestamp(moment.at.0);
    let body = serde_json::to_string(moment).expect("a moment is plain data");
    let saved: Result<(), store::Error> =
        store.write(move |txn| txn.machine_span_save(at, &body)).await;
    if let Err(error) = saved {
        tracing::warn!("a span of the machine's history is not kept: {error:#}");
    }
}

fn key(part: usize) -> Vec<u8> {
    [PREFIX, format!("{part:04}").as_bytes()].concat()
}

fn write(live: &dyn Live, moments: &[Moment]) -> Result<(), LiveError> {
    let parts = moments.chunks(PART).enumerate().map(|(part, moments)| {
        (key(part), serde_json::to_vec(moments).expect("moments are plain data"))
    });
    live.put(&parts.collect::<Vec<_>>())
}

fn read(live: &dyn Live) -> Result<Vec<Moment>, LiveError> {
    let parts = live.scan(PREFIX, PARTS + 1)?;
    // A part of another build tells nothing.
    Ok(parts
        .iter()
        .filter_map(|(_, part)| serde_json::from_slice::<Vec<Moment>>(part).ok())
        .flatten()
        .collect())
}

/// The moments of the span that ends with the last of them; none of before the clock was set back.
fn last_span(moments: &[Moment]) -> &[Moment] {
    let Some(last) = moments.last() else { return moments };
    let of_span = |one: &&Moment| one.at <= last.at && last.at.since(one.at) < SPAN;
    let count = moments.iter().rev().take_while(of_span).count();
    &moments[moments.len() - count..]
}

/// The worst of a span, with its sums as averages.
fn worst(moments: &[Moment]) -> Option<Moment> {
    let last = moments.last()?;
    let count = u64::try_from(moments.len()).ok()?;
    let most = |of: fn(&Moment) -> Option<f64>| moments.iter().filter_map(of).reduce(f64::max);
    Some(Moment {
        at: last.at,
        celsius: most(|one| one.celsius),
        slots: moments.iter().map(|one| one.slots).min()?,
        running: moments.iter().map(|one| one.running).max()?,
        waiting: moments.iter().map(|one| one.waiting).max()?,
        cpu: most(|one| one.cpu),
        memory: most(|one| one.memory),
        quota: moments.iter().map(|one| one.quota).fold(f64::MAX, f64::min),
        rx: moments.iter().map(|one| one.rx).sum::<u64>() / count,
        tx: moments.iter().map(|one| one.tx).sum::<u64>() / count,
        held: moments.iter().any(|one| one.held),
        paused: moments.iter().any(|one| one.paused),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use store::live::MemoryLive;

    fn moment(at: i64, celsius: Option<f64>, slots: u32, rx: u64) -> Moment {
        Moment {
            at: Timestamp(at),
            celsius,
            slots,
            running: 1,
            waiting: 0,
            cpu: None,
            memory: None,
            quota: 100.0,
            rx,
            tx: 0,
            held: slots == 1,
            paused: false,
        }
    }

    #[test]
    fn a_span_keeps_its_worst_and_its_average() {
        let all =
            [moment(1, Some(60.0), 4, 10), moment(2, None, 1, 30), moment(3, Some(81.0), 4, 20)];
        let worst = worst(&all).expect("three moments");
        assert_eq!(
            (worst.at, worst.celsius, worst.slots, worst.rx, worst.held),
            (Timestamp(3), Some(81.0), 1, 20, true)
        );
        assert_eq!(super::worst(&[]), None);
    }

    #[test]
    fn a_span_is_a_time_and_not_a_number_of_moments() {
        let at = |seconds: i64| moment(seconds * 1_000_000, None, 4, 0);
        let seldom = [at(0), at(100), at(130), at(399), at(400)];
        assert_eq!(last_span(&seldom).len(), 3);
        assert_eq!(last_span(&seldom[..1]).len(), 1);
        let set_back = [at(7000), at(7010), at(100), at(110)];
        assert_eq!(last_span(&set_back).len(), 2, "none of before the clock was set back");
        assert_eq!(last_span(&[]), []);
    }

    #[test]
    fn the_hours_come_back_in_order() {
        let live = MemoryLive::default();
        let all: Vec<Moment> =
            (0..150).map(|second| moment(second * 1_000_000, Some(50.0), 4, 0)).collect();
        write(&live, &all).expect("kept");
        assert_eq!(read(&live).expect("read"), all);
    }
}
