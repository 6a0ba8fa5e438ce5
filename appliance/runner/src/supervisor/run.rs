//! One run of a program, and the clocks that may end it.

use super::{
    spool::Spool,
    wire::{How, RunId},
};
use std::{
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// A program that was started and has not ended.
pub(super) struct Run {
    pub(super) id: RunId,
    /// Where it runs: 0 is the sandbox itself.
    pub(super) container: usize,
    /// Names it there.
    pub(super) pid: u32,
    /// The process itself, whatever is said of it inside.
    pub(super) leader: OwnedFd,
    pub(super) spool: Option<Spool>,
    pub(super) clock: Clock,
}

impl Run {
    /// When its clock has something to say next.
    pub(super) fn next_time(&self) -> Option<Instant> {
        self.clock.next(self.last_output())
    }

    pub(super) fn last_output(&self) -> Option<Instant> {
        self.spool.as_ref().and_then(Spool::last_read)
    }
}

/// Says when a run is to be asked to end, and when to be killed.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    /// Silence counts from here, or from output that came later. Moved on by pauses, in which silence
    /// does not count.
    silent_since: Instant,
    /// The longest silence.
    idle: Option<Duration>,
    ending: Option<Ending>,
}

#[derive(Debug, Clone)]
struct Ending {
    why: How,
    kill_at: Instant,
    killed: Option<Instant>,
}

/// For how long the end of a run that was killed is waited for. It comes in a moment, unless something in
/// the job keeps it from being told: a debugger of one's own, say.
const KILLED_MAX: Duration = Duration::from_secs(10);

/// What a clock asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Kill,
    /// It was killed, and its end is not told.
    GiveUp,
}

impl Clock {
    pub(super) const fn new(begun: Instant, idle: Option<Duration>) -> Self {
        Self { silent_since: begun, idle, ending: None }
    }

    /// The run is to end: its first reason counts. Killed after `grace`.
    pub(super) fn end(&mut self, why: How, now: Instant, grace: Duration) {
        let kill_at = now + grace;
        match &mut self.ending {
            Some(ending) => ending.kill_at = ending.kill_at.min(kill_at),
            None => self.ending = Some(Ending { why, kill_at, killed: None }),
        }
    }

    /// Our reason for its end, if we had one.
    pub(super) fn why(&self) -> Option<How> {
        self.ending.as_ref().map(|ending| ending.why.clone())
    }

    /// A pause of the whole job ended: neither silence nor grace has passed in it.
    pub(super) fn thawed(&mut self, last_output: Option<Instant>, paused: Duration) {
        self.silent_since = self.silence(last_output) + paused;
        if let Some(ending) = &mut self.ending {
            ending.kill_at += paused;
            ending.killed = ending.killed.map(|killed| killed + paused);
        }
    }

    fn silence(&self, last_output: Option<Instant>) -> Instant {
        last_output.map_or(self.silent_since, |last| last.max(self.silent_since))
    }

    fn next(&self, last_output: Option<Instant>) -> Option<Instant> {
        match &self.ending {
            Some(ending) => {
                Some(ending.killed.map_or(ending.kill_at, |killed| killed + KILLED_MAX))
            }
            None => self.idle.map(|idle| self.silence(last_output) + idle),
        }
    }

    /// What is due now; a kill is asked for once, and then what comes of it is waited for.
    pub(super) fn tick(&mut self, last_output: Option<Instant>, now: Instant) -> Due {
        if self.next(last_output).is_none_or(|at| at > now) {
            return Due::Nothing;
        }
        let ending =
            self.ending.get_or_insert(Ending { why: How::Idle, kill_at: now, killed: None });
        match ending.killed.replace(now) {
            None => Due::Kill,
            Some(_) => Due::GiveUp,
        }
    }
}

/// What was already counted, so that each run is told only its own.
#[derive(Debug, Default)]
pub(super) struct Spent {
    oom_kills: u64,
}

impl Spent {
    /// The kills since this was last asked.
    pub(super) fn new_oom_kills(&mut self, usage: &sandbox::Usage) -> u64 {
        let new = usage.oom_kills.saturating_sub(self.oom_kills);
        self.oom_kills = usage.oom_kills;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_ends_a_run_and_output_renews_its_time() {
        let start = Instant::now();
        let mut clock = Clock::new(start, Some(10 * SECOND));
        assert_eq!(clock.tick(None, start + 9 * SECOND), Due::Nothing);
        let spoke = Some(start + 9 * SECOND);
        assert_eq!(clock.tick(spoke, start + 18 * SECOND), Due::Nothing);
        assert_eq!(clock.tick(spoke, start + 19 * SECOND), Due::Kill);
        assert_eq!(clock.why(), Some(How::Idle));
        assert_eq!(clock.tick(spoke, start + 28 * SECOND), Due::Nothing, "one kill is enough");
        assert_eq!(clock.tick(spoke, start + 29 * SECOND), Due::GiveUp);
    }

    #[test]
    fn a_pause_is_no_silence() {
        let start = Instant::now();
        let mut clock = Clock::new(start, Some(10 * SECOND));
        clock.thawed(None, 60 * SECOND);
        assert_eq!(clock.tick(None, start + 69 * SECOND), Due::Nothing);
        assert_eq!(clock.tick(None, start + 70 * SECOND), Due::Kill);
    }

    #[test]
    fn silence_after_a_pause_counts_from_the_output_after_it() {
        let start = Instant::now();
        let mut clock = Clock::new(start, Some(10 * SECOND));
        clock.thawed(Some(start + 5 * SECOND), 60 * SECOND);
        let before = Some(start + 5 * SECOND);
        assert_eq!(clock.tick(before, start + 74 * SECOND), Due::Nothing);
        let after = Some(start + 74 * SECOND);
        assert_eq!(clock.tick(after, start + 83 * SECOND), Due::Nothing);
        assert_eq!(clock.tick(after, start + 84 * SECOND), Due::Kill);
    }

    #[test]
    fn a_pause_takes_nothing_from_the_grace() {
        let start = Instant::now();
        let mut clock = Clock::new(start, None);
        clock.end(How::Stopped, start, 5 * SECOND);
        clock.thawed(None, 60 * SECOND);
        assert_eq!(clock.tick(None, start + 64 * SECOND), Due::Nothing);
        assert_eq!(clock.tick(None, start + 65 * SECOND), Due::Kill);
    }

    #[test]
    fn a_stop_gives_grace_and_its_reason_stays() {
        let start = Instant::now();
        let mut clock = Clock::new(start, Some(SECOND));
        clock.end(How::Stopped, start, 5 * SECOND);
        clock.end(How::Overtime, start, 9 * SECOND);
        assert_eq!(clock.tick(None, start + 4 * SECOND), Due::Nothing);
        assert_eq!(clock.tick(None, start + 5 * SECOND), Due::Kill);
        assert_eq!(clock.why(), Some(How::Stopped));
    }
}
