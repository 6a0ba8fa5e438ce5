//! Supervisors, and if possible sandboxes, made ahead of the next jobs.
//!
//! Why: starting a process and building its sandbox is most of the time between a claim and the
//! job's first line. Most jobs of a site look alike, so that the next one is likely to need what
//! the last one needed.
//! Invariants: at most [`SPARES_CALM`] are ready, and never more than there are slots; while jobs follow
//! each other closely twice as many, because making one takes longer than a short job; each is used
//! for one job and never again; one that does not fit is removed. They are made when a job has ended
//! or runs for a while, not while one starts.

use super::Runner;
use crate::{
    job::Seat,
    journal::{Entry, Journal},
    spin_up::Shape,
    supervised::Supervised,
    supervisor::{chain, wire::Request},
};
use std::{
    sync::{Arc, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A job that runs for this long leaves room for preparing the next.
const SETTLED: Duration = Duration::from_millis(200);

/// One would be used up by the first of two jobs that follow each other closely, and the second would
/// wait; each costs about a megabyte while nothing runs.
const SPARES_CALM: usize = 2;

/// A job that was claimed so long after the one before it follows it closely.
const CLOSE: Duration = Duration::from_secs(1);

impl Runner {
    /// A seat for a job of this shape: a spare if one fits, or else a new one.
    pub(super) fn seat(&self, shape: Option<&Shape>) -> Option<Seat> {
        let mut spares = self.spares();
        let made = spares.iter().position(|seat| seat.shape.is_some() && is_for(seat, shape));
        // One without a sandbox fits every job.
        let found = made.or_else(|| spares.iter().position(|seat| is_for(seat, shape)));
        if let Some(index) = found {
            return Some(spares.remove(index));
        }
        // Jobs have changed: the oldest makes room for one that fits.
        let unfit = (!spares.is_empty()).then(|| spares.remove(0));
        drop(spares);
        if let Some(unfit) = unfit {
            self.dismiss(unfit);
        }
        self.start_supervisor().map(Seat::bare)
    }

    pub(super) fn take_spares(&self) -> Vec<Seat> {
        std::mem::take(&mut *self.spares())
    }

    fn spares(&self) -> MutexGuard<'_, Vec<Seat>> {
        self.spares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dismiss(&self, seat: Seat) {
        let host = self.host.clone();
        self.spawn(async move { seat.dismiss(&host).await });
    }

    fn start_supervisor(&self) -> Option<Supervised> {
        match Supervised::start(&self.host) {
            Ok(supervised) => Some(supervised),
            Err(error) => {
                tracing::error!(error = chain(&error), "no supervisor could be started");
                None
            }
        }
    }

    /// Prepares for the next jobs once the one that starts now is out of the way.
    pub(super) async fn prepare_ahead(self: Arc<Self>, shape: Option<Shape>, spares: usize) {
        // One job's end is as good as another's.
        let _ = tokio::time::timeout(SETTLED, self.ended.notified()).await;
        self.prepare_spares(spares);
        let Some(shape) = shape else { return };
        // Asking while they are spares: whoever takes one finds the request already sent.
        let mut spares = self.spares();
        let bare = spares.iter_mut().filter(|seat| seat.shape.is_none());
        let mute = bare.filter_map(|seat| (!self.furnish(seat, &shape)).then_some(())).count();
        drop(spares);
        if mute > 0 {
            tracing::warn!("a supervisor made ahead does not answer");
        }
    }

    /// Asks a spare for its sandbox.
    fn furnish(&self, seat: &mut Seat, shape: &Shape) -> bool {
        let Some(number) = self.host.number(None) else { return true };
        // The next runner must not give these ids to a job while this sandbox stands.
        let journal = Journal::open(&seat.supervised.folder().journal());
        let noted = journal.and_then(|(mut one, _)| one.append(&Entry::Number(number.get())));
        if let Err(error) = noted {
            tracing::warn!(%error, "no sandbox is made ahead");
            return true;
        }
        let create = shape.create(&self.host, &seat.supervised, &number);
        let sent = seat.supervised.ask_now(&Request::Create(Box::new(create)));
        if sent {
            seat.number = Some(number);
            seat.shape = Some(shape.clone());
        }
        sent
    }

    /// How many spares there are when jobs come one by one.
    pub(super) fn spares_calm(&self) -> usize {
        SPARES_CALM.min(self.config.slots as usize)
    }

    /// How many spares there shall be after a job that was claimed now.
    pub(super) fn spares_wanted(&self) -> usize {
        let now = Instant::now();
        let before = self.claimed.lock().unwrap_or_else(PoisonError::into_inner).replace(now);
        let closely = before.is_some_and(|before| now - before < CLOSE);
        self.spares_calm() * if closely { 2 } else { 1 }
    }

    /// Dismisses what only jobs that follow each other closely need.
    pub(super) fn dismiss_surplus(&self) {
        let mut spares = self.spares();
        let kept = self.spares_calm().min(spares.len());
        let surplus = spares.split_off(kept);
        drop(spares);
        surplus.into_iter().for_each(|seat| self.dismiss(seat));
    }

    /// Starts supervisors ahead of their jobs, as many as wanted; those that are gone are replaced.
    pub(super) fn prepare_spares(&self, wanted: usize) {
        let mut spares = self.spares();
        let (fit, unfit): (Vec<Seat>, Vec<Seat>) =
            spares.drain(..).partition(|seat| seat.supervised.is_fit());
        *spares = fit;
        while spares.len() < wanted {
            let Some(new) = self.start_supervisor() else { break };
            spares.push(Seat::bare(new));
        }
        drop(spares);
        unfit.into_iter().for_each(|seat| self.dismiss(seat));
    }
}

/// Whether a job of this shape can have the seat as it is.
fn is_for(seat: &Seat, shape: Option<&Shape>) -> bool {
    seat.supervised.is_fit() && (seat.shape.is_none() || seat.shape.as_ref() == shape)
}
