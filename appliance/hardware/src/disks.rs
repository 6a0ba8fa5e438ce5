//! File systems that the appliance lives on, and the devices below them.
//!
//! Invariants: a file system is asked for its free space in a thread of its own, because a dying
//! disk or a lost server holds the question for minutes; everything else comes from `/proc`.
//! Units: bytes, inodes; milliseconds in `/proc/diskstats`. Source: kernel documentation,
//! `admin-guide/iostats`, `filesystems/proc`.

use crate::{
    Root,
    slow::Slow,
    track::{Miss, Raw, Track},
    wear,
};
use base::{
    reading::{Disk, Quality, Source},
    units::{Bytes, Share, Span},
};
use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Wear moves by a hundredth in weeks.
const WEAR_EVERY: Duration = Duration::from_secs(600);

/// A line of `/proc/self/mountinfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    pub(crate) number: String,
    pub(crate) point: String,
    pub(crate) kind: String,
    pub(crate) device: String,
    pub(crate) read_only: bool,
}

#[derive(Debug, Clone, Copy)]
struct Space {
    total: u64,
    free: u64,
    inodes: u64,
    inodes_free: u64,
}

/// Counters of one device: requests, milliseconds spent on them, milliseconds busy.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Work {
    requests: u64,
    spent: u64,
    busy: u64,
}

struct Watched {
    mount: Mount,
    space: Slow<Raw<Space>>,
    free: Track<Bytes>,
    last: Option<Space>,
    was_writable: bool,
    latency: Track<Span>,
    work: Option<(Work, Duration)>,
    wear: wear::Gauge,
    wear_at: Option<Duration>,
}

/// All watched file systems.
pub(crate) struct Disks {
    root: Root,
    watched: Vec<Watched>,
}

impl Disks {
    pub(crate) fn start(
        root: &Root,
        folders: &[PathBuf],
        smartctl: Option<&Path>,
    ) -> io::Result<Self> {
        let mounts = mounts(root);
        let mut watched: Vec<Watched> = Vec::new();
        for folder in folders {
            let Some(mount) = mount_of(&mounts, &root.real(folder)) else { continue };
            if watched.iter().all(|known| known.mount.point != mount.point) {
                watched.push(Watched::start(root, mount.clone(), folder, smartctl)?);
            }
        }
        Ok(Self { root: root.clone(), watched })
    }

    pub(crate) fn ask(&mut self) {
        self.watched.iter_mut().for_each(|watched| watched.space.ask());
    }

    pub(crate) fn take(&mut self, now: Duration, deadline: Instant) -> Vec<Disk> {
        let mounts = mounts(&self.root);
        let stats = self.root.text("proc/diskstats").unwrap_or_default();
        let watched = self.watched.iter_mut();
        watched
            .map(|watched| {
                let mount = mounts.iter().find(|mount| mount.point == watched.mount.point);
                watched.tell(mount, &stats, now, deadline)
            })
            .collect()
    }
}

impl Watched {
    fn start(
        root: &Root,
        mount: Mount,
        folder: &Path,
        smartctl: Option<&Path>,
    ) -> io::Result<Self> {
        let place = root.join(folder.strip_prefix("/").unwrap_or(folder));
        let source = |label: &str| Source::new(mount.point.as_str(), label);
        let (free, latency) = (Track::new(source("free")), Track::new(source("latency")));
        let wear = wear::Gauge::new(root, &mount.number, smartctl);
        Ok(Self {
            space: Slow::start("space", move || space(&place).map_err(Miss::from))?,
            free,
            latency,
            last: None,
            was_writable: !mount.read_only,
            work: None,
            wear,
            wear_at: None,
            mount,
        })
    }

    fn tell(
        &mut self,
        mount: Option<&Mount>,
        stats: &str,
        now: Duration,
        deadline: Instant,
    ) -> Disk {
        let raw = self.space.take(deadline).unwrap_or(Err(Miss::Late));
        let space = raw.ok().or(self.last);
        self.last = space;
        let read_only = mount.is_some_and(|mount| mount.read_only);
        self.was_writable |= mount.is_some() && !read_only;
        let answer = match mount {
            None => Err(Quality::Lost),
            Some(_) => raw.map(|space| Bytes(space.free)).map_err(Into::into),
        };
        let (latency, busy) = self.work(stats, now);
        if self.wear_at.is_none_or(|at| now.saturating_sub(at) >= WEAR_EVERY) {
            self.wear.read();
            self.wear_at = Some(now);
        }
        Disk {
            mount: self.mount.point.clone(),
            device: self.mount.device.clone(),
            kind: self.mount.kind.clone(),
            total: Bytes(space.map_or(0, |space| space.total)),
            free: self.free.take(answer, now),
            inodes_total: space.map_or(0, |space| space.inodes),
            inodes_free: space.map_or(0, |space| space.inodes_free),
            read_only,
            went_read_only: read_only && self.was_writable,
            latency: self.latency.take(latency, now),
            busy,
            wear: self.wear.tell(now),
            controller: self.wear.controller(),
        }
    }

