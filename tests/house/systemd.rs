//! Under a real systemd: readiness, the journal, restart after a kill, a clean stop.
//!
//! systemd and its journal run as process 1 of namespaces of their own, on control groups of their
//! own, with the unit file that is shipped. What they leave in the control groups is removed.

use crate::{
    git::account,
    harness::{Appliance, BINARY, announce, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const SYSTEMD: &str = "/lib/systemd/systemd";

/// Enters own control groups, then own namespaces, then becomes systemd. Arguments: folder, name.
const BOOT: &str = r#"
set -e
folder=$1 name=$2
for root in /sys/fs/cgroup $(ls -d /sys/fs/cgroup/*/); do
  [ -e "$root/cgroup.procs" ] || continue
  mkdir "$root/$name" 2>/dev/null || continue
  for file in cpuset.cpus cpuset.mems; do
    [ ! -e "$root/$file" ] || cat "$root/$file" > "$root/$name/$file" 2>/dev/null || true
  done
  echo $$ > "$root/$name/cgroup.procs"
done
exec unshare --mount --pid --uts --ipc --cgroup --kill-child --fork sh -ec '
  folder=$1 name=$2
  mount --make-rprivate /
  for group in /sys/fs/cgroup /sys/fs/cgroup/*; do
    [ ! -d "$group/$name" ] || mount --bind "$group/$name" "$group"
  done
  mount -t proc proc /proc
  mount -t tmpfs tmpfs /run
  mount --bind "$folder/console" /dev/console
  mount --bind "$folder/etc" /etc
  exec env -i PATH="$PATH" container=test /lib/systemd/systemd --system --unit=test.target
' sh "$folder" "$name"
"#;

const TARGET: &str = "[Unit]\nDefaultDependencies=no\nRequires=systemd-journald.service\nWants=appliance.service\nAfter=systemd-journald.service\n";

const CONFIG: &str = "version: 2.1\njobs:\n  one:\n    machine: true\n    steps:\n      - run: echo ran under systemd; cat /etc/hosts\nworkflows:\n  main:\n    jobs: [one]\n";

/// One booted systemd.
struct Machine {
    /// Started by the unit.
    appliance: Appliance,
    name: String,
    boot: Child,
}

impl Machine {
    fn boot() -> Self {
        let appliance = Appliance::not_started([0, 0], &[]);
        let folder = appliance.folder.path();
        let name = format!("appliance-test-{}", std::process::id());
        lay_out(folder);
        let boot = Command::new("sh")
            .args(["-c", BOOT, "sh"])
            .arg(folder)
            .arg(&name)
            .stdin(Stdio::null())
            .stdout(fs::File::create(folder.join("boot.log")).unwrap())
            .stderr(fs::File::create(folder.join("boot.err")).unwrap())
            .spawn()
            .unwrap();
        Self { appliance, name, boot }
    }

    /// Runs a command beside process 1; its output.
    fn run(&self, command: &[&str]) -> String {
        let children = format!("/proc/{0}/task/{0}/children", self.boot.id());
        let first = fs::read_to_string(children).unwrap_or_default();
        let Some(first) = first.split_whitespace().next() else { return String::new() };
        let output = Command::new("nsenter")
            .args(["--mount", "--pid", "--target", first])
            .args(command)
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// One property of the unit.
    fn property(&self, name: &str) -> String {
        let text = self.run(&["systemctl", "show", "appliance", "--value", "--property", name]);
        text.trim().to_owned()
    }

    fn wait_for_property(&self, name: &str, wanted: &str) {
        wait_for(&format!("{name} to be {wanted}"), || {
            (self.property(name) == wanted).then_some(())
        });
    }

    fn journal(&self) -> Vec<serde_json::Value> {
        let text = self.run(&["journalctl", "--output=json", "--unit=appliance"]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn log(&self) -> String {
        let read = |name: &str| fs::read_to_string(self.appliance.folder.path().join(name));
        ["boot.err", "console"].iter().filter_map(|name| read(name).ok()).collect()
    }
}

/// The files that process 1 finds in /etc.
fn lay_out(folder: &Path) {
    let units = folder.join("etc/systemd/system");
    let drop_in = units.join("appliance.service.d");
    fs::create_dir_all(&drop_in).unwrap();
    fs::write(folder.join("console"), "").unwrap();
    for name in ["passwd", "group", "hosts", "nsswitch.conf", "ld.so.cache"] {
        let _ = fs::copy(Path::new("/etc").join(name), folder.join("etc").join(name));
    }
    fs::write(folder.join("etc/machine-id"), "0123456789abcdef0123456789abcdef\n").unwrap();
    fs::write(units.join("test.target"), TARGET).unwrap();
    fs::copy(shipped_unit(), units.join("appliance.service")).unwrap();
    let data = folder.join("data");
    let here = format!(
        "[Unit]\nDefaultDependencies=no\n[Service]\nExecStart=\nExecStart={BINARY} serve --listen 127.0.0.1:0 --s3-listen off --data-dir {}\n",
        data.display()
    );
    fs::write(drop_in.join("here.conf"), here).unwrap();
}

fn shipped_unit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/appliance.service")
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() {
            announce(&format!("---- systemd\n{}", self.log()));
        }
        // Ends process 1 of the namespace, and with it all that lives there.
        let _ = self.boot.kill();
        let _ = self.boot.wait();
        let remove = format!(
            "find /sys/fs/cgroup -depth -type d -path '*/{0}*' -exec rmdir {{}} + 2>/dev/null; ! find /sys/fs/cgroup -name '{0}' | grep -q .",
            self.name
        );
        let gone =
            || Command::new("sh").args(["-c", &remove]).status().ok()?.success().then_some(());
        wait_for("the control groups to be removed", gone);
    }
}

