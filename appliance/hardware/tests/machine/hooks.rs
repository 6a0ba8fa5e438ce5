//! Hooks as the site installs them: order, contract, time, rights, and the shipped ones against a
//! made-up machine.

use base::time::Timestamp;
use hardware::hooks::{Event, Happening, Hooks, Verdict};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn plant(&self, name: &str, script: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// As whoever runs the test: the outputs below are its own files.
    fn hooks(&self) -> Hooks {
        Hooks::new(self.0.path(), rustix::process::geteuid().as_raw().to_string())
    }

    fn fire(&self, event: Event) -> Vec<hardware::hooks::Outcome> {
        self.hooks().fire(&Happening::example(event, Timestamp(0))).collect()
    }
}

#[test]
fn hooks_run_in_order_and_are_told_by_input_and_environment() {
    let folder = Folder::new();
    folder.plant("any/20-second", "echo second $1");
    folder.plant("thermal-warning/10-first", "cat; env | sort; ls -l /proc/self/fd");
    folder.plant("thermal-clear/05-other", "echo never");
    folder.plant("thermal-warning/readme", "echo never");
    let _secret = fs::File::create(folder.0.path().join("site.key")).unwrap();
    let outcomes = folder.fire(Event::ThermalWarning);
    let said: Vec<&str> = outcomes.iter().map(|outcome| outcome.output.as_str()).collect();
    assert_eq!(said.len(), 3, "{outcomes:?}");
    let misnamed = outcomes[2].verdict.to_string();
    assert!(misnamed.contains("readme is not named NN-name"), "{misnamed}");
    assert!(
        said[0].contains(r#""event":"thermal-warning""#)
            && said[0].contains("APPLIANCE_VALUE=81.2")
    );
    let known = ["APPLIANCE_", "PATH=", "LANG=", "PWD=", "SHLVL=", "_=", "OLDPWD="];
    let foreign = said[0].lines().skip(1).filter(|line| line.contains('=') && !line.contains("->"));
    let foreign: Vec<_> =
        foreign.filter(|line| known.iter().all(|k| !line.starts_with(k))).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    assert!(!said[0].contains("site.key"), "a descriptor of ours was inherited: {}", said[0]);
    assert_eq!(said[1], "second thermal-warning\n");
}

#[test]
fn a_hook_that_fails_hangs_or_floods_stops_nobody() {
    let folder = Folder::new();
    folder.plant("link-down/10-fails", "exit 3");
    folder.plant("link-down/20-not-for-me", "exit 10");
    folder.plant("link-down/30-hangs", "trap '' TERM; sleep 300 & sleep 300");
    folder.plant("link-down/30-hangs.conf", "");
    fs::write(folder.0.path().join("link-down/30-hangs.conf"), "seconds=1\n").unwrap();
    folder.plant("link-down/40-floods", "head -c 5000000 /dev/zero | tr '\\0' x");
    folder.plant("link-down/50-dies", "kill -9 $$");
    folder.plant("link-down/60-last", "echo here");
    let outcomes = folder.fire(Event::LinkDown);
    let verdicts: Vec<&Verdict> = outcomes.iter().map(|outcome| &outcome.verdict).collect();
    let allowed = std::time::Duration::from_secs(1);
    assert_eq!(
        verdicts,
        [
            &Verdict::Failed(3),
            &Verdict::NotForMe,
            &Verdict::TimedOut(allowed),
            &Verdict::Done,
            &Verdict::Killed(9),
            &Verdict::Done
        ]
    );
    assert!(outcomes[3].output.len() <= 64 << 10);
    assert_eq!(outcomes[5].output, "here\n");
}

/// The last of them may switch the machine off.
#[test]
fn the_outcome_of_a_hook_is_told_before_the_next_runs() {
    let folder = Folder::new();
    folder.plant("power-low/10-first", "echo first");
    folder.plant("power-low/20-second", "touch \"${0%/*}/.second\"");
    let (hooks, example) = (folder.hooks(), Happening::example(Event::PowerLow, Timestamp(0)));
    let mut outcomes = hooks.fire(&example);
    assert_eq!(outcomes.next().unwrap().output, "first\n");
    let second = folder.0.path().join("power-low/.second");
    assert!(!second.exists());
    assert!(outcomes.next().unwrap().is_ok() && second.exists());
}

/// Whether this process has the other end of a pipe, by its name.
fn holds(pipe: &str) -> bool {
    let open = fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|to| to == Path::new(pipe))
}

