//! What is read from whole machines.

use crate::tree::Machine;
use base::{
    reading::{DiskWarning, Quality, Readings, Thermal, ThermalKind},
    units::{Bytes, Celsius, Share},
};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

const CABINET: &str = include_str!("../trees/cabinet.tree");
const SERVER: &str = include_str!("../trees/server.tree");
const PI: &str = include_str!("../trees/pi.tree");
const NVME: &str = include_str!("../trees/nvme.tree");
const PACKAGE: &str = "sys/devices/platform/coretemp.0/hwmon/hwmon0/temp1_input";

fn temp<'a>(readings: &'a Readings, label: &str) -> &'a Thermal {
    let found = readings.thermal.iter().find(|t| &*t.temperature.source.label == label);
    found.unwrap_or_else(|| panic!("no sensor {label} in {:#?}", readings.thermal))
}

#[test]
fn a_cabinet_box_is_read_with_limits_and_labels() {
    let mut machine = Machine::new(CABINET);
    let readings = machine.round();
    let package = temp(&readings, "Package id 0");
    assert_eq!(package.temperature.value, Some(Celsius(61.0)));
    assert_eq!(&*package.temperature.source.device, "devices/platform/coretemp.0");
    assert_eq!((package.kind, package.critical), (ThermalKind::Cpu, Some(Celsius(105.0))));
    let disk = temp(&readings, "Composite");
    assert_eq!(
        (disk.kind, disk.max, disk.critical),
        (ThermalKind::Disk, None, Some(Celsius(84.85)))
    );
    let zone = temp(&readings, "x86_pkg_temp");
    assert_eq!((zone.passive, zone.critical), (Some(Celsius(95.0)), Some(Celsius(110.0))));
    assert_eq!(temp(&readings, "acpitz #2").temperature.value, Some(Celsius(39.0)));
    assert_eq!((readings.cooling[0].state.value, readings.cooling[0].max), (Some(2), 10));
    assert_eq!(readings.throttle.events.value, Some(8), "two cores and their package once");
    assert_eq!(readings.memory.available.value, Some(Bytes(2_048_000 << 10)));
    assert_eq!(readings.pressure.memory.value.unwrap().full.avg10.0, 0.25);
}

#[test]
fn a_server_board_tells_fans_and_broken_inputs() {
    let mut machine = Machine::new(SERVER);
    let readings = machine.round();
    assert_eq!(temp(&readings, "AUXTIN").temperature.quality, Quality::Implausible);
    assert_eq!(temp(&readings, "AUXTIN temp3").temperature.quality, Quality::Good);
    assert_eq!(readings.fans.len(), 2);
    assert!(
        readings.fans.iter().all(|fan| !fan.failed),
        "a fan at rest that nobody drives is well"
    );
    assert_eq!(readings.fans[0].drive.unwrap().get(), 50);
    assert_eq!(readings.pressure.cpu.quality, Quality::Absent);
    assert_eq!(readings.memory.ecc[0].corrected.value, Some(2));
}

#[test]
fn a_pi_tells_by_its_firmware_that_it_is_slowed() {
    let mut machine = Machine::new(PI);
    let readings = machine.round();
    assert_eq!(readings.throttle.events.quality, Quality::Absent);
    assert!(readings.throttle.active);
    assert_eq!(readings.throttle.frequency.unwrap().ceiling.0, 1000.0);
    assert_eq!(readings.thermal.len(), 2);
}

#[test]
fn an_empty_machine_is_read_without_a_complaint() {
    let readings = Machine::new("").round();
    assert!(readings.thermal.is_empty() && readings.fans.is_empty());
    assert_eq!(readings.pressure.io.quality, Quality::Absent);
}

