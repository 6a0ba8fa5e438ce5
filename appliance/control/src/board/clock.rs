//! What a clock that was set, or stands, means for leases and waits: they run by the steady clock.

use super::{Board, Timestamp, Waiting};
use std::{collections::BTreeMap, time::Duration};

impl Board {
    /// Nobody could be heard until now: every lease is good for this length.
    pub fn unheard(&mut self, now: Timestamp, length: Duration) {
        for lease in self.leases.values_mut() {
            lease.until = now.plus(length);
        }
    }

    /// The clock was set ahead: nobody was heard, and whoever waits for a serial group begins to wait now.
    pub fn grace(&mut self, now: Timestamp, length: Duration) {
        self.unheard(now, length);
        self.all_waiting(|waiting| waiting.since = now);
    }

    /// The clock was set back, or stood, by so much: whoever holds or waits has as long as before.
    pub fn set_back(&mut self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let earlier = |at: Timestamp| Timestamp(at.0.saturating_sub(micros));
        for lease in self.leases.values_mut() {
            (lease.since, lease.until) = (earlier(lease.since), earlier(lease.until));
        }
        self.all_waiting(|waiting| waiting.since = earlier(waiting.since));
    }

    fn all_waiting(&mut self, change: impl Fn(&mut Waiting)) {
        self.waiting.values_mut().flat_map(BTreeMap::values_mut).for_each(change);
    }
}
