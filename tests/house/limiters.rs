//! The limiters beside heat, live: what is short holds a job back by its own name, with its reading
//! and its bound, and lets it go when there is enough again.

use crate::{
    git::account,
    harness::{Appliance, announce, may_run_jobs, signal, wait_for},
    workspace::WorkingCopy,
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, Stdio},
};

const PROJECT: &str = "acme/relay";

/// A house with one job that runs until it is cancelled, and writes all the time.
struct Site {
    house: Appliance,
    copy: WorkingCopy,
    first: String,
}

fn config(message: &str, command: &str) -> String {
    format!(
        "# {message}\nversion: 2.1\njobs:\n  work:\n    machine: true\n    steps: [{{run: \"{command}\"}}]\nworkflows:\n  day:\n    jobs: [work]\n"
    )
}

impl Site {
    fn start(house: Appliance) -> Self {
        let copy = WorkingCopy::new(&house, PROJECT, &account(&house, "dev", "member"));
        let mut site = Self { house, copy, first: String::new() };
        site.first = site.push("First", "while sleep 0.3; do date; done");
        wait_for("the first job to run", || {
            (site.house.jobs(&site.first)[0]["status"] == "running").then_some(())
        });
        site
    }

    fn push(&self, message: &str, command: &str) -> String {
        self.copy.commit(".circleci/config.yml", &config(message, command), message);
        self.copy.push();
        self.house.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned()
    }

    fn hardware(&self) -> Value {
        self.house.api("GET", "/api/appliance/v1/hardware", None)
    }

    fn limiter(&self, name: &str) -> Value {
        let now = self.hardware();
        let limiters = now["limiters"].as_array().unwrap();
        limiters.iter().find(|one| one["limiter"] == name).unwrap().clone()
    }

    /// Waits until the limiter allows so many slots; its reading.
    fn until(&self, name: &str, slots: u64) -> String {
        let bound = wait_for(&format!("{name} to allow {slots}"), || {
            Some(self.limiter(name)).filter(|bound| bound["slots"] == slots)
        });
        bound["reading"].as_str().unwrap().to_owned()
    }

    /// Waits until the waiting job is held with these words, and checks every face that says so.
    fn held(&self, begin: &str, end: &str) -> String {
        let why = wait_for(begin, || {
            let why = self.hardware()["held"][0]["why"].as_str()?.to_owned();
            (why.starts_with(begin) && why.ends_with(end)).then_some(why)
        });
        let told = String::from_utf8(self.house.cli(&["hardware"]).stdout).unwrap();
        let limiter = begin.trim_start_matches("held: ").split(',').next().unwrap();
        assert!(told.contains(&format!("bound by {limiter}: ")), "{told}");
        assert!(told.contains(&format!(": held: {limiter}, ")), "{told}");
        why
    }

    fn end(self) {
        self.house.cancel(&self.first);
    }
}

/// Makes each sync of a process wait for 0.7 s more, as a worn card does; ends with the value.
struct SlowDisk(Child);

impl SlowDisk {
    /// `None` where there is no strace, or where it may not.
    fn below(pid: u32) -> Option<Self> {
        let mut strace = Command::new("strace");
        strace.args(["--follow-forks", "--quiet=all", "--output=/dev/null"]);
        strace.args(["--trace=fdatasync,fsync", "--inject=fdatasync,fsync:delay_enter=700000"]);
        let strace = strace.arg("--attach").arg(pid.to_string()).stdin(Stdio::null()).spawn();
        let mut this = Self(strace.ok()?);
        let is_attached = wait_for("strace to attach itself", || {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap();
            match this.0.try_wait().unwrap() {
                Some(_) => Some(false),
                None => (tracer.trim() != "0").then_some(true),
            }
        });
        is_attached.then_some(this)
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        // It lets go of the process; killed, it would take it along.
        if self.0.try_wait().unwrap().is_none() {
            signal("TERM", self.0.id());
        }
        let _ = self.0.wait();
    }
}

