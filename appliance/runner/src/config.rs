//! What the operator and the server decide for a runner.

use base::units::Bytes;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, net::Ipv4Addr, path::PathBuf};

/// Settings of a runner.
#[derive(Debug, Clone)]
pub struct Config {
    /// Stable name; a restart under the same name is the same runner.
    pub name: String,
    /// The control plane's Unix socket.
    pub socket: PathBuf,
    /// Jobs side by side.
    pub slots: u32,
    /// Runner classes it serves.
    pub resource_classes: Vec<String>,
    /// Serves jobs without a runner class.
    pub serves_plain_classes: bool,
    /// Where and how jobs run.
    pub host: HostConfig,
}

/// How jobs run on this machine, with or without a server.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Version of the program.
    pub version: String,
    /// Holds `jobs/`, the folders of running jobs. 0700.
    pub data: PathBuf,
    /// Holds unpacked images; several runners may share it. 0700.
    pub layers: PathBuf,
    /// The static binary, mounted into jobs as `circleci-agent`, `circleci` and `sudo`; also what
    /// supervises jobs.
    pub executable: PathBuf,
    /// Root file system of `machine` jobs; the host's own root when absent.
    pub machine_root: Option<PathBuf>,
    /// Root file systems of `machine` jobs that ask for an image, by its name.
    pub machine_images: BTreeMap<String, PathBuf>,
    /// What of the host's root no job may see: data directory, keys, sockets.
    pub masks: Vec<PathBuf>,
    /// Most that a job may keep on disk.
    pub disk: Option<Bytes>,
    /// The first of the host ids that jobs use, 65536 for each.
    pub first_id: u32,
    /// What jobs reach on this host.
    pub network: SiteNetwork,
}

/// What jobs whose policy is not `off` reach.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SiteNetwork {
    /// The host's address on each job's link, the first of a network; jobs have those that follow
    /// it. Without it jobs have loopback alone.
    pub gateway: Option<Ipv4Addr>,
    /// Bits of the gateway's network, 8 to 29.
    pub prefix: u8,
    /// TCP ports of the appliance's services.
    pub services: Vec<u16>,
    /// Names that stand for the gateway inside jobs.
    pub names: Vec<String>,
    /// What jobs with full network reach at most, as [`crate::Destination`] reads it.
    pub allow: Vec<String>,
    /// Name servers for jobs with full network.
    pub name_servers: Vec<Ipv4Addr>,
    /// Certificates in PEM by which jobs know the appliance.
    pub authority: Option<PathBuf>,
    /// Environment variables that tell jobs where the appliance's services are.
    pub variables: Vec<(String, String)>,
}
