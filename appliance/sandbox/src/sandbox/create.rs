//! Makes a sandbox.
//!
//! Order, and why: init is cloned before the root is assembled, because layers are mapped by its
//! user namespace, and because joining control groups of version 1 takes milliseconds, which
//! init spends while this side mounts.

use super::{Remains, Sandbox};
use crate::{
    Error, Spec,
    cgroup::Group,
    host_root,
    init::{self, Born},
    network::{self, Link},
    root_tree::{self, OwnFile},
    spec::{Bind, COMPANIONS_MAX, Companion, Network, Root},
    sys,
    wire::{self, Build, Reply, Request, Target},
};
use std::{
    fs::{self, File},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

/// Added to the kernel's wish to kill a job's process when the whole machine is out of memory:
/// jobs go before the appliance.
const OOM_SCORE: &str = "500";

/// Binds are sent in one message, beside the root.
const BINDS_MAX: usize = wire::DESCRIPTORS_MAX - 10;

const NOSUID_NODEV: u64 = libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NODEV;

impl Sandbox {
    /// Makes a sandbox; returns when programs can be started in it.
    ///
    /// # Errors
    /// What was tried, where, and why it failed. Nothing is left behind.
    pub fn create(spec: &Spec) -> Result<Self, Error> {
        check(spec)?;
        threads_check()?;
        root_tree::private_mounts()?;
        let mut remains = Remains::claim(spec)?;
        let (group, warnings) = Group::create(&spec.cgroup_base, &spec.id, &spec.limits)?;
        remains.group = Some(group);
        let mut sandbox = clone_init(spec, remains, warnings)?;
        proc_write(sandbox.init_pid, "uid_map", &spec.ids.map())?;
        proc_write(sandbox.init_pid, "gid_map", &spec.ids.map())?;
        sandbox.build(Born::First)?;
        for (number, companion) in spec.companions.iter().enumerate() {
            let made = sandbox.companion_create(&companion_spec(spec, companion, number))?;
            sandbox.companions.push(made);
        }
        Ok(sandbox)
    }

    fn companion_create(&self, spec: &Spec) -> Result<Self, Error> {
        let mut remains = Remains::claim(spec)?;
        remains.group = Some(Group::named(&spec.cgroup_base, &spec.id));
        remains.shares_group = true;
        let mut made = clone_beside(self, spec, remains)?;
        made.build(Born::Beside)?;
        Ok(made)
    }

    fn build(&mut self, born: Born) -> Result<(), Error> {
        let pid = self.init_pid;
        proc_write(pid, "oom_score_adj", OOM_SCORE)?;
        let user_namespace: OwnedFd = proc_open(pid, "ns/user")?.into();
        let own = root_tree::assemble(&self.spec, &files(&self.spec), user_namespace.as_fd())?;
        let binds = self.binds_all();
        let mut trees = vec![own.root, own.dev];
        for bind in &binds {
            let set = NOSUID_NODEV | if bind.read_only { libc::MOUNT_ATTR_RDONLY } else { 0 };
            let map = bind.map_ids.then(|| user_namespace.as_fd());
            trees.push(
                root_tree::tree_open(&bind.source, set, map)
                    .map_err(Error::path("bind", &bind.source))?,
            );
        }
        self.expect(|reply| matches!(reply, Reply::Joined))?;
        let link = if born == Born::First { self.link_up()? } else { None };
        let request = Request::Build(Build {
            hostname: self.spec.hostname.clone(),
            binds: binds.iter().map(target).collect(),
            shm_bytes: self.spec.limits.memory.map(|memory| memory.0 / 2),
            allow_privilege_gain: self.spec.allow_privilege_gain,
            link,
            groups: init::Shown::of(&self.spec.cgroup_base),
        });
        let trees: Vec<_> = trees.iter().map(AsFd::as_fd).collect();
        wire::send(&self.socket, &request, &trees)
            .map_err(Error::kernel("tell init what to build"))?;
        self.expect(|reply| matches!(reply, Reply::Built))?;
        let root = format!("/proc/{pid}/root");
        let flags =
            rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
        self.root = Some(
            rustix::fs::open(&root, flags, rustix::fs::Mode::empty())
                .map_err(Error::path("open", root))?,
        );
        Ok(())
    }

    fn binds_all(&self) -> Vec<Bind> {
        let mut binds = Vec::new();
        if let Root::Host(host) = &self.spec.root {
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
            binds.extend(host_root::program_mounts(&mounts, &host.masks).into_iter().map(
                |point| Bind {
                    source: point.clone(),
                    target: point,
                    read_only: true,
                    map_ids: false,
                },
            ));
        }
        binds.extend(self.spec.binds.iter().cloned());
        binds
    }

    fn link_up(&mut self) -> Result<Option<network::Inside>, Error> {
        let Network::Bridge(bridge) = &self.spec.network else { return Ok(None) };
        let namespace: OwnedFd = proc_open(self.init_pid, "ns/net")?.into();
        self.warnings.extend(Link::warning(bridge));
        let (link, inside) = Link::create(&self.spec.id, bridge, namespace.as_fd())?;
        self.remains.link = Some(link);
        Ok(Some(inside))
    }

    fn expect(&mut self, wanted: impl Fn(&Reply) -> bool) -> Result<(), Error> {
        loop {
            match self.receive()? {
                Some((reply, _)) if wanted(&reply) => return Ok(()),
                Some((reply, _)) => return Err(super::unexpected(reply)),
                None if self.lost => return Err(Error::Lost),
                None => {}
            }
        }
    }
}

fn clone_init(spec: &Spec, remains: Remains, warnings: Vec<String>) -> Result<Sandbox, Error> {
    let group = remains.group.as_ref().expect("made just before");
    let (joins, birth) = (group.joins()?, group.birth()?);
    let (ours, theirs) = UnixStream::pair().map_err(Error::kernel("make a socket pair"))?;
    let namespaces = libc::CLONE_NEWUSER | libc::CLONE_NEWPID;
    let hint = " (user namespaces must be allowed: sysctl user.max_user_namespaces)";
    let cloned = sys::clone_process(namespaces, birth.as_ref().map(AsFd::as_fd));
    match cloned.map_err(|source| Error::Kernel {
        action: "clone the sandbox's init",
        hint,
        source,
    })? {
        sys::Fork::Child => {
            // Held here as well, it would never tell init that the supervisor is gone.
            drop(ours);
            init::live(&theirs, &joins, Born::First)
        }
        sys::Fork::Parent { pid, pidfd } => {
            let mut sandbox = Sandbox::bare(spec, remains, ours, pidfd, pid);
            sandbox.warnings = warnings;
            Ok(sandbox)
        }
    }
}

/// Clones the init of a companion into the namespaces of `first`.
fn clone_beside(first: &Sandbox, spec: &Spec, remains: Remains) -> Result<Sandbox, Error> {
    let group = first.group();
    let (joins, birth) = (group.joins()?, group.birth()?);
    let user: OwnedFd = proc_open(first.init_pid, "ns/user")?.into();
    let network: OwnedFd = proc_open(first.init_pid, "ns/net")?.into();
    let pair = || UnixStream::pair().map_err(Error::kernel("make a socket pair"));
    let ((ours, theirs), (hear, told)) = (pair()?, pair()?);
    let cloned = sys::clone_process(0, birth.as_ref().map(AsFd::as_fd));
    let between = match cloned.map_err(Error::kernel("clone on the way to a companion"))? {
        sys::Fork::Child => {
            // As in `clone_init`, for the init that is cloned on.
            drop((ours, hear));
            init::step_over(&told, &theirs, &joins, user.as_fd(), network.as_fd())
        }
        sys::Fork::Parent { pidfd, .. } => pidfd,
    };
    drop((told, theirs));
    let born = wire::receive::<Reply>(&hear);
    let _reaped = rustix::process::waitid(
        rustix::process::WaitId::PidFd(between.as_fd()),
        rustix::process::WaitIdOptions::EXITED,
    );
    let (reply, descriptors) =
        born.map_err(Error::kernel("hear of a companion's birth"))?.ok_or(Error::Lost)?;
    match (reply, descriptors.into_iter().next()) {
        (Reply::Born { pid }, Some(pidfd)) => Ok(Sandbox::bare(spec, remains, ours, pidfd, pid)),
        (reply, _) => Err(super::unexpected(reply)),
    }
}

/// A companion as a sandbox of its own: what it shares is that of the first.
fn companion_spec(spec: &Spec, companion: &Companion, number: usize) -> Spec {
    Spec {
        root: companion.root.clone(),
        scratch: spec.scratch.join(format!("companion-{number}")),
        binds: Vec::new(),
        hostname: companion.hostname.clone(),
        allow_privilege_gain: companion.allow_privilege_gain,
        companions: Vec::new(),
        ..spec.clone()
    }
}

fn check(spec: &Spec) -> Result<(), Error> {
    let invalid = |field, value: &dyn std::fmt::Display, reason| {
        Err(Error::Invalid { field, value: value.to_string(), reason })
    };
    if !is_name(&spec.id) {
        return invalid("id", &spec.id, "expected 1 to 64 letters, digits, `_` and `-`");
    }
    if !is_name(&spec.hostname.replace('.', "-")) {
        return invalid(
            "hostname",
            &spec.hostname,
            "expected 1 to 64 letters, digits, `-` and `.`",
        );
    }
    if let Some(name) = spec.names.iter().find(|name| !is_name(&name.replace('.', "-"))) {
        let reason = "expected 1 to 64 letters, digits, `_`, `-` and `.`";
        return invalid("name of a container", name, reason);
    }
    if spec.companions.len() > COMPANIONS_MAX {
        return invalid("companions", &spec.companions.len(), "expected at most 32");
    }
    if spec.ids.host_start == 0
        || spec.ids.count == 0
        || spec.ids.host_start.checked_add(spec.ids.count).is_none()
    {
        let range = format!("{}+{}", spec.ids.host_start, spec.ids.count);
        return invalid("ids", &range, "expected a range of unused host ids, such as 100000+65536");
    }
    if !spec.scratch.is_absolute() {
        return invalid("scratch", &spec.scratch.display(), "expected an absolute path");
    }
    match spec
        .binds
        .iter()
        .find(|bind| !bind.target.is_absolute() || bind.target.to_str().is_none())
    {
        Some(bind) => {
            invalid("a bind's target", &bind.target.display(), "expected an absolute path in UTF-8")
        }
        None if spec.binds.len() > BINDS_MAX => {
            invalid("binds", &spec.binds.len(), "expected at most 90")
        }
        None => Ok(()),
    }
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// A clone of a process with other threads would copy whatever lock they hold, held for ever.
fn threads_check() -> Result<(), Error> {
    let tasks = fs::read_dir("/proc/self/task").map_err(Error::path("read", "/proc/self/task"))?;
    match tasks.count() {
        1 => Ok(()),
        threads => Err(Error::ManyThreads { threads }),
    }
}

fn target(bind: &Bind) -> Target {
    let path = bind.target.to_str().expect("checked before").to_owned();
    Target { path, is_dir: bind.source.is_dir() }
}

/// Who the job is and whom it knows.
fn files(spec: &Spec) -> Vec<OwnFile> {
    let bridge = match &spec.network {
        Network::Off => None,
        Network::Bridge(bridge) => Some(bridge),
    };
    // The job's own name is on its loopback: the address on the link is known only later.
    let mut hosts =
        format!("127.0.0.1 localhost\n::1 localhost ip6-localhost\n127.0.1.1 {}\n", spec.hostname);
    for name in &spec.names {
        hosts.push_str(&format!("127.0.0.1 {name}\n"));
    }
    let mut resolv = String::from("# written for this job\n");
    if let Some(bridge) = bridge {
        if !bridge.gateway_names.is_empty() {
            hosts.push_str(&format!("{} {}\n", bridge.gateway, bridge.gateway_names.join(" ")));
        }
        for server in &bridge.name_servers {
            resolv.push_str(&format!("nameserver {server}\n"));
        }
    }
    vec![
        ("etc/hostname", format!("{}\n", spec.hostname)),
        ("etc/hosts", hosts),
        ("etc/resolv.conf", resolv),
    ]
}

fn proc_path(pid: i32, file: &str) -> PathBuf {
    Path::new("/proc").join(pid.to_string()).join(file)
}

fn proc_write(pid: i32, file: &str, value: &str) -> Result<(), Error> {
    let path = proc_path(pid, file);
    fs::write(&path, value).map_err(Error::path("write", path))
}

fn proc_open(pid: i32, file: &str) -> Result<File, Error> {
    let path = proc_path(pid, file);
    File::open(&path).map_err(Error::path("open", path))
}

impl crate::spec::IdRange {
    /// As `uid_map` takes it: 0 inside is `host_start` outside.
    fn map(self) -> String {
        format!("0 {} {}\n", self.host_start, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_stay_in_their_folder() {
        for (name, accepted) in
            [("job-1_a", true), ("", false), ("..", false), ("a/b", false), ("-a", false)]
        {
            assert_eq!(is_name(name), accepted, "{name}");
        }
    }
}
