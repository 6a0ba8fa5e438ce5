//! Cuts of the power: an ext4 image whose file system is shut down, unsynced bytes and all, in the
//! middle of the load; then it is mounted again as after a start.

use crate::{
    kill::{chance, rounds},
    ledger::Ledger,
    worker::{Start, Worker},
};
use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

/// Longer than a prober of new devices holds one.
const RELEASE: Duration = Duration::from_secs(30);

/// `EXT4_IOC_SHUTDOWN` without a flush of the journal: what was not synced is gone.
const CUT: &str = "import fcntl,os,struct,sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587D, struct.pack('I', 2))";

/// `true` where the rest of the test is to run; the caller returns where it is `false`.
///
/// A process that makes a mount namespace (every sandbox does) takes a copy of all mounts: the
/// image's file system then outlives its unmounting, and the next mount finds the one that was shut
/// down, or a device whose cache is older than its disk. So the test runs once more, in a
/// namespace of its own, of which nobody takes copies.
pub(crate) fn alone(test: &str) -> bool {
    if std::env::var_os("OBJECTS_ALONE").is_some() {
        return true;
    }
    let status = Command::new("unshare")
        .args(["--mount", "--", text(&std::env::current_exe().unwrap())])
        .args(["--exact", test, "--nocapture"])
        .env("OBJECTS_ALONE", "1")
        .status();
    match status {
        Ok(status) => assert!(status.success(), "{test}: {status}"),
        Err(why) => eprintln!("skipped: a mount namespace cannot be made ({why})"),
    }
    false
}

/// A mounted image; unmounted when dropped.
pub(crate) struct Disk {
    folder: tempfile::TempDir,
    pub(crate) mount: PathBuf,
}

pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|why| why.to_string())?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{program}: {told}")) }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Disk {
    /// An ext4 of so many MiB; the reason when this machine cannot mount one.
    pub(crate) fn new(mib: u64) -> Result<Self, String> {
        let folder = tempfile::tempdir().unwrap();
        let (image, mount) = (folder.path().join("image"), folder.path().join("mount"));
        std::fs::File::create(&image).unwrap().set_len(mib << 20).unwrap();
        std::fs::create_dir(&mount).unwrap();
        run("mkfs.ext4", &["-q", "-F", text(&image)])?;
        let disk = Self { folder, mount };
        disk.mount()?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    pub(crate) fn mount(&self) -> Result<(), String> {
        run("mount", &["-o", "loop", text(&self.image()), text(&self.mount)])
    }

    /// Returns when nothing remembers the image: what is read after the next mount was on it.
    pub(crate) fn unmount(&self) -> Result<(), String> {
        run("umount", &[text(&self.mount)])?;
        let begun = Instant::now();
        while self.attached() {
            if begun.elapsed() > RELEASE {
                return Err("the loop device is still held".into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn attached(&self) -> bool {
        let devices = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
        let mut files = devices
            .filter_map(|device| std::fs::read(device.path().join("loop/backing_file")).ok());
        files.any(|file| file.trim_ascii_end() == self.image().as_os_str().as_encoded_bytes())
    }

    /// From here on nothing reaches the disk.
    pub(crate) fn cut(&self) -> Result<(), String> {
        run("python3", &["-c", CUT, text(&self.mount)])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            drop(run("umount", &["-l", text(&self.mount)]));
        }
    }
}

#[tokio::test]
async fn a_cut_of_the_power_loses_nothing_acknowledged_and_the_next_start_needs_no_hand() {
    if !alone(
        "power::a_cut_of_the_power_loses_nothing_acknowledged_and_the_next_start_needs_no_hand",
    ) {
        return;
    }
    let disk = match Disk::new(192) {
        Ok(disk) => disk,
        Err(why) => return eprintln!("skipped: the power cannot be cut here ({why})"),
    };
    let scratch = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::default());
    let data = disk.mount.join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::File::open(&disk.mount).unwrap().sync_all().unwrap();
    // Another first seed is another load; a round's is told with it.
    let seed = rounds("APPLIANCE_SEED", 1);
    for round in 0..rounds("APPLIANCE_CUTS", 3) {
        let start = Start {
            dir: &data,
            scratch: scratch.path(),
            seed: seed + round,
            lines: 4,
            steps: None,
            under: Vec::new(),
        };
        let worker = Worker::start(&start, &ledger);
        let words = 20 + chance(round, 80);
        worker.hear(words);
        ledger.cut();
        disk.cut().unwrap();
        worker.kill();
        ledger.failures();
        disk.unmount().unwrap();
        disk.mount().unwrap();
        let files = ledger.compare(&data, None).await;
        eprintln!(
            "round {round}: cut after {words} words; {} done, {files} files",
            ledger.acknowledged()
        );
    }
    assert!(ledger.acknowledged() > 0);
}
