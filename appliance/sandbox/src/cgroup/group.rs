//! The control groups of one job.

use super::{Base, Controller, Place, Version, make};
use crate::{Error, exec::Usage, spec::Limits};
use base::units::Bytes;
use std::{
    fs::{self, File},
    io::{self, Read},
    os::fd::OwnedFd,
    path::Path,
    time::{Duration, Instant},
};

/// The period of CPU quotas. The kernel's default: long enough to cost little, short enough that
/// a throttled job still answers.
const CPU_PERIOD_MICROS: u64 = 100_000;

/// Less would starve the kernel's own minimum of 1 ms in a period.
const CPU_MILLIS_MIN: u32 = 10;

/// How long the removal of a group waits for the last of its dead. They are gone within
/// milliseconds; a process stuck in the kernel (a dead disk) must not hold the caller for ever.
const REMOVE_DEADLINE: Duration = Duration::from_secs(5);
const REMOVE_PAUSE: Duration = Duration::from_micros(500);

/// A page: the largest of the files that are read here has a tenth of it.
const FILE_MAX: usize = 4096;

/// One directory in each place of the base, named by the job.
#[derive(Debug)]
pub(crate) struct Group {
    dirs: Vec<Place>,
}

impl Group {
    /// Makes the directories and writes the limits; tells which limits could not be set because
    /// no controller serves them.
    pub(crate) fn create(
        base: &Base,
        id: &str,
        limits: &Limits,
    ) -> Result<(Self, Vec<String>), Error> {
        let group = Self::named(base, id);
        for place in &group.dirs {
            make(&place.dir).map_err(Error::path("make the control group", &place.dir))?;
        }
        let warnings = group.limits_write(limits)?;
        Ok((group, warnings))
    }

    /// The group of `id`, which may or may not exist.
    pub(crate) fn named(base: &Base, id: &str) -> Self {
        let dirs =
            base.places.iter().map(|place| Place { dir: place.dir.join(id), ..place.clone() });
        Self { dirs: dirs.collect() }
    }

    fn place(&self, controller: Controller) -> Option<&Place> {
        self.dirs.iter().find(|place| place.controllers.contains(&controller))
    }

    pub(crate) fn limits_write(&self, limits: &Limits) -> Result<Vec<String>, Error> {
        let mut warnings = Vec::new();
        let mut missing = |name: &str| {
            warnings.push(format!(
                "the {name} limit is not enforced: this host has no {name} controller for us; delegate one (systemd: Delegate=yes)"
            ));
        };
        match (limits.memory, self.place(Controller::Memory)) {
            (Some(Bytes(bytes)), Some(place)) => memory_write(place, bytes)?,
            (Some(_), None) => missing("memory"),
            _ => {}
        }
        match (limits.cpu_millis, self.place(Controller::Cpu)) {
            (Some(millis), Some(place)) => cpu_write(place, Some(millis))?,
            (Some(_), None) => missing("cpu"),
            _ => {}
        }
        match (limits.pids, self.place(Controller::Pids)) {
            (Some(pids), Some(place)) => write(place, "pids.max", &pids.to_string())?,
            (Some(_), None) => missing("pids"),
            _ => {}
        }
        Ok(warnings)
    }

    /// Changes the CPU limit of a running job; `None` lifts it.
    pub(crate) fn cpu_set(&self, millis: Option<u32>) -> Result<(), Error> {
        self.place(Controller::Cpu).map_or(Ok(()), |place| cpu_write(place, millis))
    }

    /// The group to be born in, where the host has the unified hierarchy.
    pub(crate) fn birth(&self) -> Result<Option<OwnedFd>, Error> {
        let Some(place) = self.dirs.iter().find(|place| place.version == Version::V2) else {
            return Ok(None);
        };
        let dir = File::open(&place.dir).map_err(Error::path("open", &place.dir))?;
        Ok(Some(dir.into()))
    }

