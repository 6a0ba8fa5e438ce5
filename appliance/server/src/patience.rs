//! How long our own writes wait for the disk.
//!
//! Why not by commits alone: a job that compiles for ten minutes makes few of them, and just then
//! the disk may be slow. So while jobs run and nothing is committed, one block is written and made
//! durable now and then, beside the database and as it does.
//! Why one that is under way counts, too: a disk that hangs ends no write, and by the ended ones
//! alone it would look idle.
//! Units: milliseconds. Bounds: one block of 4 KiB in [`QUIET`]; the block has no name, so that
//! nothing is left of it.
//! On failure: what cannot be written is no measure; commits are all there is then.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};
use store::Store;

/// So long without a commit, and the disk is asked.
const QUIET: Duration = Duration::from_secs(5);
/// A step of the governor: what began later may still end within its own.
const STEP: Duration = Duration::from_secs(1);
const BLOCK: [u8; 4096] = [0; 4096];

/// What is remembered from step to step.
pub(crate) struct Patience {
    store: Store,
    /// Commits and their microseconds at the last step.
    before: (u64, u64),
    probe: Option<Probe>,
    heard: Instant,
}

impl Patience {
    pub(crate) fn new(store: Store, data_dir: &Path) -> Self {
        let probe = Probe::start(data_dir);
        let probe = probe.inspect_err(|error| {
            tracing::warn!(%error, "the disk's patience is known by commits alone");
        });
        Self { before: store.flushes(), store, probe: probe.ok(), heard: Instant::now() }
    }

    /// How long a write took since the last step, or has taken till now.
    pub(crate) fn millis(&mut self, jobs_run: bool) -> Option<f64> {
        let now = self.store.flushes();
        let ended = now.0.saturating_sub(self.before.0);
        let took = Duration::from_micros(now.1.saturating_sub(self.before.1));
        self.before = now;
        let commits = mean(ended, took, self.store.flush_waits());
        let asked = self.probe.as_mut().and_then(|probe| probe.take(Instant::now()));
        let found = [commits, asked].into_iter().flatten().max();
        if found.is_some() {
            self.heard = Instant::now();
        } else if jobs_run && self.heard.elapsed() >= QUIET {
            self.probe.as_mut().into_iter().for_each(Probe::ask);
        }
        found.map(|span| span.as_secs_f64() * 1e3)
    }
}

/// The mean of those that ended. One that waits for longer speaks for the disk.
fn mean(ended: u64, took: Duration, waits: Option<Duration>) -> Option<Duration> {
    let ended = u32::try_from(ended).unwrap_or(u32::MAX);
    let mean = (ended > 0).then(|| took / ended);
    let waits = waits.filter(|waits| *waits >= mean.unwrap_or(STEP));
    [mean, waits].into_iter().flatten().max()
}

/// One block, and the thread that waits for it.
struct Probe {
    asks: SyncSender<()>,
    times: Receiver<Option<Duration>>,
    begun: Option<Instant>,
}

impl Probe {
    fn start(folder: &Path) -> io::Result<Self> {
        let path = folder.join(format!(".patience-{}", std::process::id()));
        let file = File::create_new(&path)?;
        fs::remove_file(&path)?;
        let (asks, asked) = sync_channel::<()>(1);
        let (tell, times) = sync_channel(1);
        thread::Builder::new()
            .name("patience".into())
            .spawn(move || while asked.recv().is_ok() && tell.send(flush(&file)).is_ok() {})?;
        Ok(Self { asks, times, begun: None })
    }

    fn ask(&mut self) {
        if self.begun.is_none() && self.asks.try_send(()).is_ok() {
            self.begun = Some(Instant::now());
        }
    }

    fn take(&mut self, now: Instant) -> Option<Duration> {
        let begun = self.begun?;
        if let Ok(took) = self.times.try_recv() {
            self.begun = None;
            return took;
        }
        Some(now.saturating_duration_since(begun)).filter(|waits| *waits >= STEP)
    }
}

fn flush(file: &File) -> Option<Duration> {
    let begun = Instant::now();
    file.write_all_at(&BLOCK, 0).and_then(|()| file.sync_data()).ok()?;
    Some(begun.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_that_hangs_speaks_for_the_disk_and_one_that_just_began_does_not() {
        let check = |ended, took, waits: Option<u64>, expected: Option<u64>| {
            let told = mean(ended, Duration::from_millis(took), waits.map(Duration::from_millis));
            let expected = expected.map(Duration::from_millis);
            assert_eq!(told, expected, "{ended} in {took} ms, {waits:?}");
        };
        check(0, 0, None, None);
        check(4, 20, None, Some(5));
        check(4, 20, Some(1), Some(5));
        check(0, 0, Some(300), None);
        check(1, 700, Some(900), Some(900));
        check(0, 0, Some(4000), Some(4000));
    }

    #[test]
    fn a_block_is_written_when_asked_and_leaves_no_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut probe = Probe::start(folder.path()).expect("a file and a thread");
        assert_eq!(fs::read_dir(folder.path()).expect("it is there").count(), 0);
        assert_eq!(probe.take(Instant::now()), None, "nobody asked");
        probe.ask();
        let took = probe.times.recv_timeout(Duration::from_secs(20));
        assert!(took.is_ok_and(|took| took.is_some()));
        let later = Instant::now() + 3 * STEP;
        assert!(
            probe.take(later).is_some_and(|waits| waits >= STEP),
            "it has not heard the answer"
        );
    }
}
