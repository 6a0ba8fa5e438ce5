//! Bounds on the logs of events and deeds, and doubt about a clock that jumped.
//!
//! Why by number and not by age: a clock that once stood at 2099 must not empty a log, and a
//! stranger who fails to log in all day must not fill a disk.
//! Why doubt: what is old is removed for ever, so a clock that has moved by more than a month since
//! the last look is believed at the next look, a day or a start later, and not at once. A board without
//! a battery begins in 1970 at every start: until its clock is set a look says nothing and is not noted,
//! or a box that is never on for a day would doubt its clock for ever. One whose clock nobody sets
//! at all goes by the time that it has.
//! Invariants: idempotent; the newest event stays, so that cursors go on from it.

use base::time::{EARLIEST, Timestamp};
use std::time::Duration;
use store::Store;

/// Events that are kept: those of some fifty thousand jobs, about 50 MB.
const EVENTS: u64 = 500_000;

/// Entries of the audit log that are kept, about 60 MB.
const DEEDS: u64 = 500_000;

/// Rows removed in one transaction: others write between two.
const AT_ONCE: u64 = 5_000;

/// A box that is switched on once a month is still believed.
const DOUBT: Duration = Duration::from_secs(32 * 24 * 3600);

/// So long after a start a clock that stands before [`EARLIEST`] may still be set.
const UNSET: Duration = Duration::from_secs(24 * 3600);

/// Tokens and keys that have ended are shown for so long.
const SHOWN: Duration = Duration::from_secs(90 * 24 * 3600);

/// What is dated so far ahead was made by another clock.
const AHEAD: Duration = Duration::from_secs(24 * 3600);

/// What a look at the clock comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// What is old by it may be removed.
    Believed,
    /// It has moved far since the last look: the next one decides.
    Moved,
    /// It was not set yet since the start.
    Unset,
}

/// Removes the oldest events and deeds beyond their bounds, and notes of pushes that were told
/// before `before`; returns how many went.
///
/// # Errors
/// When the store fails; what was removed before stays removed.
pub async fn trim(store: &Store, before: Timestamp) -> Result<usize, store::Error> {
    trim_to(store, before, EVENTS, DEEDS).await
}

async fn trim_to(
    store: &Store,
    before: Timestamp,
    events: u64,
    deeds: u64,
) -> Result<usize, store::Error> {
    let mut all = store.write(move |txn| txn.push_sweep(before)).await?;
    loop {
        let trim = move |txn: &mut store::Txn<'_>| {
            Ok::<_, store::Error>(
                txn.event_trim(events, AT_ONCE)? + txn.audit_trim(deeds, AT_ONCE)?,
            )
        };
        let gone = store.write(trim).await?;
        if gone == 0 {
            return Ok(all);
        }
        all += gone;
    }
}

/// Closes sessions, tokens and keys that have ended, and forgets old ones of them, and what a clock that
/// was ahead has noted of the machine; returns how many went. For a `now` that is believed.
///
/// # Errors
/// When the store fails.
pub async fn forget(store: &Store, now: Timestamp) -> Result<usize, store::Error> {
    let shown = i64::try_from(SHOWN.as_micros()).unwrap_or(i64::MAX);
    let (before, ahead) = (Timestamp(now.0.saturating_sub(shown)), now.plus(AHEAD));
    store
        .write(move |txn| {
            Ok(txn.ended_sweep(before, now, ahead)? + txn.machine_spans_forget(ahead)?)
        })
        .await
}

/// May what is old at `now`, so long after the start, be removed? Notes the look.
///
/// # Errors
/// When the store fails.
pub async fn judge(
    store: &Store,
    now: Timestamp,
    running: Duration,
) -> Result<Clock, store::Error> {
    store
        .write(move |txn| {
            let last = txn.swept_at()?;
            let clock = judged(last, now, running);
            if clock != Clock::Unset {
                txn.swept_set(now)?;
            }
            Ok(clock)
        })
        .await
}

fn judged(last: Option<Timestamp>, now: Timestamp, running: Duration) -> Clock {
    let is_near = |last: Timestamp| now.since(last) <= DOUBT && last.since(now) <= DOUBT;
    match last {
        Some(last) if now < EARLIEST && last >= EARLIEST && running < UNSET => Clock::Unset,
        Some(last) if is_near(last) => Clock::Believed,
        _ => Clock::Moved,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::{event::Event, ids::Cursor};
    use store::{SiteKey, access::NewAudit};

    async fn opened(folder: &std::path::Path) -> Store {
        Store::open(&store::Config::new(folder.join("state")), SiteKey::new([7; 32])).unwrap()
    }

    /// Days of looks in turn, each so many hours after a start: `+` may remove, `-` has moved, `.` is not set.
    async fn check(hours: u64, days: &[u64], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(folder.path()).await;
        let mut seen = String::new();
        for day in days {
            let now = Timestamp(0).plus(Duration::from_secs(day * 24 * 3600));
            let running = Duration::from_secs(hours * 3600);
            seen.push(match judge(&store, now, running).await.unwrap() {
                Clock::Believed => '+',
                Clock::Moved => '-',
                Clock::Unset => '.',
            });
        }
        assert_eq!(seen, expected, "{days:?}");
    }

    #[tokio::test]
    async fn a_clock_that_jumped_is_believed_at_the_second_look() {
        check(0, &[21_000, 21_000, 21_001, 21_030], "-+++").await;
        check(0, &[21_000, 21_001, 47_000, 21_002, 21_003], "-+--+").await;
        check(0, &[0, 21_000, 21_001], "--+").await;
    }

    #[tokio::test]
    async fn what_a_clock_ahead_noted_of_the_machine_goes() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(folder.path()).await;
        let spans = [EARLIEST, EARLIEST.plus(AHEAD), EARLIEST.plus(AHEAD * 2)];
        let save = move |txn: &mut store::Txn<'_>| {
            spans.into_iter().try_for_each(|at| txn.machine_span_save(at, "{}"))
        };
        store.write(save).await.unwrap();
        assert_eq!(forget(&store, EARLIEST).await.unwrap(), 1);
        let left = store.read(|reader| reader.machine_spans(Timestamp(0))).await.unwrap();
        assert_eq!(left.len(), 2);
        assert_eq!(forget(&store, EARLIEST).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn looks_before_the_clock_is_set_put_nothing_off() {
        check(0, &[21_000, 0, 21_007, 0, 0, 21_014], "-.+..+").await;
        check(0, &[0, 0, 1], "-++").await;
        // Nobody sets it: it counts from then on.
        check(24, &[21_000, 0, 1, 2], "--++").await;
    }

    #[tokio::test]
    async fn the_newest_events_and_deeds_stay_and_cursors_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let store = opened(folder.path()).await;
        let event = || Event::Governed { slots: 1, pool: 2, paused: false, why: "hot".into() };
        let fill = move |txn: &mut store::Txn<'_>| {
            for _ in 0..12_000 {
                txn.event_append(Timestamp(1), None, &event())?;
                txn.audit_append(Timestamp(1), &NewAudit::default())?;
            }
            Ok::<_, store::Error>(())
        };
        store.write(fill).await.unwrap();
        assert_eq!(trim_to(&store, Timestamp(2), 10, 20).await.unwrap(), 11_990 + 11_980);
        let left = store.read(|reader| reader.event_list(Cursor(0), 100)).await.unwrap();
        assert_eq!((left.len(), left[9].cursor), (10, Cursor(12_000)));
        let next = store.write(move |txn| txn.event_append(Timestamp(3), None, &event()));
        assert_eq!(next.await.unwrap(), Cursor(12_001));
    }
}
