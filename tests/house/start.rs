//! Starting, starting again, and refusing to start.

use crate::{
    git::account,
    harness::{Appliance, BINARY, may_run_jobs, wait_for},
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Output},
};

fn serve(arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("serve").args(arguments).output().unwrap()
}

fn check_refused(arguments: &[&str], remedy: &str) {
    let output = serve(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} was accepted");
    assert!(told.contains(remedy), "{arguments:?} told: {told}");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn the_first_start_makes_what_is_needed_and_tells_the_password_once() {
    let mut appliance = Appliance::start();
    let data = appliance.data();
    assert_eq!(mode(&data), 0o700);
    for secret in ["site.key", "tls/ca.key", "tls/server.key"] {
        assert_eq!(mode(&data.join(secret)), 0o400, "{secret}");
    }
    assert_eq!(appliance.first_password().len(), 19);
    appliance.stop();
    appliance.start_again();
    assert!(!appliance.log().contains("one-time password"));
}

#[test]
fn what_was_set_and_means_nothing_is_told_at_the_start() {
    let set = [("APPLIANCE_LISEN", "0.0.0.0:1"), ("APPLIANCE_MACHINE_ROOT", "/srv/none")];
    let appliance = Appliance::start_with([0, 0], &set);
    let told = appliance.log();
    assert!(told.contains("APPLIANCE_LISEN is no setting"), "{told}");
    assert!(told.contains("`machine_root` names /srv/none, which is no folder"), "{told}");
}

/// The bound of the drain is far longer than the test's own: only an end of the stream ends this.
#[test]
fn an_open_page_does_not_hold_up_a_stop() {
    let mut appliance = Appliance::start_with([0, 0], &[("APPLIANCE_DRAIN_SECONDS", "600")]);
    let account = account(&appliance, "dev", "viewer");
    let seen = appliance.folder.path().join("seen");
    let mut page = Command::new("curl")
        .args(["--silent", "--no-buffer", "--user", &account, "--output", "/dev/null"])
        .arg("--dump-header")
        .arg(&seen)
        .arg("--cacert")
        .arg(appliance.data().join("tls/ca.pem"))
        .arg(format!("{}/events", appliance.base_url))
        .spawn()
        .unwrap();
    wait_for("the stream to begin", || {
        let head = fs::read_to_string(&seen).unwrap_or_default();
        head.contains("text/event-stream").then_some(())
    });
    appliance.stop();
    wait_for("the stream to end", || page.try_wait().unwrap());
}

/// The answer must arrive although the body of the request is still on the way.
#[test]
fn a_client_that_is_still_sending_reads_its_refusal() {
    let appliance = Appliance::start();
    let body = appliance.folder.path().join("body");
    fs::write(&body, vec![b'x'; 200 << 10]).unwrap();
    for protocol in ["--http1.1", "--http2"].iter().cycle().take(20) {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "30", "--output", "/dev/null"])
            .args([protocol, "--write-out", "%{http_code}", "--header", "expect:"])
            .args(["--header", "circle-token: apl_wrong", "--request", "POST", "--data-binary"])
            .arg(format!("@{}", body.display()))
            .arg("--cacert")
            .arg(appliance.data().join("tls/ca.pem"))
            .arg(format!("{}/api/v2/context", appliance.base_url))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(String::from_utf8_lossy(&output.stdout), "401", "{protocol}: {errors}");
        assert!(output.status.success(), "{protocol}: {errors}");
    }
}

#[test]
fn tls_is_spoken_with_both_versions_and_both_protocols() {
    let appliance = Appliance::start();
    let ca = appliance.data().join("tls/ca.pem");
    for (flags, protocol) in [
        (["--tlsv1.3", "--http2"], "2"),
        (["--tls-max", "1.2"], "2"),
        (["--tlsv1.2", "--http1.1"], "1.1"),
    ] {
        let output = Command::new("curl")
            .args([
                "--silent",
                "--output",
                "/dev/null",
                "--write-out",
                "%{http_version} %{http_code}",
                "--cacert",
            ])
            .arg(&ca)
            .args(flags)
            .arg(format!("{}/healthz", appliance.base_url))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{protocol} 200"), "{flags:?}");
    }
}

#[test]
fn a_renewed_certificate_is_taken_at_hangup() {
    let appliance = Appliance::start();
    let served = || {
        let address = appliance.base_url.trim_start_matches("https://");
        let script = format!(
            "echo | openssl s_client -connect {address} 2>/dev/null | openssl x509 -noout -fingerprint"
        );
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let before = served();
    let tls = appliance.data().join("tls");
    // Another pair, as an operator or the authority's renewal would put it there.
    let make = format!(
        "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.new -out c.new -days 2 -subj /CN=localhost 2>/dev/null && chmod 400 k.new c.new && mv -f k.new server.key && mv -f c.new server.pem",
        tls.display()
    );
    assert!(Command::new("sh").args(["-c", &make]).status().unwrap().success());
    crate::harness::signal("HUP", appliance.pid());
    wait_for("the new certificate", || (served() != before).then_some(()));
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let appliance = Appliance::start();
    let data = appliance.data();
    check_refused(
        &["--listen", "127.0.0.1:0", "--s3-listen", "off", "--data-dir", data.to_str().unwrap()],
        "in use",
    );
}

#[test]
fn a_port_in_use_is_refused_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    check_refused(
        &["--listen", &address, "--s3-listen", "off", "--data-dir", data.to_str().unwrap()],
        "ss -ltnp",
    );
}

