//! What the kernel itself says of a job's control group, of either version.
//!
//! Why beside the job's own account: on a busy machine a job gets less than it may have, and only
//! the kernel knows whether its quota or its neighbours held it back.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

/// A job's group.
pub(crate) struct Group {
    quota: PathBuf,
    usage: PathBuf,
}

impl Group {
    /// The group of the job of the only runner that works in `folder`.
    pub(crate) fn of(folder: &Path) -> Option<Self> {
        let own = cpu_path("self")?;
        let ours: Vec<u32> = processes().filter(|pid| names(*pid, folder)).collect();
        let jobs = processes().filter(|pid| ours.iter().any(|one| descends(*pid, *one)));
        let (controllers, path) =
            jobs.filter_map(|pid| cpu_path(&pid.to_string())).find(|one| {
                // The supervisor itself stands outside.
                *one != own
                    && one.1.len() > 1
                    && Self::at(one).is_some_and(|group| group.is_limited())
            })?;
        Self::at(&(controllers, path))
    }

    fn at((controllers, path): &(String, String)) -> Option<Self> {
        let relative = path.trim_start_matches('/');
        let base = Path::new("/sys/fs/cgroup");
        if controllers.is_empty() {
            let folder = [base.join("unified"), base.to_path_buf()]
                .map(|root| root.join(relative))
                .into_iter()
                .find(|folder| folder.join("cpu.max").exists())?;
            return Some(Self { quota: folder.join("cpu.max"), usage: folder.join("cpu.stat") });
        }
        let quota = base.join(controllers).join(relative).join("cpu.cfs_quota_us");
        let account = [controllers.as_str(), "cpuacct"]
            .map(|name| base.join(name).join(relative).join("cpuacct.usage"));
        let usage = account.into_iter().find(|file| file.exists())?;
        Some(Self { quota, usage })
    }

    fn is_limited(&self) -> bool {
        self.cores().is_some()
    }

    /// Its quota in cores; `None` while it has none.
    pub(crate) fn cores(&self) -> Option<f64> {
        let text = fs::read_to_string(&self.quota).ok()?;
        let mut words = text.split_whitespace();
        let quota: f64 = words.next()?.parse().ok().filter(|quota| *quota > 0.0)?;
        let period = match words.next() {
            Some(period) => period.parse().ok()?,
            None => number(&self.quota.with_file_name("cpu.cfs_period_us"))?,
        };
        Some(quota / period)
    }

    /// Times that its quota held it back.
    pub(crate) fn throttled(&self) -> u64 {
        field(&self.quota.with_file_name("cpu.stat"), "nr_throttled").unwrap_or(0)
    }

    /// CPU time that it has used.
    pub(crate) fn used(&self) -> Duration {
        match field(&self.usage, "usage_usec") {
            Some(micros) => Duration::from_micros(micros),
            None => Duration::from_secs_f64(number(&self.usage).unwrap_or(0.0) / 1e9),
        }
    }
}

fn number(file: &Path) -> Option<f64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

fn field(file: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

fn processes() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn names(pid: u32, folder: &Path) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains(&*folder.to_string_lossy())
}

fn descends(pid: u32, from: u32) -> bool {
    let parent = |pid: u32| -> Option<u32> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
    };
    std::iter::successors(Some(pid), |pid| parent(*pid).filter(|pid| *pid > 1))
        .any(|pid| pid == from)
}

/// The controllers of the hierarchy with `cpu`, and the path in it; no controllers in version 2.
fn cpu_path(pid: &str) -> Option<(String, String)> {
    let text = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let lines = || text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    let old = lines().find(|(controllers, _)| controllers.split(',').any(|one| one == "cpu"));
    let found = old.or_else(|| lines().find(|(controllers, _)| controllers.is_empty()))?;
    Some((found.0.to_owned(), found.1.to_owned()))
}
