//! What the tests of this room share: a process with one thread that makes sandboxes and runs
//! scripts in them.

use base::units::Bytes;
use sandbox::{
    Exec, HostRoot, IdRange, Limits, Network, Root, Sandbox, Spec, Status, Storage, User,
    cgroup::Base,
};
use std::{
    fs::File,
    os::{
        fd::OwnedFd,
        unix::{fs::FileExt, process::CommandExt},
    },
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

/// Tells why nothing can be tested here, or nothing.
pub(super) fn reason_to_skip() -> Option<&'static str> {
    (!rustix::process::geteuid().is_root()).then_some("sandboxes need root")
}

/// A folder for one test process, removed at its end.
pub(super) struct Place {
    pub(super) folder: tempfile::TempDir,
    pub(super) base: Base,
    count: u32,
}

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let base = Base::prepare(&format!("sandbox-tests-{}", std::process::id()))
            .expect("control groups");
        Self { folder, base, count: 0 }
    }

    pub(super) fn spec(&mut self) -> Spec {
        self.count += 1;
        let id = format!("test-{}-{}", std::process::id(), self.count);
        Spec {
            scratch: self.folder.path().join(&id),
            places: sandbox::Places::default(),
            hostname: "job".into(),
            root: Root::Host(HostRoot { masks: vec![self.secret()] }),
            storage: Storage::Disk,
            ids: IdRange { host_start: 200_000 + self.count * 65_536, count: 65_536 },
            binds: Vec::new(),
            limits: Limits {
                memory: Some(Bytes::mib(256)),
                cpu_millis: Some(1000),
                pids: Some(128),
                disk: Some(Bytes::mib(64)),
            },
            network: Network::Off,
            companions: Vec::new(),
            names: Vec::new(),
            allow_privilege_gain: false,
            cgroup_base: self.base.clone(),
            id,
        }
    }

    /// A folder as the appliance's data directory would be: masked, and only for host root.
    pub(super) fn secret(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for place in &self.base.places {
            let _failed_tests_leave_groups = std::fs::remove_dir(&place.dir);
        }
    }
}

/// What a script did.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) status: Option<Status>,
    pub(super) output: String,
}

impl Ran {
    pub(super) fn held(&self) -> bool {
        self.status == Some(Status::Code(0))
    }
}

pub(super) fn exec(program: &str, args: &[&str], user: User, output: &File) -> Exec {
    let null: OwnedFd = File::open("/dev/null").expect("the null device").into();
    let out = || -> OwnedFd { output.try_clone().expect("a descriptor").into() };
    Exec {
        program: program.into(),
        args: args.iter().map(|text| (*text).to_owned()).collect(),
        env: vec![
            ("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into()),
            ("HOME".into(), user.home.clone()),
        ],
        cwd: "/".into(),
        create_cwd: false,
        create_file: None,
        otherwise: None,
        user,
        stdio: [null, out(), out()],
        terminal: false,
    }
}

/// Runs a bash script to its end, or for at most `limit`.
pub(super) fn run(sandbox: &mut Sandbox, script: &str, limit: Duration) -> Ran {
    let user = sandbox.user("").expect("root is known");
    let output = tempfile::tempfile().expect("a temporary file");
    let exec = exec("bash", &["-c", script], user, &output);
    let child = match sandbox.spawn(exec) {
        Ok(child) => child,
        Err(error) => return Ran { status: None, output: format!("not started: {error:?}") },
    };
    let status = sandbox.wait(&child, Some(limit)).ok().flatten();
    if status.is_none() {
        let _may_be_lost = sandbox.signal_session(child.pid, 9);
    }
    Ran { status, output: text(&output) }
}

/// A generous wait for what takes milliseconds on an idle machine.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// Waits for a condition; fails when it does not come.
pub(super) fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        let pause = rustix::event::Timespec { tv_sec: 0, tv_nsec: 2_000_000 };
        let _interrupted = rustix::event::poll(&mut [], Some(&pause));
    }
}

pub(super) fn create(spec: &Spec) -> Sandbox {
    Sandbox::create(spec).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// Everything that was written to a file, without moving the writer's place in it.
pub(super) fn text(file: &File) -> String {
    let mut bytes =
        vec![0; usize::try_from(file.metadata().expect("a file").len()).expect("a short text")];
    file.read_exact_at(&mut bytes, 0).expect("readable output");
    String::from_utf8_lossy(&bytes).into_owned()
}

const IN_OWN_NETWORK: &str = "SANDBOX_TEST_NETWORK";

/// Goes on in a network of its own, so that the machine's is left alone.
pub(super) fn own_network() {
    if std::env::var_os(IN_OWN_NETWORK).is_some() {
        return;
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a new network namespace needs a process of its own"
    )]
    let mut again = Command::new("unshare");
    let program = std::env::current_exe().expect("this program");
    // It begins with the host's own settings, which another program may have changed.
    let loopback =
        "ip link set lo up 2>/dev/null; echo 0 >/proc/sys/net/ipv4/ip_forward; exec \"$0\" \"$@\"";
    again
        .args(["--net", "sh", "-c", loopback])
        .arg(program)
        .args(std::env::args().skip(1))
        .env(IN_OWN_NETWORK, "1");
    let error = again.exec();
    panic!("cannot run unshare (Debian package util-linux): {error}");
}
