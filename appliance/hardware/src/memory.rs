//! Memory, its errors, and how long tasks wait.
//!
//! Units: kibibytes in `/proc/meminfo`; percent in `/proc/pressure`. A kernel without PSI, or one
//! started with `psi=0`, has no such folder or refuses the read: the reading is absent.

use crate::{
    Root,
    track::{Miss, Track},
};
use base::{
    reading::{Averages, Ecc, Memory, Pressure, Quality, Reading, Source, Stall},
    units::{Bytes, Share},
};
use std::{collections::BTreeMap, time::Duration};

const EDAC: &str = "sys/devices/system/edac/mc";
/// Memory controllers are found at the start; more than this is a broken table.
const CONTROLLERS_MAX: usize = 64;

/// What is remembered between two rounds.
pub(crate) struct Gauge {
    root: Root,
    available: Track<Bytes>,
    stalls: [Track<Stall>; 3],
    controllers: Vec<String>,
    counts: BTreeMap<Source, Track<u64>>,
}

impl Gauge {
    pub(crate) fn new(root: &Root) -> Self {
        let stall = |name: &str| Track::new(Source::new("proc/pressure", name));
        let names = root.names(EDAC);
        let controllers = names.into_iter().filter(|name| name.starts_with("mc"));
        Self {
            root: root.clone(),
            available: Track::new(Source::new("proc/meminfo", "MemAvailable")),
            stalls: [stall("cpu"), stall("memory"), stall("io")],
            controllers: controllers.take(CONTROLLERS_MAX).collect(),
            counts: BTreeMap::new(),
        }
    }

    pub(crate) fn memory(&mut self, now: Duration) -> Memory {
        let text = self.root.text("proc/meminfo").map_err(Miss::from);
        let field = |name: &str| -> Result<Bytes, Quality> {
            let text = text.as_deref().map_err(|miss| Quality::from(*miss))?;
            meminfo(text, name).ok_or(Quality::Implausible)
        };
        let total = field("MemTotal").unwrap_or_default();
        let available = field("MemAvailable")
            .and_then(|free| if free <= total { Ok(free) } else { Err(Quality::Implausible) });
        Memory {
            total,
            available: self.available.take(available, now),
            swap_total: field("SwapTotal").unwrap_or_default(),
            swap_free: field("SwapFree").unwrap_or_default(),
            ecc: (0..self.controllers.len()).map(|at| self.controller(at, now)).collect(),
        }
    }

    fn controller(&mut self, at: usize, now: Duration) -> Ecc {
        let name = self.controllers[at].clone();
        let mut count = |file: &str| {
            let raw = self.root.value::<u64>(format!("{EDAC}/{name}/{file}"));
            let raw = raw.map_err(|error| Miss::from(error).into());
            let source = Source::new(name.as_str(), file);
            let track =
                self.counts.entry(source.clone()).or_insert_with(|| Track::new(source.clone()));
            let before = track.last().copied();
            let reading = track.take(raw, now);
            // A counter that went back was set to zero by somebody.
            let after = reading.value.unwrap_or(0);
            let recent = before.map_or(0, |before| after.checked_sub(before).unwrap_or(after));
            (reading, recent)
        };
        let (corrected, corrected_recent) = count("ce_count");
        let (uncorrected, uncorrected_recent) = count("ue_count");
        Ecc { corrected, uncorrected, corrected_recent, uncorrected_recent }
    }

    pub(crate) fn pressure(&mut self, now: Duration) -> Pressure {
        let mut read = |at: usize, name: &str| -> Reading<Stall> {
            let answer = match self.root.text(format!("proc/pressure/{name}")) {
                Ok(text) => stall(&text).ok_or(Quality::Implausible),
                Err(_) if self.stalls[at].last().is_none() => Err(Quality::Absent),
                Err(error) => Err(Miss::from(error).into()),
            };
            self.stalls[at].take(answer, now)
        };
        Pressure { cpu: read(0, "cpu"), memory: read(1, "memory"), io: read(2, "io") }
    }
}

/// A field of `/proc/meminfo`.
pub(crate) fn meminfo(text: &str, name: &str) -> Option<Bytes> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib.checked_mul(1024)?))
}

/// The two lines of a file of `/proc/pressure`; old kernels have no `full` for the processor.
fn stall(text: &str) -> Option<Stall> {
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    Some(Stall {
        some: averages(line("some ")?)?,
        full: line("full ").and_then(averages).unwrap_or_default(),
    })
}

fn averages(line: &str) -> Option<Averages> {
    let field = |name: &str| {
        let word = line.split_whitespace().find_map(|word| word.strip_prefix(name))?;
        let share: f64 = word.strip_prefix('=')?.parse().ok()?;
        (0.0..=100.0).contains(&share).then_some(Share(share))
    };
    Some(Averages { avg10: field("avg10")?, avg60: field("avg60")?, avg300: field("avg300")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(f64, f64)>) {
        let got = stall(text).map(|stall| (stall.some.avg10.0, stall.full.avg60.0));
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn pressure_is_read_and_nonsense_refused() {
        let some = "some avg10=12.50 avg60=2.26 avg300=2.90 total=296441920";
        check(
            &format!("{some}\nfull avg10=0.00 avg60=1.25 avg300=0.00 total=5"),
            Some((12.5, 1.25)),
        );
        check(some, Some((12.5, 0.0)));
        check("some avg10=NaN avg60=2 avg300=2 total=1", None);
        check("some avg10=1e9 avg60=2 avg300=2 total=1", None);
        check("", None);
    }

    #[test]
    fn memory_is_read_by_name() {
        let text = "MemTotal:  2048 kB\nMemFree: 1 kB\nMemAvailable:   1024 kB\n";
        assert_eq!(meminfo(text, "MemAvailable"), Some(Bytes::mib(1)));
        assert_eq!(meminfo(text, "MemTot"), None);
        assert_eq!(meminfo("MemTotal: 99999999999999999 kB", "MemTotal"), None);
    }
}
