//! How worn the flash below a file system is, as far as the kernel shows it in files.
//!
//! eMMC tells its life in tenths (JEDEC `DEVICE_LIFE_TIME_EST`, `PRE_EOL_INFO`), UFS in its health
//! descriptor. NVMe and SATA tell theirs through commands that need a descriptor of the device and
//! `ioctl`; no file shows them, so there the reading is absent and `smartctl` in a hook is the way.

use crate::{Root, track::Track};
use base::{
    reading::{Quality, Source, Wear},
    units::Share,
};
use std::time::Duration;

/// A partition, its disk, and the few bridges between a disk and its controller.
const PARENTS_MAX: usize = 6;

/// The wear of one device.
pub(crate) struct Gauge {
    root: Root,
    files: Option<Files>,
    track: Track<Share>,
    found: Option<(Result<Share, Quality>, bool)>,
}

/// Where the device tells its life.
#[derive(Debug, Clone)]
struct Files {
    life: Vec<String>,
    end: String,
}

impl Gauge {
    /// `number` is the device's major:minor.
    pub(crate) fn new(root: &Root, number: &str) -> Self {
        let device = root.device(format!("sys/dev/block/{number}"));
        let files = find(root, &format!("sys/{device}"));
        let track = Track::new(Source::new(device, "life"));
        Self { root: root.clone(), files, track, found: None }
    }

    /// Reads the files anew; the disk itself is not asked.
    pub(crate) fn read(&mut self) {
        let Some(files) = &self.files else { return };
        let worst = files.life.iter().filter_map(|file| tenths(&self.root.text(file).ok()?)).max();
        let end = self.root.text(&files.end).ok().and_then(|text| hex(&text));
        // 1 is normal, 2 is four fifths of the reserve, 3 is nine tenths.
        let warning = end.is_some_and(|end| end >= 2);
        let used = worst.map(|tenths| Share(f64::from(tenths) * 10.0)).ok_or(Quality::Failed);
        self.found = Some((used, warning));
    }

    pub(crate) fn tell(&mut self, now: Duration) -> Option<Wear> {
        let (used, warning) = self.found?;
        let used = self.track.take(used, now);
        Some(Wear { used, spare: None, media_errors: None, warning })
    }
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
