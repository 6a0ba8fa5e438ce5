//! Wires the machine's readings to the engine's governor, and keeps their history.
//!
//! On failure: a machine whose sensors cannot be read is governed by what is left; one without
//! any is not governed, and the dashboard says so.

use crate::patience::Patience;
use base::reading::Readings;
use engine::{
    Handle,
    govern::{Law, history},
};
use std::{path::Path, sync::Arc, time::Duration};
use store::{Store, live::Live};
use tokio::{sync::watch, task::JoinSet};

/// What runs beside the service; ends when dropped.
pub(crate) struct Governing {
    _tasks: JoinSet<()>,
}

/// Starts deciding over what is read; `rest` hears in what time it is wanted next.
pub(crate) fn start(
    law: Law,
    readings: watch::Receiver<Arc<Readings>>,
    store: &Store,
    engine: &Handle,
    live: Arc<dyn Live>,
    data_dir: &Path,
    rest: impl Fn(Duration) + Send + 'static,
) -> Governing {
    let mut tasks = JoinSet::new();
    let mut patience = Patience::new(store.clone(), data_dir);
    let flush = move |jobs_run| patience.millis(jobs_run);
    tasks.spawn(engine.clone().govern(readings, law, flush, rest));
    tasks.spawn(history::keep(engine.clone(), store.clone(), live));
    Governing { _tasks: tasks }
}