/// A program in smartctl's place: it answers for one disk alone, with a captured answer, and exits
/// as smartctl does when the disk says that it fails.
fn smartctl(folder: &Path, body: &str) -> PathBuf {
    let path = folder.join("smartctl");
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn rounds_until(machine: &mut Machine, is_it: impl Fn(&Readings) -> bool) -> Readings {
    let begun = Instant::now();
    loop {
        let readings = machine.round();
        if is_it(&readings) {
            return readings;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "never: {:#?}", readings.disks);
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

#[test]
fn a_drive_below_a_mapping_is_asked_for_its_health_and_never_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("answer"), include_str!("../trees/nvme.smartctl.json")).unwrap();
    let body = format!(
        "for disk; do :; done; [ $disk = /dev/nvme0n1 ] || exit 2; cat {}; exit 4",
        folder.path().join("answer").display()
    );
    let program = smartctl(folder.path(), &body);
    let mut machine = Machine::with(NVME, |config| config.smartctl = Some(program));
    let readings = rounds_until(&mut machine, |readings| readings.disks[0].wear.is_some());
    let disk = &readings.disks[0];
    let wear = disk.wear.as_ref().unwrap();
    assert_eq!(wear.used.value, Some(Share(97.0)));
    assert_eq!((wear.spare, wear.media_errors), (Some(Share(62.0)), Some(7)));
    assert_eq!(wear.warnings, [DiskWarning::Degraded]);
    assert_eq!(disk.controller.as_deref(), Some("live"));
    machine.write("sys/devices/pci0000:00/0000:01:00.0/nvme/nvme0/state", "dead");
    assert_eq!(machine.round().disks[0].controller.as_deref(), Some("dead"));

    let hangs = smartctl(folder.path(), "exec sleep 600");
    let mut machine = Machine::with(NVME, |config| config.smartctl = Some(hangs));
    let begun = Instant::now();
    assert!((0..3).all(|_| machine.round().disks[0].wear.is_none()));
    assert!(begun.elapsed() < Duration::from_secs(5), "no round waits for a disk");
}

#[test]
fn a_folder_behind_a_link_is_on_the_disk_that_the_link_leads_to() {
    let tree = "proc/self/mountinfo: 22 1 8:2 / / rw - ext4 /dev/sda2 rw\\n\
        30 22 8:17 / /srv ro - ext4 /dev/sdb1 ro\n\
        srv/data/appliance.db: x\n\
        var/lib/appliance -> ../../srv/data\n";
    let mut machine = Machine::with(tree, |config| {
        config.folders = vec![PathBuf::from("/var/lib/appliance"), PathBuf::from("/")];
    });
    let disks = machine.round().disks;
    let told: Vec<_> = disks.iter().map(|disk| (disk.mount.as_str(), disk.read_only)).collect();
    assert_eq!(told, [("/srv", true), ("/", false)]);
}

#[test]
fn a_fan_that_is_driven_and_stands_still_has_failed() {
    let mut machine = Machine::new(SERVER);
    machine.round();
    machine.write("sys/class/hwmon/hwmon0/fan1_input", 0);
    assert!(!machine.round().fans[0].failed);
    machine.round();
    assert!(machine.round().fans[0].failed);
    machine.write("sys/class/hwmon/hwmon0/fan1_input", 900);
    assert!(!machine.round().fans[0].failed);
}

#[test]
fn counters_tell_what_is_new() {
    let mut machine = Machine::new(CABINET);
    machine.round();
    machine.write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", 9);
    let recent: u64 = (0..5).map(|_| machine.round().throttle.recent).sum();
    assert_eq!(recent, 6);
    machine.write("proc/stat", "cpu  150 0 50 850 50 0 0 0 0 0");
    assert_eq!(machine.round().busy.value.unwrap().0, 50.0);
}

#[test]
fn a_renumbered_chip_keeps_its_name() {
    let mut machine = Machine::new(CABINET);
    machine.round();
    let class = machine.path("sys/class/hwmon");
    fs::remove_file(class.join("hwmon0")).unwrap();
    let chip = machine.path("sys/devices/platform/coretemp.0/hwmon");
    fs::rename(chip.join("hwmon0"), chip.join("hwmon7")).unwrap();
    std::os::unix::fs::symlink(
        "../../devices/platform/coretemp.0/hwmon/hwmon7",
        class.join("hwmon7"),
    )
    .unwrap();
    assert_eq!(temp(&machine.round(), "Package id 0").temperature.quality, Quality::Lost);
    // Found again within some rounds: the search runs in its own thread.
    let found = (0..100).any(|_| {
        let readings = machine.after(3);
        let package = temp(&readings, "Package id 0");
        assert_eq!(&*package.temperature.source.device, "devices/platform/coretemp.0");
        package.temperature.quality.is_good()
    });
    assert!(found);
}

#[test]
fn a_lost_sensor_is_told_with_its_last_value_and_age() {
    let mut machine = Machine::new(CABINET);
    machine.round();
    fs::remove_file(machine.path(PACKAGE)).unwrap();
    machine.round();
    let readings = machine.after(10);
    let package = &temp(&readings, "Package id 0").temperature;
    assert_eq!((package.quality, package.value), (Quality::Lost, Some(Celsius(61.0))));
    assert_eq!(package.age.as_secs(), 11);
    // After the chip itself is gone, its processor's sensor is still missed.
    fs::remove_file(machine.path("sys/class/hwmon/hwmon0")).unwrap();
    for _ in 0..5 {
        machine.after(40);
    }
    assert_eq!(temp(&machine.after(7200), "Package id 0").temperature.quality, Quality::Lost);
}

#[test]
fn a_sensor_that_blocks_delays_nobody_and_recovers() {
    let mut machine = Machine::new(CABINET);
    machine.round();
    // Opening a pipe without a writer blocks as a driver on a dead bus does.
    let pipe = machine.path(PACKAGE);
    fs::remove_file(&pipe).unwrap();
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::from(0o600));
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, kind, mode, 0).unwrap();
    let begun = Instant::now();
    let readings = machine.round();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let package = &temp(&readings, "Package id 0").temperature;
    assert_eq!((package.quality, package.value), (Quality::Stale, Some(Celsius(61.0))));
    assert_eq!(temp(&readings, "Composite").temperature.quality, Quality::Good);
    // One number for each reader that opened the pipe in the meantime.
    fs::write(&pipe, "62000\n").unwrap();
    let answered = (0..100).any(|_| {
        let readings = machine.round();
        temp(&readings, "Package id 0").temperature.value == Some(Celsius(62.0))
    });
    assert!(answered);
    // Lets the thread that waits at the pipe end.
    let _ = fs::OpenOptions::new().read(true).write(true).open(&pipe);
}