    /// Files to which a process writes `0` to join the version 1 groups.
    pub(crate) fn joins(&self) -> Result<Vec<OwnedFd>, Error> {
        let v1 = self.dirs.iter().filter(|place| place.version == Version::V1);
        v1.map(|place| {
            let path = place.dir.join("cgroup.procs");
            File::options()
                .write(true)
                .open(&path)
                .map(OwnedFd::from)
                .map_err(Error::path("open", path))
        })
        .collect()
    }

    /// Stops (or resumes) every process at once.
    pub(crate) fn freeze(&self, frozen: bool) -> Result<(), Error> {
        let Some(place) = self.place(Controller::Freezer) else { return Ok(()) };
        match (place.version, frozen) {
            (Version::V2, frozen) => write(place, "cgroup.freeze", if frozen { "1" } else { "0" }),
            (Version::V1, true) => write(place, "freezer.state", "FROZEN"),
            (Version::V1, false) => write(place, "freezer.state", "THAWED"),
        }
    }

    /// What the job has used so far; what cannot be read is left out.
    pub(crate) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        if let Some(place) = self.place(Controller::Memory) {
            memory_read(place, &mut usage);
        }
        if let Some(place) = self.place(Controller::Pids) {
            usage.pids = number(place, "pids.current").and_then(|count| count.try_into().ok());
            usage.pids_refused = keyed(place, "pids.events", "max").unwrap_or(0);
        }
        usage.cpu = self.place(Controller::Cpuacct).and_then(cpu_read);
        usage
    }

    /// Kills whatever still lives in the groups; for leftovers, whose init is not ours to wait for.
    pub(crate) fn kill(&self) {
        let _may_be_gone = self.freeze(false);
        for place in &self.dirs {
            if place.version == Version::V2 && fs::write(place.dir.join("cgroup.kill"), "1").is_ok()
            {
                continue;
            }
            for pid in
                fs::read_to_string(place.dir.join("cgroup.procs")).unwrap_or_default().lines()
            {
                let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
                let _may_have_ended = pid
                    .map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
            }
        }
    }

    /// Removes the directories, waiting a while for the last process to be gone.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        self.dirs.iter().try_for_each(|place| remove_dir(&place.dir))
    }
}

fn remove_dir(dir: &Path) -> Result<(), Error> {
    let deadline = Instant::now() + REMOVE_DEADLINE;
    loop {
        match fs::remove_dir(dir) {
            Err(error)
                if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline =>
            {
                crate::pause(REMOVE_PAUSE);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::path("remove the control group", dir)(error));
            }
            _ => return Ok(()),
        }
    }
}

fn write(place: &Place, file: &str, value: &str) -> Result<(), Error> {
    let path = place.dir.join(file);
    fs::write(&path, value).map_err(Error::path("write", path))
}

fn memory_write(place: &Place, bytes: u64) -> Result<(), Error> {
    let value = bytes.to_string();
    match place.version {
        Version::V2 => {
            write(place, "memory.max", &value)?;
            swap_write(place, "memory.swap.max", "0")
        }
        Version::V1 => {
            write(place, "memory.limit_in_bytes", &value)?;
            // Memory and swap together: the same value leaves no swap.
            swap_write(place, "memory.memsw.limit_in_bytes", &value)
        }
    }
}

/// Kernels without swap accounting lack the file: then there is nothing to bound.
fn swap_write(place: &Place, file: &str, value: &str) -> Result<(), Error> {
    let exists = place.dir.join(file).exists();
    if exists { write(place, file, value) } else { Ok(()) }
}

fn cpu_write(place: &Place, millis: Option<u32>) -> Result<(), Error> {
    let quota =
        millis.map(|millis| u64::from(millis.max(CPU_MILLIS_MIN)) * CPU_PERIOD_MICROS / 1000);
    match place.version {
        Version::V2 => {
            let quota = quota.map_or("max".to_owned(), |micros| micros.to_string());
            write(place, "cpu.max", &format!("{quota} {CPU_PERIOD_MICROS}"))
        }
        Version::V1 => {
            // A new group has the same period by default.
            write(
                place,
                "cpu.cfs_quota_us",
                &quota.map_or("-1".to_owned(), |micros| micros.to_string()),
            )
        }
    }
}

