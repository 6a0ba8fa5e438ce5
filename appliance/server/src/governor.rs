//! Wires the machine's readings to the engine's governor, and keeps their history.
//!
//! On failure: a machine whose sensors cannot be read is governed by what is left; one without
//! any is not governed, and the dashboard says so.

use base::reading::Readings;
use engine::{
    Handle,
    govern::{Law, history},
};
use std::sync::Arc;
use store::{Store, live::Live};
use tokio::{sync::watch, task::JoinSet};

/// What runs beside the service; ends when dropped.
pub(crate) struct Governing {
    _tasks: JoinSet<()>,
}

/// Starts deciding over what is read.
pub(crate) fn start(
    law: Law,
    readings: watch::Receiver<Arc<Readings>>,
    store: &Store,
    engine: &Handle,
    live: Arc<dyn Live>,
) -> Governing {
    let mut tasks = JoinSet::new();
    let flush = flush_millis(store.clone());
    tasks.spawn(engine.clone().govern(readings, law, flush));
    tasks.spawn(history::keep(engine.clone(), store.clone(), live));
    Governing { _tasks: tasks }
}

/// The mean time of the commits since the last call, in milliseconds.
fn flush_millis(store: Store) -> impl FnMut() -> Option<f64> + Send {
    let mut before = store.flushes();
    move || {
        let now = store.flushes();
        let (count, micros) = (now.0.saturating_sub(before.0), now.1.saturating_sub(before.1));
        before = now;
        #[expect(clippy::cast_precision_loss, reason = "a mean of a second's commits")]
        let mean = micros as f64 / 1000.0 / count as f64;
        (count > 0).then_some(mean)
    }
}
