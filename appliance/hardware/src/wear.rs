//! How worn the device below a file system is, and whether it gives warning.
//!
//! eMMC tells its life in tenths (JEDEC `DEVICE_LIFE_TIME_EST`, `PRE_EOL_INFO`), UFS in its health
//! descriptor, both in files. NVMe and SATA are asked through `smartctl`, where that is installed,
//! in a thread of its own. The state of an NVMe drive's controller is a file, too: a drive that
//! has died under the kernel says so there and nowhere else.
//! On failure: what cannot be told is absent; why smartctl got no answer is logged once.

use crate::{
    Root, disks,
    slow::Slow,
    smart::{self, Health},
    track::Track,
};
use base::{
    reading::{DiskWarning, Quality, Source, Wear},
    units::Share,
};
use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// A partition, its disk, and the few bridges between a disk and its controller.
const PARENTS_MAX: usize = 6;
/// A mapping over a RAID over a partition; deeper ones are not followed.
const LAYERS_MAX: usize = 4;

/// The wear of one device.
pub(crate) struct Gauge {
    root: Root,
    means: Means,
    controller: Option<String>,
    track: Track<Share>,
    found: Option<Health>,
}

/// How the device tells.
enum Means {
    Files(Files),
    Smart(Slow<Result<Health, String>>),
    None,
}

/// Where the device tells its life.
#[derive(Debug, Clone)]
struct Files {
    life: Vec<String>,
    end: String,
}

impl Gauge {
    /// `number` is the device's major:minor.
    pub(crate) fn new(root: &Root, number: &str, smartctl: Option<&Path>) -> Self {
        let device = disk(root, number);
        let folder = format!("sys/{device}");
        let means = match find(root, &folder) {
            Some(files) => Means::Files(files),
            None => smartctl.map_or(Means::None, |program| asker(root, &device, program)),
        };
        Self {
            root: root.clone(),
            means,
            controller: controller(root, &folder),
            track: Track::new(Source::new(device, "life")),
            found: None,
        }
    }

    /// Reads the files anew, or asks the disk, which answers later.
    pub(crate) fn read(&mut self) {
        match &mut self.means {
            Means::Files(files) => self.found = Some(files.read(&self.root)),
            Means::Smart(slow) => slow.ask(),
            Means::None => {}
        }
    }

    pub(crate) fn tell(&mut self, now: Duration) -> Option<Wear> {
        if let Means::Smart(slow) = &mut self.means {
            match slow.take(Instant::now()) {
                Some(Ok(health)) => self.found = Some(health),
                Some(Err(why)) if self.found.is_none() => {
                    tracing::info!(%why, "the disk's health is not known");
                    self.means = Means::None;
                }
                // A disk that told its health sleeps now, or is gone; what it told stands.
                Some(Err(_)) | None => {}
            }
        }
        let health = self.found.as_ref()?;
        let untold = match self.means {
            Means::Files(_) => Quality::Failed,
            Means::Smart(_) | Means::None => Quality::Absent,
        };
        Some(Wear {
            used: self.track.take(health.used.map(Share).ok_or(untold), now),
            spare: health.spare.map(Share),
            media_errors: health.media_errors,
            warnings: health.warnings.clone(),
        })
    }

    /// The state of the drive's controller: `live`, or what is wrong with it.
    pub(crate) fn controller(&self) -> Option<String> {
        self.controller.as_ref().and_then(|file| self.root.text(file).ok())
    }
}

impl Files {
    fn read(&self, root: &Root) -> Health {
        let worst = self.life.iter().filter_map(|file| tenths(&root.text(file).ok()?)).max();
        let end = root.text(&self.end).ok().and_then(|text| hex(&text));
        Health {
            used: worst.map(|tenths| f64::from(tenths) * 10.0),
            // 1 is normal, 2 is four fifths of the reserve, 3 is nine tenths.
            warnings: end.filter(|end| *end >= 2).map(|_| DiskWarning::Spare).into_iter().collect(),
            ..Health::default()
        }
    }
}

