//! What a sandbox is made of, as data.
//!
//! Why: the runner decides, the supervisor builds; between them goes a value that can be stored,
//! printed and compared.
//! Invariants: paths are absolute and on the host, unless a field says otherwise.

use crate::cgroup::Base;
use base::units::Bytes;
use serde::{Deserialize, Serialize};
use std::{net::Ipv4Addr, path::PathBuf};

/// Everything that is needed to build one sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Names the control groups and network interface: `[A-Za-z0-9][A-Za-z0-9_-]{0,63}`, unique
    /// on this host.
    pub id: String,
    /// The root file system.
    pub root: Root,
    /// Everything the job changes lives here. Created by `create`, removed by `destroy`; its
    /// parent must exist, and the same parent is given to [`crate::sweep`].
    pub scratch: PathBuf,
    /// What holds the scratch files.
    #[serde(default)]
    pub storage: Storage,
    /// Host ids that this job's ids 0.. stand for; no two living sandboxes may share any.
    pub ids: IdRange,
    /// Host files and directories shown inside.
    #[serde(default)]
    pub binds: Vec<Bind>,
    /// Folders and empty files, inside, that are there from the start. Made in memory where the
    /// host's root is shown without what stands there, as in `/home` and `/tmp`; elsewhere left to
    /// whoever needs them.
    #[serde(default)]
    pub places: Places,
    /// Host name inside, also in `/etc/hostname` and `/etc/hosts`.
    pub hostname: String,
    /// Bounds on what the job uses.
    #[serde(default)]
    pub limits: Limits,
    /// What the job reaches. Loopback is up in all cases.
    #[serde(default)]
    pub network: Network,
    /// Further roots with programs of their own, on the same network. At most [`COMPANIONS_MAX`].
    #[serde(default)]
    pub companions: Vec<Companion>,
    /// Names for `/etc/hosts` that stand for this sandbox itself, its companions included.
    #[serde(default)]
    pub names: Vec<String>,
    /// Lets set-user-id programs gain ids and capabilities *within the job's own id range*: what
    /// `sudo` needs in an image whose user is not root. Off unless asked for.
    #[serde(default)]
    pub allow_privilege_gain: bool,
    /// Where control groups are made; from [`Base::prepare`].
    pub cgroup_base: Base,
}

/// Most companions of one sandbox: each holds a process and an overlay of its own.
pub const COMPANIONS_MAX: usize = 32;

/// A root beside a sandbox's own, with its own processes, files, IPC and host name. Network, ids,
/// limits and end are those of the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Companion {
    /// Its root file system.
    pub root: Root,
    /// Host name inside.
    pub hostname: String,
    /// As [`Spec::allow_privilege_gain`], for its programs.
    #[serde(default)]
    pub allow_privilege_gain: bool,
}

/// The root file system a job sees. The job's changes never reach it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Root {
    /// The host's own root, as any unprivileged user sees it.
    Host(HostRoot),
    /// One directory, owned by host root; its uid 0 is the job's root.
    Directory {
        /// The directory.
        path: PathBuf,
    },
    /// Unpacked image layers ([`crate::image`]), bottom first; uid 0 is the job's root.
    Layers {
        /// At most [`LAYERS_MAX`].
        lowers: Vec<PathBuf>,
    },
}

/// Most layers that one root may have; the kernel takes one page of mount options.
pub const LAYERS_MAX: usize = 120;

/// How the host's root is shown. Host files keep their owners, so what only host root may read
/// stays unreadable; the usual top directories belong to the job's root and can be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRoot {
    /// Paths that appear absent: the data directory, `/etc/appliance`, sockets and keys.
    /// `/root`, `/home`, `/tmp`, `/run`, `/var/tmp`, `/var/log`, `/mnt`, `/media` and `/srv` are
    /// always there, empty, and belong to the job's root.
    pub masks: Vec<PathBuf>,
}

/// What holds the scratch files of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// The file system of the scratch directory. Few hosts mount theirs with project quotas, so
    /// `limits.disk` is not the kernel's to enforce: the supervisor asks
    /// [`Sandbox::disk_look`](crate::Sandbox::disk_look) now and then and ends a job that has
    /// grown past its bound.
    #[default]
    Disk,
    /// Memory of the job's own group, bounded by `limits.disk` in the kernel. Nothing is written.
    Memory,
}

/// What is there from the start: a job that only uses it, and changes nothing, writes nothing to
/// disk. Paths are inside.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Folders, mode 755, with those that lead to them.
    pub folders: Vec<PathBuf>,
    /// Empty files, mode 644.
    pub files: Vec<PathBuf>,
}

/// A range of host user and group ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The host id that is 0 inside.
    pub host_start: u32,
    /// How many; 65536 for a whole system.
    pub count: u32,
}

/// A host file or directory shown inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// On the host.
    pub source: PathBuf,
    /// Inside; missing directories (or the file) are created.
    pub target: PathBuf,
    /// Refuses writes.
    pub read_only: bool,
    /// Files owned by host root appear as owned by the job's root, and the other way round.
    #[serde(default)]
    pub map_ids: bool,
}

/// Bounds on what a job uses. A bound that this host cannot enforce is told by
/// [`Sandbox::warnings`](crate::Sandbox::warnings).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory with page cache and tmpfs; beyond it the kernel kills within the job.
    pub memory: Option<Bytes>,
    /// CPU time: 1000 is one core.
    pub cpu_millis: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Bytes kept on disk.
    pub disk: Option<Bytes>,
}

/// What a job's network reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Network {
    /// Loopback alone.
    #[default]
    Off,
    /// A link to the host, filtered there.
    Bridge(Bridge),
}

/// A link of its own between host and job: no job shares a wire with another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bridge {
    /// The host's address on the link, the same for every job: where the appliance's services are.
    pub gateway: Ipv4Addr,
    /// Addresses that the job may have, best first: it gets one that no other link of this host
    /// has.
    pub addresses: Vec<Ipv4Addr>,
    /// TCP ports on `gateway` that the job reaches.
    pub services: Vec<u16>,
    /// Networks beyond the host, as `10.1.0.0/16`, or one port of them, as `10.1.0.0/16:443` (TCP
    /// and UDP). The gateway's other ports, other jobs, link-local and metadata addresses
    /// (169.254.0.0/16) stay closed whatever is named here.
    #[serde(default)]
    pub allow: Vec<String>,
    /// Name servers, written to `/etc/resolv.conf`; reached only if `allow` covers them.
    #[serde(default)]
    pub name_servers: Vec<Ipv4Addr>,
    /// Names for `/etc/hosts` that stand for `gateway`.
    #[serde(default)]
    pub gateway_names: Vec<String>,
}
