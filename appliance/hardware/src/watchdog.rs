//! The hardware's watchdog: told that all is well, for as long as all is well.
//!
//! Why: a box in a cabinet that hangs must come back without a hand.
//! The way: a byte every few seconds keeps the timer from running out; the letter `V` before
//! closing stops it, so that a wanted end does not restart the machine. Source: kernel
//! documentation, `watchdog/watchdog-api`.
//! Invariants: the byte is sent only while the heart that is handed in has beaten within
//! [`HEART_MAX`]; a program that lives and does nothing is as dead as one that crashed. After a
//! crash no `V` is sent and the machine restarts.

use crate::Root;
use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// Without a word of the driver: short enough for the shortest usual time-out, 15 s.
const EVERY: Duration = Duration::from_secs(5);
/// Longer than any drain of a lock or a round of the store; shorter than the patience of people.
const HEART_MAX: Duration = Duration::from_secs(30);

/// Something that shows that the program works: it beats it itself.
#[derive(Debug, Clone)]
pub struct Heart {
    begun: Instant,
    beat: Arc<AtomicU64>,
}

impl Default for Heart {
    fn default() -> Self {
        Self { begun: Instant::now(), beat: Arc::new(AtomicU64::new(0)) }
    }
}

impl Heart {
    /// Shows life.
    pub fn beat(&self) {
        let millis = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.beat.store(millis, Ordering::Relaxed);
    }

    /// Whether life was shown within `span`.
    #[must_use]
    pub fn is_alive(&self, span: Duration) -> bool {
        let beat = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(beat) <= span
    }
}

/// A watchdog that is being told. Dropping it without [`Watchdog::stop`] lets the machine restart.
#[derive(Debug)]
pub struct Watchdog {
    stop: SyncSender<()>,
    thread: thread::JoinHandle<io::Result<()>>,
    path: PathBuf,
}

/// The watchdog cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot tell the watchdog {} that all is well; set `watchdog` to `off` if this machine has none", path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

impl Watchdog {
    /// Opens `path`, which starts the hardware's timer, and tells it for as long as `heart` beats.
    ///
    /// # Errors
    /// No such device, it is taken, or there is no thread left.
    pub fn start(root: &Root, path: &Path, heart: Heart) -> Result<Self, Error> {
        let fail = |source| Error { path: path.to_path_buf(), source };
        let device = OpenOptions::new().write(true).open(path).map_err(fail)?;
        Self::keep(device, path, interval(root, path), HEART_MAX, heart).map_err(fail)
    }

    fn keep(
        mut device: File,
        path: &Path,
        every: Duration,
        heart_max: Duration,
        heart: Heart,
    ) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = thread::Builder::new().name("watchdog".into()).spawn(move || {
            let mut told = true;
            loop {
                if heart.is_alive(heart_max) {
                    told = true;
                    // One word may be lost; the next comes before the hardware's time is over.
                    if let Err(error) = device.write_all(b"\0") {
                        tracing::error!(%error, "the watchdog did not take its word; if it goes on so, it will restart the machine");
                    }
                } else if told {
                    told = false;
                    tracing::error!("the control plane has shown no life; the watchdog is not told any more and will restart the machine");
                }
                match stopped.recv_timeout(every) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) => return device.write_all(b"V"),
                    Err(RecvTimeoutError::Disconnected) => return Ok(()),
                }
            }
        })?;
        Ok(Self { stop, thread, path: path.to_path_buf() })
    }

    /// Stops the hardware's timer.
    ///
    /// # Errors
    /// The device refused a write; then the machine may restart.
    pub fn stop(self) -> Result<(), Error> {
        let _ = self.stop.send(());
        let ended = self.thread.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
        ended.map_err(|source| Error { path: self.path, source })
    }
}

/// A third of the driver's time-out: two words may be lost.
fn interval(root: &Root, path: &Path) -> Duration {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = if name == "watchdog" { "watchdog0".to_owned() } else { name };
    let timeout: Option<u64> = root.value(format!("sys/class/watchdog/{name}/timeout")).ok();
    let third = timeout.map(|seconds| Duration::from_millis(seconds.saturating_mul(1000) / 3));
    third
        .filter(|third| *third >= Duration::from_millis(300))
        .map_or(EVERY, |third| third.min(EVERY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Read, os::fd::OwnedFd};

    const SOON: Duration = Duration::from_millis(5);

    /// Waits until the file holds what it should.
    fn wait(path: &Path, until: impl Fn(&[u8]) -> bool) -> Vec<u8> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let bytes = fs::read(path).unwrap();
            if until(&bytes) {
                return bytes;
            }
            assert!(Instant::now() < deadline, "{bytes:?}");
            thread::yield_now();
        }
    }

    #[test]
    fn it_is_told_while_the_heart_beats_and_let_go_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchdog");
        let device = File::create(&path).unwrap();
        let heart = Heart::default();
        heart.beat();
        let watchdog = Watchdog::keep(device, &path, SOON, Duration::from_secs(60), heart).unwrap();
        wait(&path, |bytes| bytes.len() >= 3);
        watchdog.stop().unwrap();
        assert_eq!(fs::read(&path).unwrap().last(), Some(&b'V'));
    }

    #[test]
    fn a_word_that_the_device_refused_is_said_again() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut device = File::from(OwnedFd::from(writer));
        rustix::fs::fcntl_setfl(&device, rustix::fs::OFlags::NONBLOCK).unwrap();
        while device.write_all(&[1; 4096]).is_ok() {}
        let heart = Heart::default();
        heart.beat();
        let patience = Duration::from_secs(60);
        let path = Path::new("/dev/watchdog");
        let watchdog = Watchdog::keep(device, path, SOON, patience, heart).unwrap();
        thread::park_timeout(SOON * 4);
        let mut bytes = [1; 4096];
        let deadline = Instant::now() + Duration::from_secs(20);
        while !bytes.contains(&0) {
            assert!(Instant::now() < deadline, "it says nothing more");
            let read = reader.read(&mut bytes).unwrap();
            assert!(read > 0, "its thread has ended");
        }
        drop(watchdog);
    }

    #[test]
    fn a_heart_that_stands_still_is_not_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watchdog");
        let device = File::create(&path).unwrap();
        let heart = Heart::default();
        heart.beat();
        let patience = Duration::from_secs(2);
        let watchdog = Watchdog::keep(device, &path, SOON, patience, heart.clone()).unwrap();
        wait(&path, |bytes| !bytes.is_empty());
        let deadline = Instant::now() + Duration::from_secs(20);
        while heart.is_alive(patience) {
            assert!(Instant::now() < deadline);
            thread::yield_now();
        }
        // One word may have been on its way when the heart stopped.
        let before = fs::read(&path).unwrap().len();
        thread::park_timeout(SOON * 20);
        assert!(fs::read(&path).unwrap().len() <= before + 1);
        drop(watchdog);
        assert!(
            !fs::read(&path).unwrap().contains(&b'V'),
            "an unwanted end lets the machine restart"
        );
    }

    #[test]
    fn the_interval_is_a_third_of_what_the_driver_waits() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path());
        let device = Path::new("/dev/watchdog");
        assert_eq!(interval(&root, device), EVERY);
        fs::create_dir_all(root.join("sys/class/watchdog/watchdog0")).unwrap();
        fs::write(root.join("sys/class/watchdog/watchdog0/timeout"), "6\n").unwrap();
        assert_eq!(interval(&root, device), Duration::from_secs(2));
    }
}
