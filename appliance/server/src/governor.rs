//! Wires the machine's readings to the engine's governor, and keeps their history.
//!
//! On failure: a machine whose sensors cannot be read is governed by what is left; one without
//! any is not governed, and the dashboard says so.

use crate::{config::Config, data_dir::DataDir};
use engine::{Handle, govern::history};
use hardware::Root;
use std::{path::PathBuf, sync::Arc};
use store::{Store, live::Live};
use tokio::task::JoinSet;

/// What runs beside the service; ends when dropped.
pub(crate) struct Governing {
    _sampler: hardware::Handle,
    _tasks: JoinSet<()>,
}

/// Starts reading and deciding.
pub(crate) fn start(
    config: &Config,
    data: &DataDir,
    store: &Store,
    engine: &Handle,
    live: Arc<dyn Live>,
) -> std::io::Result<Governing> {
    let sampler = hardware::start(&hardware::Config {
        root: Root::new(&config.hardware_root),
        folders: vec![PathBuf::from("/"), data.join("")],
        ..hardware::Config::default()
    })?;
    let mut tasks = JoinSet::new();
    let flush = flush_millis(store.clone());
    tasks.spawn(engine.clone().govern(sampler.readings(), config.law, flush));
    tasks.spawn(history::keep(engine.clone(), store.clone(), live));
    Ok(Governing { _sampler: sampler, _tasks: tasks })
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
