//! A supervisor, and if possible a sandbox, made ahead of the next job.
//!
//! Why: starting a process and building its sandbox is most of the time between a claim and the
//! job's first line. Most jobs of a site look alike, so that the next one is likely to need what
//! the last one needed.
//! Invariants: at most one is ready; it is used for one job and never again; one that does not
//! fit is removed. It is made when a job has ended or runs for a while, not while one starts.

use super::Runner;
use crate::{
    host::Host,
    job::Seat,
    spin_up::Shape,
    supervised::Supervised,
    supervisor::{chain, wire::Request},
};
use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

/// A job that runs for this long leaves room for preparing the next.
const SETTLED: Duration = Duration::from_millis(200);

impl Runner {
    /// A seat for a job of this shape: the spare if that fits, or else a new one.
    pub(super) fn seat(&self, shape: Option<&Shape>) -> Option<Seat> {
        match self.take_spare() {
            Some(spare)
                if spare.supervised.is_fit()
                    && (spare.shape.is_none() || spare.shape.as_ref() == shape) =>
            {
                Some(spare)
            }
            Some(unfit) => {
                self.dismiss(unfit);
                self.start_supervisor().map(Seat::bare)
            }
            None => self.start_supervisor().map(Seat::bare),
        }
    }

    pub(super) fn take_spare(&self) -> Option<Seat> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn dismiss(&self, seat: Seat) {
        let host = self.host.clone();
        tokio::spawn(async move { dismiss_seat(&host, seat).await });
    }

    fn start_supervisor(&self) -> Option<Supervised> {
        match Supervised::start(&self.config.host.supervise, &self.host.jobs()) {
            Ok(supervised) => Some(supervised),
            Err(error) => {
                tracing::error!(error = chain(&error), "no supervisor could be started");
                None
            }
        }
    }

    /// Prepares for the next job once the one that starts now is out of the way.
    pub(super) async fn prepare_ahead(self: Arc<Self>, shape: Option<Shape>) {
        // One job's end is as good as another's.
        let _ = tokio::time::timeout(SETTLED, self.ended.notified()).await;
        self.prepare_spare(shape.as_ref());
        let Some(shape) = shape else { return };
        // Asking while it is the spare: whoever takes it finds the request already sent.
        let request = {
            let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(seat) = spare.as_mut().filter(|seat| seat.shape.is_none()) else { return };
            let Some(number) = self.host.number(None) else { return };
            let create = shape.create(&self.host, &seat.supervised, &number);
            let sent = seat.supervised.ask_now(&Request::Create(Box::new(create)));
            if sent {
                seat.number = Some(number);
                seat.shape = Some(shape);
            }
            sent
        };
        if !request {
            tracing::warn!("a supervisor made ahead does not answer");
        }
    }

    /// Starts a supervisor ahead of its job, unless one is ready that may fit.
    pub(super) fn prepare_spare(&self, shape: Option<&Shape>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |seat: &Seat| {
            seat.supervised.is_fit() && (seat.shape.is_none() || seat.shape.as_ref() == shape)
        };
        if spare.as_ref().is_some_and(fits) {
            return;
        }
        let new = self.start_supervisor().map(Seat::bare);
        if let Some(old) = std::mem::replace(&mut *spare, new) {
            self.dismiss(old);
        }
    }
}

/// Removes a seat that no job will have.
pub(super) async fn dismiss_seat(host: &Host, seat: Seat) {
    seat.supervised.finish().await;
    host.clear(seat.supervised.folder());
}
