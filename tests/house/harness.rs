//! One running appliance, and the clients that speak to it.
//!
//! Invariants: ports are chosen by the system; every wait has a condition and a deadline; when a
//! test fails, the appliance's log is printed; when it passes, nothing of it may be left.

use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_appliance");

/// Long enough for a busy machine; a test that needs it all has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks of a wait.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A running appliance.
pub(crate) struct Appliance {
    pub(crate) folder: TempDir,
    child: Option<Child>,
    pub(crate) base_url: String,
    starts: u32,
    /// Where it listens; port 0 takes a free one at each start.
    listen: [String; 2],
    variables: Vec<(String, String)>,
}

/// Waits for `check` to give a value.
pub(crate) fn wait_for<T>(what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(begun.elapsed() < DEADLINE, "gave up waiting for {what}");
        // Between two looks; the condition above ends the wait.
        std::thread::park_timeout(LOOK_EVERY);
    }
}

/// Jobs need namespaces and control groups.
pub(crate) fn may_run_jobs() -> bool {
    let root = fs::metadata("/proc/self")
        .is_ok_and(|meta| std::os::unix::fs::MetadataExt::uid(&meta) == 0);
    if !root {
        announce("skipped: running jobs needs root");
    }
    root
}

/// A line that the test runner counts as a note.
pub(crate) fn announce(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

impl Appliance {
    /// Starts a fresh one and waits until it is ready.
    pub(crate) fn start() -> Self {
        Self::start_with([0, 0], &[])
    }

    /// The same on these ports, HTTPS and S3, with settings as environment variables.
    pub(crate) fn start_with(ports: [u16; 2], variables: &[(&str, &str)]) -> Self {
        let mut this = Self::not_started(ports, variables);
        this.start_again();
        this
    }

    /// One that somebody else starts, on the same folder.
    pub(crate) fn not_started(ports: [u16; 2], variables: &[(&str, &str)]) -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            child: None,
            base_url: String::new(),
            starts: 0,
            listen: ports.map(|port| format!("127.0.0.1:{port}")),
            variables: variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        }
    }

    /// Starts it on the data that is there.
    pub(crate) fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        self.starts += 1;
        let log = File::create(self.log_path()).unwrap();
        let child = Command::new("sh")
            // With the mask of the shipped unit.
            .args(["-c", "umask 077; exec \"$0\" \"$@\"", BINARY])
            .args([
                "serve",
                "--listen",
                &self.listen[0],
                "--s3-listen",
                &self.listen[1],
                "--log",
                "info",
                "--slots",
                "2",
            ])
            .arg("--data-dir")
            .arg(self.data())
            .env("NO_COLOR", "1")
            // A machine without sensors, unless a test writes some: the weather of the machine
            // that runs the tests must not decide them.
            .env("APPLIANCE_HARDWARE_ROOT", self.machine())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.base_url = wait_for("the appliance to be ready", || {
            if let Ok(Some(status)) = self.child.as_mut().unwrap().try_wait() {
                panic!("it ended with {status}:\n{}", self.log());
            }
            let log = self.log();
            let at = log.find("ready at ")?;
            Some(log[at + 9..].split_whitespace().next()?.to_owned())
        });
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The tree that it reads its sensors from.
    pub(crate) fn machine(&self) -> PathBuf {
        let tree = self.folder.path().join("machine");
        fs::create_dir_all(&tree).unwrap();
        tree
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join(format!("serve-{}.log", self.starts))
    }

    /// What this start has logged so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The one-time password of the first start.
    pub(crate) fn first_password(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("serve-1.log")).unwrap();
        let at = log.find("one-time password ").unwrap() + 18;
        log[at..].split_whitespace().next().unwrap().to_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// kill -9.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and the wait for a clean end.
    pub(crate) fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal("TERM", child.id());
        let status = wait_for("the appliance to stop", || child.try_wait().unwrap());
        assert!(status.success(), "stopped with {status}:\n{}", self.log());
    }

    /// The command line against this appliance, as its operator.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Output {
        let output = Command::new(BINARY)
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data())
            .stdin(Stdio::null())
            .output();
        output.unwrap()
    }

    /// The command line in the background, what it prints in a file.
    pub(crate) fn follow(&self, arguments: &[&str], into: &Path) -> Child {
        Command::new(BINARY)
            .args(arguments)
            .arg("--data-dir")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(File::create(into).unwrap())
            .spawn()
            .unwrap()
    }

    /// One API call through the control socket with the real curl.
    pub(crate) fn api(&self, method: &str, path: &str, body: Option<&str>) -> Value {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--max-time",
            "30",
            "--request",
            method,
            "--unix-socket",
        ])
        .arg(self.data().join("control.sock"))
        .arg(format!("http://localhost{path}"));
        if let Some(body) = body {
            curl.args(["--header", "content-type: application/json", "--data", body]);
        }
        let output = curl.output().unwrap();
        assert!(
            output.status.success(),
            "curl {path}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
            panic!("{path} answered {}", String::from_utf8_lossy(&output.stdout))
        })
    }

    /// The items of a listing.
    pub(crate) fn items(&self, path: &str) -> Vec<Value> {
        self.api("GET", path, None)["items"].as_array().cloned().unwrap_or_default()
    }

    /// The whole event log, page by page.
    pub(crate) fn events(&self) -> Vec<Value> {
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after = all.last().map_or(0, |event| event["cursor"].as_u64().unwrap());
            let page = self.items(&format!("/api/appliance/v1/event?page-token={after}"));
            if page.is_empty() {
                return all;
            }
            all.extend(page);
        }
    }

    /// The newest pipeline of a project.
    pub(crate) fn newest_pipeline(&self, project: &str) -> Value {
        self.items(&format!("/api/v2/project/gh/{project}/pipeline"))[0].clone()
    }

    /// Waits until all workflows of a pipeline have ended; their states by name.
    pub(crate) fn wait_for_workflows(&self, pipeline: &str) -> Vec<(String, String)> {
        wait_for("all workflows to end", || {
            let workflows = self.items(&format!("/api/v2/pipeline/{pipeline}/workflow"));
            let states = workflows.iter().map(|workflow| {
                let text = |key: &str| workflow[key].as_str().unwrap().to_owned();
                (text("name"), text("status"))
            });
            let states: Vec<_> = states.collect();
            let live = |state: &str| matches!(state, "running" | "failing" | "on_hold");
            (!states.is_empty() && states.iter().all(|(_, state)| !live(state))).then_some(states)
        })
    }

    /// The jobs of a pipeline's only workflow.
    pub(crate) fn jobs(&self, pipeline: &str) -> Vec<Value> {
        let workflows = self.items(&format!("/api/v2/pipeline/{pipeline}/workflow"));
        let workflow = workflows[0]["id"].as_str().unwrap();
        self.items(&format!("/api/v2/workflow/{workflow}/job"))
    }

    /// Cancels a pipeline's only workflow, and waits until nothing is left of its jobs: a stop would
    /// leave the clearing away to the next start.
    pub(crate) fn cancel(&self, pipeline: &str) {
        let workflow = &self.items(&format!("/api/v2/pipeline/{pipeline}/workflow"))[0];
        let path = format!("/api/v2/workflow/{}/cancel", workflow["id"].as_str().unwrap());
        self.api("POST", &path, None);
        self.wait_for_workflows(pipeline);
        wait_for("its jobs to be cleared away", || {
            let folders = fs::read_dir(self.data().join("runner/jobs")).unwrap().flatten();
            let mut jobs = folders.filter(|job| job.path().join("assignment.json").exists());
            jobs.next().is_none().then_some(())
        });
    }

    /// A token of an administrator who chose a password, as a person would get it.
    pub(crate) fn git_url(&self, project: &str) -> String {
        format!("{}/git/{project}.git", self.base_url)
    }
}

/// Sends a signal to a process that the test started.
pub(crate) fn signal(name: &str, pid: u32) {
    let status =
        Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// Processes whose command line or root names the path.
pub(crate) fn processes_of(path: &Path) -> Vec<(u32, String)> {
    let wanted = path.display().to_string();
    let pids = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        line.contains(&wanted).then_some((pid, line))
    })
    .collect()
}

impl Drop for Appliance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            announce(&format!("---- log of the appliance\n{}", self.log()));
            if let Some(mut child) = self.child.take() {
                let _ = child.kill();
                let _ = child.wait();
            }
            return;
        }
        self.stop();
        let data = self.data();
        wait_for("all processes of the appliance to end", || {
            processes_of(&data).is_empty().then_some(())
        });
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        assert!(
            !mounts.contains(&data.display().to_string()),
            "mounts were left behind:\n{mounts}"
        );
    }
}