fn memory_read(place: &Place, usage: &mut Usage) {
    let names = match place.version {
        Version::V2 => ["memory.current", "memory.peak", "memory.max", "memory.events"],
        Version::V1 => [
            "memory.usage_in_bytes",
            "memory.max_usage_in_bytes",
            "memory.limit_in_bytes",
            "memory.oom_control",
        ],
    };
    let [current, peak, limit, events] = names;
    usage.memory = number(place, current).map(Bytes);
    usage.memory_peak = number(place, peak).map(Bytes);
    // Version 1 shows "no limit" as a number near the largest page count.
    usage.memory_limit = number(place, limit).filter(|bytes| *bytes < 1 << 60).map(Bytes);
    usage.oom_kills = keyed(place, events, "oom_kill").unwrap_or(0);
}

fn cpu_read(place: &Place) -> Option<Duration> {
    match place.version {
        Version::V2 => keyed(place, "cpu.stat", "usage_usec").map(Duration::from_micros),
        Version::V1 => number(place, "cpuacct.usage").map(Duration::from_nanos),
    }
}

/// The kernel tells all of a file of this kind in one read.
fn read(place: &Place, file: &str) -> Option<String> {
    let mut text = vec![0; FILE_MAX];
    let length = File::open(place.dir.join(file)).ok()?.read(&mut text).ok()?;
    text.truncate(length);
    String::from_utf8(text).ok()
}

fn number(place: &Place, file: &str) -> Option<u64> {
    read(place, file)?.trim().parse().ok()
}

/// The value of `key` in a file of `key value` lines.
fn keyed(place: &Place, file: &str, key: &str) -> Option<u64> {
    keyed_text(&read(place, file)?, key)
}

fn keyed_text(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::{Controller, Group, Place, Version, keyed_text};
    use std::fs;

    /// What a group in a folder of plain files says in `file` after being throttled and frozen.
    fn check(version: Version, files: [&str; 2], throttled: &str, lifted: &str, frozen: [&str; 2]) {
        let folder = tempfile::tempdir().unwrap();
        let controllers = vec![Controller::Cpu, Controller::Freezer];
        let dir = folder.path().to_owned();
        let group = Group { dirs: vec![Place { dir, version, controllers }] };
        let text = |file: &str| fs::read_to_string(folder.path().join(file)).unwrap();
        group.cpu_set(Some(250)).unwrap();
        assert_eq!(text(files[0]), throttled);
        group.cpu_set(None).unwrap();
        assert_eq!(text(files[0]), lifted);
        group.freeze(true).unwrap();
        assert_eq!(text(files[1]), frozen[0]);
        group.freeze(false).unwrap();
        assert_eq!(text(files[1]), frozen[1]);
    }

    #[test]
    fn each_version_is_throttled_and_frozen_in_its_own_files() {
        let v2 = ["cpu.max", "cgroup.freeze"];
        check(Version::V2, v2, "25000 100000", "max 100000", ["1", "0"]);
        let v1 = ["cpu.cfs_quota_us", "freezer.state"];
        check(Version::V1, v1, "25000", "-1", ["FROZEN", "THAWED"]);
    }

    #[test]
    fn kills_are_read_from_either_version() {
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
        let v2 = "low 0\nhigh 0\nmax 12\noom 3\noom_kill 3\noom_group_kill 0\n";
        assert_eq!(keyed_text(v1, "oom_kill"), Some(2));
        assert_eq!(keyed_text(v2, "oom_kill"), Some(3));
        assert_eq!(keyed_text("", "oom_kill"), None);
    }
}