/// Its outputs stay open for as long as it lives, but not here.
#[test]
fn a_daemon_that_a_hook_leaves_behind_holds_nothing_here() {
    let folder = Folder::new();
    let script = "cd \"${0%/*}\"\n\
        setsid sh -c 'echo $$ >.pid; exec sleep 300' &\n\
        readlink /proc/$$/fd/1 /proc/$$/fd/2 >.pipes\n\
        until [ -s .pid ]; do sleep 0.05; done; echo begun";
    folder.plant("link-down/10-daemon", script);
    let outcomes = folder.fire(Event::LinkDown);
    let left = |name: &str| read(folder.0.path(), &format!("link-down/{name}"));
    let (pid, pipes) = (left(".pid"), left(".pipes"));
    let held: Vec<&str> = pipes.lines().filter(|pipe| holds(pipe)).collect();
    assert!(Command::new("kill").arg(pid).status().unwrap().success(), "it has lived until now");
    assert_eq!((&outcomes[0].verdict, outcomes[0].output.as_str()), (&Verdict::Done, "begun\n"));
    assert_eq!((pipes.lines().count(), held.as_slice()), (2, &[] as &[&str]));
}

#[test]
fn what_others_could_have_written_is_refused_with_the_remedy() {
    let folder = Folder::new();
    let open = folder.plant("shutdown/10-open", "echo no");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    let plain = folder.plant("shutdown/20-plain", "echo no");
    fs::set_permissions(&plain, fs::Permissions::from_mode(0o644)).unwrap();
    folder.plant("shutdown/30-conf", "echo no");
    fs::write(folder.0.path().join("shutdown/30-conf.conf"), "seconds=soon\n").unwrap();
    let refusals: Vec<String> = folder
        .hooks()
        .of(Event::Shutdown)
        .into_iter()
        .map(|hook| hook.unwrap_err().to_string())
        .collect();
    assert!(refusals[0].contains("chmod go-w"), "{refusals:?}");
    assert!(refusals[1].contains("chmod 755"), "{refusals:?}");
    assert!(refusals[2].contains("line 1"), "{refusals:?}");
    assert!(folder.fire(Event::Shutdown).iter().all(|outcome| outcome.output.is_empty()));
}

#[test]
fn a_hook_of_a_superuser_runs_as_nobody_without_privileges() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: changing the user needs root");
        return;
    }
    let folder = Folder::new();
    folder.plant("boot-complete/10-who", "id -u; id -G; grep NoNewPrivs /proc/self/status");
    let hooks = Hooks::new(folder.0.path(), "65534");
    let example = Happening::example(Event::BootComplete, Timestamp(0));
    let said = hooks.fire(&example).next().unwrap();
    assert_eq!(
        said.output.split_whitespace().collect::<Vec<_>>(),
        ["65534", "65534", "NoNewPrivs:", "1"]
    );
}

/// Runs a shipped hook against a made-up machine; its exit code.
fn shipped(hook: &str, event: &str, root: &Path) -> i32 {
    shipped_with(hook, event, root, &[])
}

fn shipped_with(hook: &str, event: &str, root: &Path, variables: &[(&str, &str)]) -> i32 {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../firmware-hooks").join(hook);
    let tools = root.join("bin").display().to_string();
    let status = Command::new(path)
        .arg(event)
        .env_clear()
        .env("PATH", format!("{tools}:/usr/bin:/bin"))
        .env("HOOK_ROOT", root)
        .env("LOG", root.join("log"))
        .envs(variables.iter().copied())
        .status()
        .unwrap();
    status.code().unwrap()
}