/// The whole disk below a mount point, such as `/dev/sda`; `None` for what has none.
pub(crate) fn disk_below(root: &Root, mount: &str) -> Option<PathBuf> {
    let mounts = disks::mounts(root);
    let mount = mounts.iter().rev().find(|one| one.point == mount)?;
    whole(root, &disk(root, &mount.number))
}

fn asker(root: &Root, device: &str, program: &Path) -> Means {
    let Some(path) = whole(root, device) else { return Means::None };
    let program = program.to_path_buf();
    match Slow::start("smart", move || smart::ask(&program, &path)) {
        Ok(slow) => Means::Smart(slow),
        Err(error) => {
            tracing::warn!(%error, "no thread for a disk's health; it is not read");
            Means::None
        }
    }
}

/// The device below mappings and arrays; of several the first, which ages as the others do.
fn disk(root: &Root, number: &str) -> String {
    let mut device = root.device(format!("sys/dev/block/{number}"));
    for _ in 0..LAYERS_MAX {
        let slaves = format!("sys/{device}/slaves");
        let Some(first) = root.names(&slaves).into_iter().next() else { break };
        device = root.device(format!("{slaves}/{first}"));
    }
    device
}

/// The whole disk that a partition is part of; `None` for what has no disk.
fn whole(root: &Root, device: &str) -> Option<PathBuf> {
    let mut folder = Path::new(device);
    if root.join(format!("sys/{device}/partition")).exists() {
        folder = folder.parent()?;
    }
    let is_disk = root.join(Path::new("sys").join(folder).join("queue")).is_dir();
    let name = folder.file_name().filter(|_| is_disk)?;
    Some(Path::new("/dev").join(name))
}

/// The file with the state of the NVMe controller above a disk; with more than one path to it, of
/// the first.
fn controller(root: &Root, device: &str) -> Option<String> {
    let is_controller = |name: &str| {
        name.strip_prefix("nvme").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let mut folder = device;
    for _ in 0..PARENTS_MAX {
        folder = folder.rsplit_once('/')?.0;
        let name = folder.rsplit('/').next()?;
        if is_controller(name) && root.join(format!("{folder}/state")).exists() {
            return Some(format!("{folder}/state"));
        }
        if name.starts_with("nvme-subsys") {
            let first = root.names(folder).into_iter().find(|name| is_controller(name))?;
            return Some(format!("{folder}/{first}/state"));
        }
    }
    None
}

fn find(root: &Root, device: &str) -> Option<Files> {
    let mut folder = device;
    for _ in 0..PARENTS_MAX {
        let mmc = format!("{folder}/device/life_time");
        if root.join(&mmc).exists() {
            return Some(Files { life: vec![mmc], end: format!("{folder}/device/pre_eol_info") });
        }
        let ufs = format!("{folder}/health_descriptor");
        if root.join(&ufs).exists() {
            let life = ["a", "b"].map(|side| format!("{ufs}/life_time_estimation_{side}"));
            return Some(Files { life: life.to_vec(), end: format!("{ufs}/eol_info") });
        }
        folder = folder.rsplit_once('/')?.0;
    }
    None
}

/// One or two numbers `0x01` to `0x0B`, tenths of the life; 0 is "not told", 11 is "beyond".
fn tenths(text: &str) -> Option<u32> {
    text.split_whitespace().filter_map(hex).filter(|tenths| (1..=11).contains(tenths)).max()
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<u32>) {
        assert_eq!(tenths(text), expected, "{text}");
    }

    #[test]
    fn the_worse_of_both_kinds_of_cells_counts() {
        check("0x01 0x03", Some(3));
        check("0x00 0x00", None);
        check("0x0b 0x01", Some(11));
        check("0x1f", None);
        check("", None);
    }
}
