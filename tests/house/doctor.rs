//! The doctor on captured machines: what is wrong, in the right words, and what it mends.

use crate::harness::BINARY;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::{Command, Output},
};
use tempfile::TempDir;

/// A small server whose root lies on an NVMe drive, and two kernel settings that are too low.
const SERVER: [(&str, &str); 6] = [
    ("proc/self/mountinfo", "22 1 259:2 / / rw - ext4 /dev/nvme0n1p2 rw"),
    ("sys/devices/pci0/nvme/nvme0/state", "live"),
    ("sys/devices/pci0/nvme/nvme0/nvme0n1/queue/rotational", "0"),
    ("sys/devices/pci0/nvme/nvme0/nvme0n1/nvme0n1p2/partition", "2"),
    ("proc/sys/net/core/somaxconn", "128"),
    ("proc/sys/net/ipv4/tcp_mtu_probing", "1"),
];

struct Host(TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        for (file, value) in SERVER {
            host.set(file, value);
        }
        let blocks = host.tree().join("sys/dev/block");
        fs::create_dir_all(&blocks).unwrap();
        symlink("../../devices/pci0/nvme/nvme0/nvme0n1/nvme0n1p2", blocks.join("259:2")).unwrap();
        fs::create_dir(host.data()).unwrap();
        host
    }

    fn tree(&self) -> std::path::PathBuf {
        self.0.path().join("tree")
    }

    fn data(&self) -> std::path::PathBuf {
        self.0.path().join("data")
    }

    fn set(&self, file: &str, value: &str) {
        let path = self.tree().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{value}\n")).unwrap();
    }

    fn doctor(&self, arguments: &[&str]) -> Output {
        let mut doctor = Command::new(BINARY);
        doctor.arg("doctor").args(arguments).arg("--data-dir").arg(self.data());
        doctor.args(["--listen", "127.0.0.1:0", "--s3-listen", "off"]);
        doctor.env("APPLIANCE_HARDWARE_ROOT", self.tree()).output().unwrap()
    }

    fn finding(&self, check: &str) -> Value {
        let output = self.doctor(&["--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = told["findings"].as_array().unwrap().iter();
        found.clone().find(|one| one["check"] == check).unwrap().clone()
    }
}

#[test]
fn a_drive_that_the_kernel_has_given_up_is_told_with_its_remedy() {
    let host = Host::new();
    assert_eq!(host.finding("disk-health")["severity"], "advice", "nobody can ask a captured disk");
    host.set("sys/devices/pci0/nvme/nvme0/state", "dead");
    let output = host.doctor(&[]);
    assert_eq!(output.status.code(), Some(20));
    let told = String::from_utf8(output.stdout).unwrap();
    let dead = "CRITICAL disk-health         /dev/nvme0n1 below /: the kernel has given its controller up (\"dead\")";
    assert!(told.contains(dead), "{told}");
    assert!(told.contains("switch the machine off and on") && !told.contains("sector"), "{told}");
}

#[test]
fn what_is_safe_is_mended_and_the_rest_of_the_remedy_is_told() {
    let host = Host::new();
    let key = host.data().join("site.key");
    fs::write(&key, [7; 32]).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(host.finding("file-modes")["severity"], "critical");
    assert_eq!(host.finding("somaxconn")["fix"]["sysctl"]["value"], 1024);
    let told = String::from_utf8(host.doctor(&["--fix"]).stderr).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&key), 0o400);
    let raised = fs::read_to_string(host.tree().join("proc/sys/net/core/somaxconn")).unwrap();
    assert_eq!(raised, "1024\n");
    assert!(told.contains("fixed file-modes: "), "{told}");
    assert!(told.contains("fixed somaxconn: ") && told.contains(". For good: echo "), "{told}");
    assert_eq!(host.finding("file-modes")["severity"], "ok");
    assert_eq!(host.finding("somaxconn")["severity"], "ok");
}
