//! What the tests of this room share: a process with one thread that makes sandboxes and runs
//! scripts in them. Included with `#[path]`; the tests have no harness, because a harness has
//! threads.

use base::units::Bytes;
use sandbox::{
    Exec, HostRoot, IdRange, Limits, Network, Root, Sandbox, Spec, Status, Storage, User,
    cgroup::Base,
};
use std::{
    fs::File,
    io::{Read, Seek},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};

/// Tells why nothing can be tested here, or nothing.
pub(crate) fn reason_to_skip() -> Option<&'static str> {
    (!rustix::process::geteuid().is_root()).then_some("sandboxes need root")
}

/// A folder for one test process, removed at its end.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) base: Base,
    count: u32,
}

impl Place {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let base = Base::prepare("sandbox-tests").expect("control groups");
        Self { folder, base, count: 0 }
    }

    pub(crate) fn spec(&mut self) -> Spec {
        self.count += 1;
        let id = format!("test-{}-{}", std::process::id(), self.count);
        Spec {
            scratch: self.folder.path().join(&id),
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
            allow_privilege_gain: false,
            cgroup_base: self.base.clone(),
            id,
        }
    }

    /// A folder as the appliance's data directory would be: masked, and only for host root.
    pub(crate) fn secret(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// What a script did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: Option<Status>,
    pub(crate) output: String,
}

impl Ran {
    pub(crate) fn held(&self) -> bool {
        self.status == Some(Status::Code(0))
    }
}

pub(crate) fn exec(program: &str, args: &[&str], user: User, output: &File) -> Exec {
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
        user,
        stdio: [null, out(), out()],
        terminal: false,
    }
}

/// Runs a bash script to its end, or for at most `limit`.
pub(crate) fn run(sandbox: &mut Sandbox, script: &str, limit: Duration) -> Ran {
    let user = sandbox.user("").expect("root is known");
    let mut output = tempfile::tempfile().expect("a temporary file");
    let exec = exec("bash", &["-c", script], user, &output);
    let child = match sandbox.spawn(exec) {
        Ok(child) => child,
        Err(error) => return Ran { status: None, output: format!("not started: {error:?}") },
    };
    let status = sandbox.wait(&child, Some(limit)).ok().flatten();
    if status.is_none() {
        let _may_be_lost = sandbox.signal_session(child.pid, 9);
    }
    let mut text = Vec::new();
    output.rewind().and_then(|()| output.read_to_end(&mut text)).expect("readable output");
    Ran { status, output: String::from_utf8_lossy(&text).into_owned() }
}

/// Fails with everything there is to know.
pub(crate) fn expect(name: &str, ran: &Ran, holds: bool) {
    assert!(holds, "{name}: {:?}\n{}", ran.status, ran.output);
}

pub(crate) fn exists(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}
