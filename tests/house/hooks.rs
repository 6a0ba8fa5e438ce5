//! Firmware hooks, end to end: each of the fifteen events rings from what really happens to a
//! machine, and a hook is told of it.

use crate::{
    git::account,
    harness::{Appliance, BINARY, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::Command,
};

const PROJECT: &str = "acme/hooks";

const CONFIG: &str = "version: 2.1\njobs:\n  one:\n    machine: true\n    steps: [{run: \"true\"}]\nworkflows:\n  main:\n    jobs: [one]\n";

/// A board with a worn flash disk, a battery, a card and a sensor.
const BOARD: [(&str, &str); 15] = [
    ("proc/self/mountinfo", "22 1 179:1 / / rw - ext4 /dev/mmcblk0p1 rw"),
    ("sys/devices/mmc0/mmcblk0/device/life_time", "0x09 0x02"),
    ("sys/devices/mmc0/mmcblk0/device/pre_eol_info", "0x01"),
    ("sys/devices/mmc0/mmcblk0/mmcblk0p1/partition", "1"),
    ("sys/class/power_supply/AC/type", "Mains"),
    ("sys/class/power_supply/AC/online", "1"),
    ("sys/class/power_supply/BAT0/type", "Battery"),
    ("sys/class/power_supply/BAT0/status", "Charging"),
    ("sys/class/power_supply/BAT0/capacity", "60"),
    ("sys/class/net/wan0/operstate", "up"),
    ("sys/class/net/wan0/flags", "0x1003"),
    ("sys/class/net/wan0/mtu", "1500"),
    ("sys/class/net/wan0/carrier_changes", "1"),
    ("sys/class/thermal/thermal_zone0/type", "cpu-thermal"),
    ("sys/class/thermal/thermal_zone0/temp", "50000"),
];

struct Site {
    house: Appliance,
    hooks: PathBuf,
    told: PathBuf,
}

/// In one step, as the kernel answers: a reader never sees half a value.
fn set(tree: &Path, file: &str, value: &str) {
    let path = tree.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path.with_extension("new"), format!("{value}\n")).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

impl Site {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap().keep();
        let told = folder.join("told");
        let hooks = folder.join("hooks");
        let any = hooks.join("any");
        fs::create_dir_all(&any).unwrap();
        let script = format!(
            "#!/bin/sh\nexec 3>>{}\nprintf '%s %s ' \"$1\" \"$APPLIANCE_PLACE\" >&3\ncat >&3\necho heard of $1\n",
            told.display()
        );
        fs::write(any.join("10-tell"), script).unwrap();
        for path in [&hooks, &any, &any.join("10-tell")] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let tree = folder.join("board");
        BOARD.iter().for_each(|(file, value)| set(&tree, file, value));
        fs::create_dir_all(tree.join("sys/dev/block")).unwrap();
        symlink("../../devices/mmc0/mmcblk0/mmcblk0p1", tree.join("sys/dev/block/179:1")).unwrap();
        let (hooks_dir, root) = (hooks.display().to_string(), tree.display().to_string());
        let house = Appliance::start_with(
            [0, 0],
            &[
                ("APPLIANCE_HOOKS_DIR", &hooks_dir),
                ("APPLIANCE_HOOKS_USER", "root"),
                ("APPLIANCE_HARDWARE_ROOT", &root),
            ],
        );
        Self { house, hooks, told }
    }

    fn set(&self, file: &str, value: &str) {
        set(&self.hooks.with_file_name("board"), file, value);
    }

    fn heat(&self, millidegrees: &str) {
        self.set("sys/class/thermal/thermal_zone0/temp", millidegrees);
    }

    /// The line of the newest telling of an event.
    fn line(&self, event: &str) -> Option<String> {
        let told = fs::read_to_string(&self.told).unwrap_or_default();
        let begin = format!("{event} ");
        // A hook may be in the middle of its line.
        let is_whole = |line: &&str| line.starts_with(&begin) && line.ends_with('}');
        let line = told.lines().rev().find(is_whole);
        line.map(str::to_owned)
    }

    /// Waits for an event; its line must say all of `words`.
    fn until(&self, event: &str, words: &[&str]) {
        let line = wait_for(event, || self.line(event));
        for word in words {
            assert!(line.contains(word), "{word} is not in: {line}");
        }
        assert!(line.contains(&format!(r#"{{"version":1,"event":"{event}","at":"20"#)), "{line}");
    }

    /// What an updater of the system calls.
    fn updater(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = Command::new(BINARY)
            .args(["hooks", "fire"])
            .args(arguments)
            .arg("--data-dir")
            .arg(self.house.data())
            .env("APPLIANCE_HOOKS_DIR", &self.hooks)
            .env("APPLIANCE_HOOKS_USER", "root")
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }
}

#[test]
fn every_event_rings_from_what_really_happens() {
    if !may_run_jobs() {
        return;
    }
    let mut site = Site::start();
    site.until("boot-complete", &["serves"]);
    site.until("disk-wear", &["disk-wear / ", r#""value":90.0,"bound":80.0,"unit":"%""#]);

    let copy = WorkingCopy::new(&site.house, PROJECT, &account(&site.house, "dev", "member"));
    copy.commit(".circleci/config.yml", CONFIG, "Configure");
    copy.push();
    site.until("job-start", &["is running"]);
    site.until("job-end", &["is success"]);

    site.heat("82000");
    site.until("thermal-warning", &["cpu-thermal", r#""value":82.0,"bound":80.0,"unit":"°C""#]);
    site.heat("88000");
    site.until("thermal-critical", &[r#""value":88.0,"bound":85.0"#]);
    // Clear is told after half a minute of rest, in which the rest happens.
    site.heat("50000");

    site.set("sys/class/net/wan0/operstate", "down");
    site.set("sys/class/net/wan0/carrier_changes", "2");
    site.until("link-down", &["link-down wan0 ", "cable"]);
    site.set("sys/class/net/wan0/operstate", "up");
    site.set("sys/class/net/wan0/carrier_changes", "3");
    site.until("link-up", &["wan0 carries again"]);

    site.set("sys/class/power_supply/BAT0/status", "Discharging");
    site.set("sys/class/power_supply/AC/online", "0");
    site.until("power-battery", &["power-battery power ", r#""value":60.0"#]);
    site.set("sys/class/power_supply/BAT0/capacity", "9");
    site.until("power-low", &[r#""value":9.0"#, "nearly empty"]);
    site.set("sys/class/power_supply/AC/online", "1");
    site.set("sys/class/power_supply/BAT0/status", "Charging");
    site.until("power-mains", &["the mains are back"]);

    let (code, said) =
        site.updater(&["update-installed", "--place", "slot-b", "--words", "1.2.0 in slot b"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("10-tell done") && said.contains("heard of update-installed"), "{said}");
    site.until("update-installed", &["update-installed slot-b ", r#""words":"1.2.0 in slot b""#]);
    assert_eq!(site.updater(&["update-failed"]).0, Some(0));
    site.until("update-failed", &[]);
    let (code, said) = site.updater(&["thermal-warning"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("appliance hooks test thermal-warning"), "{said}");

    site.until("thermal-clear", &[r#""bound":75.0"#]);
    let log = site.house.log();
    assert!(log.contains("heard of thermal-warning"), "what a hook says is in the journal: {log}");
    site.house.stop();
    site.until("shutdown", &["the appliance ends"]);

    let told = fs::read_to_string(&site.told).unwrap();
    let kinds: BTreeSet<_> = told.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(kinds.len(), 15, "{kinds:?}");
    let once = ["thermal-warning", "thermal-critical", "disk-wear", "boot-complete", "job-start"];
    for event in once {
        let count = told.lines().filter(|line| line.starts_with(&format!("{event} "))).count();
        assert_eq!(count, 1, "{event} is told once: {told}");
    }
    fs::remove_dir_all(site.hooks.parent().unwrap()).unwrap();
}