#[test]
fn a_slow_disk_holds_jobs_back_until_it_is_quick_again() {
    if !may_run_jobs() {
        return;
    }
    let site = Site::start(Appliance::start());
    wait_for("the disk's habit to be learned", || {
        let reading = site.limiter("io")["reading"].as_str()?.to_owned();
        reading.starts_with("flush ").then_some(())
    });
    let Some(slow) = SlowDisk::below(site.house.pid()) else {
        announce("skipped: strace, and leave to trace, are needed to make a disk slow");
        return site.end();
    };
    site.until("io", 1);
    let second = site.push("Second", "true");
    let why = site.held("held: io, flush ", ", 1 of 2 slots");
    let number = |after: &str| -> f64 {
        let text = why.split_once(after).unwrap().1.trim_start();
        text.split([' ', ',']).next().unwrap().parse().unwrap()
    };
    let (flush, bound) = (number("flush"), number(" ms of"));
    assert!(flush > bound && (100.0..500.0).contains(&bound), "{why}");
    drop(slow);
    let reading = site.until("io", 2);
    assert_eq!(site.house.wait_for_workflows(&second)[0].1, "success", "{reading}");
    site.end();
}

/// In one step, as the kernel answers: a reader never sees half a value.
fn set(tree: &Path, file: &str, value: &str) {
    let path = tree.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path.with_extension("new"), format!("{value}\n")).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

/// A board with eight gibibytes of memory, a battery and a root file system.
fn set_board(tree: &Path, mebibytes: u64, is_on_mains: bool, options: &str) {
    let kibibytes = mebibytes * 1024;
    let memory = format!("MemTotal: 8388608 kB\nMemAvailable: {kibibytes} kB");
    set(tree, "proc/meminfo", &memory);
    let (online, status) = if is_on_mains { ("1", "Full") } else { ("0", "Discharging") };
    set(tree, "sys/class/power_supply/AC/type", "Mains");
    set(tree, "sys/class/power_supply/AC/online", online);
    set(tree, "sys/class/power_supply/BAT0/type", "Battery");
    set(tree, "sys/class/power_supply/BAT0/status", status);
    set(tree, "sys/class/power_supply/BAT0/capacity", "80");
    let mount = format!("22 1 179:1 / / {options} - ext4 /dev/mmcblk0p1 {options}");
    set(tree, "proc/self/mountinfo", &mount);
}

/// Puts one with room where the file system of the data directory is asked for, below the tree:
/// the limiter's reading must not depend on how full the disk of this machine is.
fn roomy(tree: &Path, data: &Path) {
    let asked = tree.join(data.strip_prefix("/").unwrap());
    fs::create_dir_all(asked.parent().unwrap()).unwrap();
    symlink("/dev/shm", asked).unwrap();
}

/// Each in turn is the tightest: power allows one job, memory no more than run, a disk none.
#[test]
fn battery_memory_and_disk_hold_jobs_back_by_their_names() {
    if !may_run_jobs() {
        return;
    }
    let mut house = Appliance::not_started([0, 0], &[]);
    let tree = house.machine();
    set_board(&tree, 6000, true, "rw");
    roomy(&tree, &house.data());
    house.start_again();
    let site = Site::start(house);

    set_board(&tree, 6000, false, "rw");
    assert_eq!(site.until("power", 1), "on battery");
    let second = site.push("Second", "true");
    site.held("held: power, on battery", ", 1 of 2 slots");
    set_board(&tree, 300, false, "rw");
    site.held("held: memory, 300 MiB available of at least 819.2 MiB", ", 1 of 2 slots");
    set_board(&tree, 300, false, "ro");
    site.held("held: disk, / is read-only", ", 0 of 2 slots");
    assert_eq!(site.house.jobs(&site.first)[0]["status"], "running", "less slots end no job");

    set_board(&tree, 6000, true, "rw");
    let settles = [
        ("power", "mains are just back"),
        ("memory", ", is well again, opens by one in "),
        ("disk", ", is well again, opens in "),
    ];
    for (name, words) in settles {
        wait_for(words, || {
            site.limiter(name)["reading"].as_str().filter(|told| told.contains(words)).map(drop)
        });
    }
    // A minute of good news is wanted; half of it here, the rest below.
    wait_for("half of the minute", || {
        let reading = site.limiter("disk")["reading"].as_str()?.to_owned();
        let left = reading.rsplit(' ').nth(1)?.parse::<u32>().ok()?;
        (left < 30).then_some(())
    });
    for (name, _) in settles {
        site.until(name, 2);
    }
    // Room for it whatever the disk of this machine is busy with.
    site.house.cancel(&site.first);
    assert_eq!(site.house.wait_for_workflows(&second)[0].1, "success");
}
