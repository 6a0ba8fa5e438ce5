//! The doctor on captured machines: what is wrong, in the right words, and what it mends.

use crate::harness::{Appliance, BINARY};
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

/// An appliance that ran, and what the doctor says of it with these settings.
struct Patient(Appliance);

impl Patient {
    fn findings(&self, settings: &[(&str, &str)], check: &str) -> Vec<(String, String, String)> {
        let mut doctor = Command::new(BINARY);
        doctor.args(["doctor", "--json", "--listen", "127.0.0.1:0", "--s3-listen", "off"]);
        doctor.arg("--data-dir").arg(self.0.data());
        doctor.env("APPLIANCE_HARDWARE_ROOT", self.0.machine());
        let output = doctor.envs(settings.iter().copied()).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
        let found = told["findings"].as_array().unwrap().iter();
        let text = |one: &Value, key: &str| one[key].as_str().unwrap().to_owned();
        found
            .filter(|one| one["check"] == check)
            .map(|one| (text(one, "severity"), text(one, "what"), text(one, "remedy")))
            .collect()
    }

    /// One finding has these words: what, and what to do.
    fn check(&self, settings: &[(&str, &str)], name: &str, severity: &str, words: [&str; 2]) {
        let found = self.findings(settings, name);
        let fits = |(bad, what, remedy): &(String, String, String)| {
            bad == severity && what.contains(words[0]) && remedy.contains(words[1])
        };
        assert!(found.iter().any(fits), "{words:?} is not in {found:#?}");
    }

    /// Names, sizes and times of all that is kept.
    fn state(&self) -> String {
        let listed = Command::new("find")
            .arg(self.0.data())
            .args(["-mindepth", "1", "-printf", "%p %s %T@ %m\n"])
            .output()
            .unwrap();
        String::from_utf8(listed.stdout).unwrap()
    }
}

#[test]
fn what_a_start_would_refuse_is_told_and_nothing_is_changed() {
    let mut patient = Patient(Appliance::start());
    for folder in ["proc", "sys"] {
        fs::create_dir_all(patient.0.machine().join(folder)).unwrap();
    }
    patient.check(&[], "database", "ok", ["the appliance runs (pid ", ""]);
    patient.check(&[], "data-directory", "ok", ["is ours alone", ""]);
    patient.0.stop();
    let before = patient.state();
    patient.check(&[], "settings", "ok", ["every setting can be used", ""]);
    patient.check(&[], "database", "ok", ["closed cleanly", ""]);
    patient.check(&[], "object-place", "ok", ["", ""]);
    patient.check(&[], "certificate", "ok", ["is valid until 20", ""]);
    let wrong = [("APPLIANCE_SLOTS", "many"), ("APPLIANCE_LISEN", "x")];
    patient.check(&wrong, "settings", "critical", ["`slots` is `many`", "expected "]);
    patient.check(&wrong, "settings", "warning", ["APPLIANCE_LISEN is no setting", "config show"]);
    let elsewhere = [("APPLIANCE_OBJECTS_PLACE", "s3://elsewhere/x")];
    patient.check(&elsewhere, "object-place", "critical", ["until now is in", "set it back"]);
    assert_eq!(patient.state(), before, "the doctor changes nothing");

    let data = patient.0.data();
    let file = patient.0.folder.path().join("open.toml");
    fs::write(&file, "slots = 2\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let open = [("APPLIANCE_CONFIG", file.to_str().unwrap())];
    patient.check(&open, "settings", "critical", ["can be read or changed by others", "chmod 400"]);

    fs::rename(data.join("tls/ca.key"), data.join("tls/ca.kept")).unwrap();
    patient.check(&[], "certificate", "critical", ["ca.key is missing", "put it back"]);
    fs::rename(data.join("tls/ca.kept"), data.join("tls/ca.key")).unwrap();
    fs::write(data.join("state/in-use"), "00000000000000004096\n").unwrap();
    patient.check(&[], "database", "critical", ["missing, or too short", "truncate -s 0"]);
    fs::remove_file(data.join("state/in-use")).unwrap();
    let newer = ["PRAGMA user_version = 999"];
    let sqlite = Command::new("sqlite3").arg(data.join("state/appliance.db")).args(newer).status();
    assert!(sqlite.unwrap().success());
    patient.check(&[], "database", "critical", ["schema version 999", "newer version again"]);
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    patient.check(&[], "data-directory", "critical", ["entered by others", "chmod 700"]);
}

#[test]
fn a_certificate_of_one_s_own_is_judged_whole() {
    let mut appliance = Appliance::start();
    appliance.stop();
    let patient = Patient(appliance);
    let at = |name: &str| patient.0.folder.path().join(name).display().to_string();
    let openssl = |arguments: &[&str]| {
        let made = Command::new("openssl").args(arguments).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    };
    for name in ["one", "two"] {
        let (key, chain) = (at(&format!("{name}.key")), at(&format!("{name}.pem")));
        let named = format!("subjectAltName=DNS:{name}.site");
        openssl(&[
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "10", "-subj", "/CN=x",
            "-addext", &named, "-keyout", &key, "-out", &chain,
        ]);
        fs::set_permissions(key, fs::Permissions::from_mode(0o400)).unwrap();
    }
    let check = |chain: &str, key: &str, severity: &str, words: [&str; 2]| {
        let (chain, key) = (at(chain), at(key));
        let settings = [
            ("APPLIANCE_TLS_CERTIFICATE", chain.as_str()),
            ("APPLIANCE_TLS_KEY", key.as_str()),
            ("APPLIANCE_NAMES", "one.site"),
        ];
        patient.check(&settings, "certificate", severity, words);
    };
    check("one.pem", "one.key", "warning", ["ends in 9 days", "systemctl reload"]);
    check("two.pem", "two.key", "warning", ["does not name one.site", "`names`"]);
    check("one.pem", "two.key", "critical", ["do not belong together", "openssl"]);
    let (key, secret, der) = (at("one.key"), at("secret.key"), at("der.key"));
    openssl(&["pkey", "-in", &key, "-aes256", "-passout", "pass:word", "-out", &secret]);
    openssl(&["pkey", "-in", &key, "-outform", "DER", "-out", &der]);
    for name in [&secret, &der] {
        fs::set_permissions(name, fs::Permissions::from_mode(0o400)).unwrap();
    }
    check("one.pem", "secret.key", "critical", ["pass phrase", "openssl pkey -in "]);
    check("one.pem", "der.key", "critical", ["in DER, not in PEM", "openssl pkey -inform DER"]);
    check("one.key", "one.key", "critical", ["no certificate", "exchanged"]);
}