#[test]
fn files_that_others_can_read_are_refused_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("appliance.toml");
    fs::write(&config, "log = 'info'\n").unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o644)).unwrap();
    check_refused(&["--config", config.to_str().unwrap()], "chmod 400");

    let mut appliance = Appliance::start();
    appliance.stop();
    let key = appliance.data().join("site.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o440)).unwrap();
    let data = appliance.data();
    check_refused(
        &["--listen", "127.0.0.1:0", "--s3-listen", "off", "--data-dir", data.to_str().unwrap()],
        "chmod 400",
    );
}

#[test]
fn a_database_from_a_newer_version_is_refused() {
    let mut appliance = Appliance::start();
    appliance.stop();
    let database = appliance.data().join("state/appliance.db");
    let status =
        Command::new("sqlite3").arg(&database).arg("PRAGMA user_version = 9999").status().unwrap();
    assert!(status.success());
    let data = appliance.data();
    check_refused(
        &["--listen", "127.0.0.1:0", "--s3-listen", "off", "--data-dir", data.to_str().unwrap()],
        "newer",
    );
}

#[test]
fn a_start_without_the_database_or_authority_that_was_there_destroys_nothing() {
    let mut appliance = Appliance::start();
    appliance.stop();
    let data = appliance.data();
    let arguments =
        ["--listen", "127.0.0.1:0", "--s3-listen", "off", "--data-dir", data.to_str().unwrap()];
    let stray = data.join("objects/00/of-the-lost-database");
    fs::create_dir_all(stray.parent().unwrap()).unwrap();
    fs::write(&stray, b"bytes").unwrap();
    for (lost, words) in
        [("state/appliance.db", "put the latest copy of"), ("tls/ca.key", "put it back")]
    {
        let kept = data.join("kept");
        fs::rename(data.join(lost), &kept).unwrap();
        check_refused(&arguments, words);
        assert!(stray.exists(), "without {lost}");
        fs::rename(&kept, data.join(lost)).unwrap();
    }
    let database = data.join("state/appliance.db");
    let whole = fs::read(&database).unwrap();
    fs::write(&database, b"").unwrap();
    check_refused(&arguments, "appliance.db is empty");
    fs::write(&database, whole).unwrap();
    appliance.start_again();
    appliance.kill();
    fs::remove_file(data.join("state/appliance.db-wal")).unwrap();
    check_refused(&arguments, "truncate -s 0");
    fs::write(data.join("state/in-use"), b"").unwrap();
    appliance.start_again();
    assert!(!appliance.log().contains("first start"), "{}", appliance.log());
    assert!(stray.exists(), "what is not named stays for a day");
}

#[test]
fn the_binary_is_one_static_file_that_runs_in_an_empty_root() {
    let ldd = Command::new("ldd").arg(BINARY).output().unwrap();
    let told = [ldd.stdout, ldd.stderr].concat();
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(
        told.contains("statically linked") || told.contains("not a dynamic executable"),
        "{told}"
    );

    if !may_run_jobs() {
        return;
    }
    let root = tempfile::tempdir().unwrap();
    fs::copy(BINARY, root.path().join("appliance")).unwrap();
    let output =
        Command::new("chroot").arg(root.path()).args(["/appliance", "--version"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let output = Command::new("chroot")
        .arg(root.path())
        .args(["/appliance", "config", "defaults"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    serve_in(root.path());
    run_in(root.path());
}

/// The control plane serves there, and its log says why no job can run.
fn serve_in(root: &Path) {
    let log = root.join("log");
    let mut child = Command::new("chroot")
        .arg(root)
        .args(["/appliance", "serve", "--data-dir", "/data", "--s3-listen", "off"])
        .args(["--listen", "127.0.0.1:0"])
        .env("NO_COLOR", "1")
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let told = || fs::read_to_string(&log).unwrap();
    let address = wait_for("the appliance to be ready", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended:\n{}", told());
        let told = told();
        let at = told.find("ready at ")?;
        Some(told[at + 9..].split_whitespace().next()?.to_owned())
    });
    let output = Command::new("curl")
        .args(["--silent", "--show-error", "--write-out", " %{http_code}", "--cacert"])
        .arg(root.join("data/tls/ca.pem"))
        .arg(format!("{address}/readyz"))
        .output()
        .unwrap();
    let answer = String::from_utf8_lossy(&output.stdout).into_owned();
    wait_for("the runner to say why", || told().contains("/dev/null").then_some(()));
    crate::harness::signal("TERM", child.id());
    let status = wait_for("the appliance to stop", || child.try_wait().unwrap());
    assert!(answer.ends_with(" 200"), "{answer} {output:?}\n{}", told());
    assert!(status.success() && !told().contains("panicked"), "{status}:\n{}", told());
}

/// A run without a server is refused in words.
fn run_in(root: &Path) {
    fs::create_dir_all(root.join("copy/.circleci")).unwrap();
    let config = "version: 2.1\njobs: {a: {machine: true, steps: [run: 'true']}}\nworkflows: {w: {jobs: [a]}}\n";
    fs::write(root.join("copy/.circleci/config.yml"), config).unwrap();
    let output = Command::new("chroot")
        .arg(root)
        .args(["/appliance", "run", "/copy"])
        .env("HOME", "/home")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("/dev/null") && !told.contains("panicked"), "{told}");
}

#[test]
fn a_full_disk_is_refused_with_the_remedy() {
    if !may_run_jobs() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // A small disk, mounted in a namespace that ends with the process.
    let script = "mount -t tmpfs -o size=200k small \"$1\" && exec \"$0\" serve --listen 127.0.0.1:0 --s3-listen off --data-dir \"$1/data\"";
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script, BINARY])
        .arg(folder.path())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(told.contains("the disk is full") && told.contains("df -h"), "{told}");
}