    fn work(&mut self, stats: &str, now: Duration) -> (Result<Span, Quality>, Share) {
        let Some(work) = work_of(stats, &self.mount.device) else {
            return (Err(Quality::Absent), Share::default());
        };
        let Some((before, at)) = self.work.replace((work, now)) else {
            return (Err(Quality::Stale), Share::default());
        };
        let span = now.saturating_sub(at);
        let requests = work.requests.saturating_sub(before.requests);
        let spent = work.spent.saturating_sub(before.spent);
        let busy = Duration::from_millis(work.busy.saturating_sub(before.busy));
        let share = busy.as_secs_f64() * 100.0 / span.as_secs_f64().max(1e-3);
        // An idle disk has no latency of its own; the last one known stands.
        let latency = match requests {
            0 => self.latency.last().copied().ok_or(Quality::Stale),
            _ => {
                Ok(Span(Duration::from_millis(spent) / u32::try_from(requests).unwrap_or(u32::MAX)))
            }
        };
        (latency, Share(share.min(100.0)))
    }
}

fn space(place: &Path) -> io::Result<Space> {
    let found = rustix::fs::statvfs(place)?;
    Ok(Space {
        total: found.f_blocks.saturating_mul(found.f_frsize),
        free: found.f_bavail.saturating_mul(found.f_frsize),
        inodes: found.f_files,
        inodes_free: found.f_ffree,
    })
}

pub(crate) fn mounts(root: &Root) -> Vec<Mount> {
    let text = root.text("proc/self/mountinfo").unwrap_or_default();
    text.lines().filter_map(mount).collect()
}

/// The mount that holds `folder`, which is a path without links ([`Root::real`]): the deepest, and the last of several on one point.
pub(crate) fn mount_of<'a>(mounts: &'a [Mount], folder: &Path) -> Option<&'a Mount> {
    let holds = mounts.iter().filter(|mount| folder.starts_with(&mount.point));
    holds.max_by_key(|mount| mount.point.len())
}

/// A file system is read-only when its mount is, or when the file system itself made it so
/// (`emergency_ro`, or `ro` among its own options after an error).
fn mount(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    let mut left = left.split(' ').skip(2);
    let (number, _, point, options) = (left.next()?, left.next()?, left.next()?, left.next()?);
    let mut right = right.split(' ');
    let (kind, source, own) = (right.next()?, right.next()?, right.next().unwrap_or_default());
    let is_ro = |options: &str| options.split(',').any(|o| o == "ro" || o == "emergency_ro");
    Some(Mount {
        number: number.to_owned(),
        point: unescape(point),
        kind: kind.to_owned(),
        device: source.strip_prefix("/dev/").unwrap_or_default().to_owned(),
        read_only: is_ro(options) || is_ro(own),
    })
}

/// Blanks and such are written as three octal digits.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// The counters of `device` in `/proc/diskstats`.
fn work_of(stats: &str, device: &str) -> Option<Work> {
    let device = device.strip_prefix("mapper/").unwrap_or(device);
    let line = stats.lines().find(|line| line.split_whitespace().nth(2) == Some(device))?;
    let fields: Vec<u64> =
        line.split_whitespace().skip(3).map(|field| field.parse().unwrap_or(0)).collect();
    let at = |n: usize| fields.get(n).copied();
    Some(Work {
        requests: at(0)?.saturating_add(at(4)?),
        spent: at(3)?.saturating_add(at(7)?),
        busy: at(9)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, point: &str, device: &str, read_only: bool) {
        let mount = mount(line).expect(line);
        assert_eq!(
            (mount.point.as_str(), mount.device.as_str(), mount.read_only),
            (point, device, read_only),
            "{line}"
        );
    }

    #[test]
    fn mounts_are_read_with_their_state() {
        check(
            "22 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro",
            "/",
            "sda2",
            false,
        );
        check(
            "30 22 179:3 / /var/lib/my\\040data rw - ext4 /dev/mmcblk0p3 ro",
            "/var/lib/my data",
            "mmcblk0p3",
            true,
        );
        check("30 22 8:3 / /x rw - ext4 /dev/sda3 rw,emergency_ro", "/x", "sda3", true);
        check("31 22 0:5 / /tmp rw - tmpfs tmpfs rw", "/tmp", "", false);
        assert_eq!(mount("nonsense"), None);
    }

    #[test]
    fn the_deepest_mount_holds_a_folder() {
        let all = ["1 0 8:1 / / rw - ext4 /dev/a rw", "2 1 8:2 / /var rw - ext4 /dev/b rw"];
        let all: Vec<Mount> = all.into_iter().filter_map(mount).collect();
        let device = |folder: &str| mount_of(&all, Path::new(folder)).unwrap().device.clone();
        assert_eq!(device("/var/lib"), "b");
        assert_eq!(device("/various"), "a");
    }

    #[test]
    fn device_counters_are_read() {
        let stats = "   8       2 sda2 10 0 80 100 5 0 40 50 0 120 150\n";
        assert_eq!(work_of(stats, "sda2"), Some(Work { requests: 15, spent: 150, busy: 120 }));
        assert_eq!(work_of(stats, "sda"), None);
    }
}