#[test]
fn systemd_is_told_and_the_journal_keeps_priorities() {
    if !may_run_jobs() {
        return;
    }
    if !Path::new(SYSTEMD).exists() {
        return announce("skipped: systemd is not installed");
    }
    let mut machine = Machine::boot();
    machine.wait_for_property("ActiveState", "active");
    assert_eq!(machine.property("WatchdogUSec"), "1min");
    let told = || machine.property("WatchdogTimestampMonotonic").parse::<u64>().ok();
    let first = wait_for("the watchdog to be told", || told().filter(|at| *at > 0));
    wait_for("the watchdog to be told again", || told().filter(|at| *at > first));
    wait_for("the machine's state as the unit's", || {
        machine.property("StatusText").starts_with("serving · ").then_some(())
    });
    let ready = machine.journal().into_iter().find(|entry| {
        entry["MESSAGE"].as_str().is_some_and(|text| text.contains("ready at https://"))
    });
    let ready = ready.expect("the journal tells the address");
    assert_eq!(ready["PRIORITY"], "5", "{ready}");
    assert_eq!(ready["_TRANSPORT"], "journal", "{ready}");
    assert_eq!(ready["SYSLOG_IDENTIFIER"], "appliance", "{ready}");

    let told = ready["MESSAGE"].as_str().unwrap();
    let url = told.split("ready at ").nth(1).and_then(|rest| rest.split_whitespace().next());
    machine.appliance.base_url = url.unwrap().to_owned();
    runs_a_job(&machine.appliance);

    let before = machine.property("MainPID");
    machine.run(&["kill", "-9", &before]);
    machine.wait_for_property("NRestarts", "1");
    machine.wait_for_property("ActiveState", "active");
    assert_ne!(machine.property("MainPID"), before);

    machine.run(&["systemctl", "stop", "appliance"]);
    machine.wait_for_property("ActiveState", "inactive");
    assert_eq!(machine.property("Result"), "success");
    assert_eq!(machine.property("ExecMainStatus"), "0");
}

/// What the unit forbids, masks or limits must not reach into a job.
fn runs_a_job(appliance: &Appliance) {
    let copy = WorkingCopy::new(appliance, "acme/unit", &account(appliance, "dev", "member"));
    copy.commit(".circleci/config.yml", CONFIG, "Under systemd");
    copy.push();
    let pipeline = appliance.newest_pipeline("acme/unit")["id"].as_str().unwrap().to_owned();
    let states = appliance.wait_for_workflows(&pipeline);
    let log = appliance.cli(&["job", "log", "acme/unit", "1"]).stdout;
    let log = String::from_utf8_lossy(&log);
    assert_eq!(states[0].1, "success", "{log}");
    assert!(log.contains("ran under systemd"), "{log}");
}
