//! Stored bytes that are damaged on the disk, and a second appliance that has them.

use crate::harness::{Appliance, BINARY, announce};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

/// The keeper looks once a minute at what readers found damaged.
const PATIENCE: Duration = Duration::from_secs(180);

/// An appliance with a key of its S3.
struct Site {
    appliance: Appliance,
    id: String,
    secret: String,
}

impl Site {
    fn new(variables: &[(&str, &str)]) -> Self {
        let appliance = Appliance::start_with([0, 0], variables);
        told(&appliance.cli(&["bucket", "create", "kept"]));
        let key = told(&appliance.cli(&["key", "create", "--json", "--only", "kept"]));
        let key: Value = serde_json::from_str(&key).unwrap();
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        Self { id: text("id"), secret: text("secret"), appliance }
    }

    fn s3(&self) -> String {
        let log = self.appliance.log();
        let at = log.find(" s3=").expect("the start tells where S3 is") + 4;
        let address = log[at..].split_whitespace().next().unwrap();
        format!("https://{address}")
    }

    fn authority(&self) -> PathBuf {
        self.appliance.data().join("tls/ca.pem")
    }

    /// Puts a file with the real command line: 8 MiB and more in parts.
    fn put(&self, file: &Path, key: &str, more: &[&str]) {
        let mut aws = Command::new("aws");
        aws.args(["--endpoint-url", &self.s3(), "s3", "cp", "--no-progress"]).args(more);
        aws.arg(file).arg(format!("s3://kept/{key}"));
        aws.env("AWS_ACCESS_KEY_ID", &self.id).env("AWS_SECRET_ACCESS_KEY", &self.secret);
        aws.env("AWS_DEFAULT_REGION", "us-east-1").env("AWS_CA_BUNDLE", self.authority());
        told(&aws.output().unwrap());
    }

    /// What a key has, if it can be read.
    fn get(&self, key: &str) -> Option<Vec<u8>> {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--fail",
            "--max-time",
            "60",
            "--aws-sigv4",
            "aws:amz:us-east-1:s3",
        ]);
        curl.arg("--user").arg(format!("{}:{}", self.id, self.secret));
        curl.arg("--cacert").arg(self.authority());
        curl.args(["--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD"]);
        let output = curl.arg(format!("{}/kept/{key}", self.s3())).output().unwrap();
        output.status.success().then_some(output.stdout)
    }

    /// Cuts every file of stored bytes short.
    fn harm(&self) {
        let shards = fs::read_dir(self.appliance.data().join("objects")).unwrap().flatten();
        for shard in shards.filter(|shard| shard.path().is_dir()) {
            for file in fs::read_dir(shard.path()).unwrap().flatten() {
                File::options().write(true).open(file.path()).unwrap().set_len(10).unwrap();
            }
        }
    }

    fn finding(&self, check: &str, peer: &[(&str, &str)]) -> Value {
        let mut doctor = Command::new(BINARY);
        doctor.args(["doctor", "--json", "--listen", "127.0.0.1:0", "--s3-listen", "off"]);
        doctor.arg("--data-dir").arg(self.appliance.data());
        doctor.env("APPLIANCE_HARDWARE_ROOT", self.appliance.machine());
        let output = doctor.envs(peer.iter().copied()).output().unwrap();
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let found = told["findings"].as_array().unwrap();
        found.iter().find(|one| one["check"] == check).expect("the doctor tells it").clone()
    }
}

fn told(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn wait_for(what: &str, mut check: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !check() {
        assert!(begun.elapsed() < PATIENCE, "gave up waiting for {what}");
        std::thread::park_timeout(Duration::from_millis(500));
    }
}

/// Bytes that do not repeat.
fn write(path: &Path, seed: u64, size: usize) {
    let mut state = seed;
    let mut next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()
    };
    let bytes: Vec<u8> = (0..size.div_ceil(8)).flat_map(|_| next()).take(size).collect();
    fs::write(path, bytes).unwrap();
}

#[test]
fn damaged_bytes_come_back_from_another_appliance_and_other_bytes_do_not() {
    if Command::new("aws").arg("--version").output().is_err() {
        announce("skipped: the test of a peer needs the AWS CLI");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    write(&file("large"), 1, 3_000_000);
    write(&file("parts"), 2, 9_000_000);
    write(&file("before"), 3, 100_000);
    write(&file("after"), 4, 100_000);

    let far = Site::new(&[]);
    let options = file("peer.options");
    let mut written =
        File::options().create_new(true).write(true).mode(0o400).open(&options).unwrap();
    write!(written, "aws_access_key_id={}\naws_secret_access_key={}\n", far.id, far.secret)
        .unwrap();
    let (address, roots) = (far.s3(), far.authority());
    let peer = [
        ("APPLIANCE_OBJECTS_PEER", &*address),
        ("APPLIANCE_OBJECTS_PEER_OPTIONS", options.to_str().unwrap()),
        ("APPLIANCE_OUTWARD_ROOTS", roots.to_str().unwrap()),
    ];
    let near = Site::new(&peer);
    for site in [&far, &near] {
        site.put(&file("large"), "large", &[]);
        site.put(&file("parts"), "parts", &[]);
        site.put(&file("large"), "sealed", &["--sse", "AES256"]);
    }
    near.put(&file("before"), "changed", &[]);
    far.put(&file("after"), "changed", &[]);
    assert_eq!(near.finding("stored-bytes", &peer)["severity"], "ok");
    assert_eq!(near.finding("objects-peer", &peer)["severity"], "ok");

    near.harm();
    for key in ["large", "parts?partNumber=1", "parts?partNumber=2", "sealed", "changed"] {
        assert_eq!(near.get(key), None, "{key}");
    }
    for (key, name) in [("large", "large"), ("parts", "parts"), ("sealed", "large")] {
        let right = fs::read(file(name)).unwrap();
        wait_for(key, || near.get(key).is_some_and(|got| got == right));
    }
    let log = || near.appliance.log();
    wait_for("what stays damaged to be told", || log().contains("stored bytes stay damaged"));
    assert_eq!(log().matches("damaged bytes were healed from the peer").count(), 4, "{}", log());
    assert_eq!(near.get("changed"), None, "the peer has other bytes under that key");
    let finding = near.finding("stored-bytes", &peer);
    assert_eq!(finding["severity"], "critical");
    assert!(finding["what"].as_str().unwrap().starts_with("1 stored blobs"), "{finding}");

    drop(far);
    assert_eq!(near.finding("objects-peer", &peer)["severity"], "warning");
}