fn tool(root: &Path, name: &str) {
    let path = root.join("bin").join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\necho {name} \"$@\" >>\"$LOG\"\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn plant(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn read(root: &Path, path: &str) -> String {
    fs::read_to_string(root.join(path)).unwrap().trim().to_owned()
}

#[test]
fn the_fan_boost_drives_fans_and_gives_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    assert_eq!(shipped("fan-boost", "thermal-warning", root), 10, "no fan, nothing to do");
    plant(root, "sys/class/hwmon/hwmon2/name", "nct6779\n");
    plant(root, "sys/class/hwmon/hwmon2/pwm1", "120\n");
    plant(root, "sys/class/hwmon/hwmon2/pwm1_enable", "5\n");
    for event in ["thermal-warning", "thermal-critical"] {
        assert_eq!(shipped("fan-boost", event, root), 0);
    }
    assert_eq!(read(root, "sys/class/hwmon/hwmon2/pwm1"), "255");
    assert_eq!(read(root, "sys/class/hwmon/hwmon2/pwm1_enable"), "1");
    assert_eq!(shipped("fan-boost", "thermal-clear", root), 0);
    assert_eq!(read(root, "sys/class/hwmon/hwmon2/pwm1"), "120");
    assert_eq!(read(root, "sys/class/hwmon/hwmon2/pwm1_enable"), "5");
}

#[test]
fn the_relay_is_switched_by_files_and_by_gpioset() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    plant(root, "sys/class/gpio/gpio17/direction", "in\n");
    plant(root, "sys/class/gpio/gpio17/value", "0\n");
    assert_eq!(shipped("gpio-relay", "link-down", root), 0);
    assert_eq!(read(root, "sys/class/gpio/gpio17/value"), "1");
    assert_eq!(read(root, "sys/class/gpio/gpio17/direction"), "out");
    tool(root, "gpioset");
    assert_eq!(shipped("gpio-relay", "link-up", root), 0);
    assert!(read(root, "log").ends_with("gpioset gpiochip0 17=0"));
    assert_eq!(shipped("gpio-relay", "job-start", root), 10);
}

#[test]
fn boards_loaders_watchdogs_and_ups_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for hook in ["ipmi-fan", "mark-good", "watchdog-pet"] {
        let event = if hook == "ipmi-fan" { "thermal-warning" } else { "boot-complete" };
        assert_eq!(shipped(hook, event, root), 10, "{hook}: nothing of it here");
    }
    for name in ["ipmitool", "rauc", "upsmon"] {
        tool(root, name);
    }
    plant(root, "dev/watchdog1", "");
    assert_eq!(shipped("ipmi-fan", "thermal-critical", root), 0);
    assert_eq!(shipped("mark-good", "boot-complete", root), 0);
    assert_eq!(shipped("mark-good", "update-failed", root), 10, "the running one is not bad");
    let failed = [("APPLIANCE_PLACE", "rootfs.1")];
    assert_eq!(shipped_with("mark-good", "update-failed", root, &failed), 0);
    let test = [("APPLIANCE_TEST", "1")];
    assert_eq!(shipped_with("mark-good", "boot-complete", root, &test), 0);
    assert_eq!(shipped_with("nut-shutdown", "power-low", root, &test), 0);
    assert_eq!(shipped("nut-shutdown", "power-low", root), 0);
    assert_eq!(shipped("nut-shutdown", "power-battery", root), 10);
    assert_eq!(
        read(root, "log"),
        "ipmitool raw 0x30 0x45 0x01 0x01\nrauc status mark-good booted\nrauc status mark-bad rootfs.1\nupsmon -c fsd"
    );
    assert_eq!(shipped("watchdog-pet", "job-start", root), 0);
    assert_eq!(read(root, "dev/watchdog1"), ".");
    assert_eq!(shipped("watchdog-pet", "shutdown", root), 0);
    assert_eq!(read(root, "dev/watchdog1"), "V");
}
