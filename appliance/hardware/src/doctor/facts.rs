//! What is known of the host before anything is judged.
//!
//! Invariants: reading changes nothing but for one file in the data directory, which measures
//! `fsync` and is removed again. Everything below `/proc` and `/sys` goes through the root.

mod disk;

pub use disk::{DiskFacts, Untold};

use crate::{AskClock, Root, disks, memory, sockets};
use base::units::Bytes;
use std::{
    fs::{self, File},
    io::Write,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

/// Writes of which the median is told. More would wear flash for nothing.
const SYNCS: usize = 15;
/// A kernel setting and its value.
const SYSCTLS: [&str; 5] = [
    "net/core/somaxconn",
    "net/ipv4/tcp_mtu_probing",
    "net/ipv4/ip_forward",
    "user/max_user_namespaces",
    "kernel/random/entropy_avail",
];

/// Where the appliance lives.
#[derive(Debug, Clone)]
pub struct Place {
    /// Data directory.
    pub data_dir: PathBuf,
    /// Addresses that it listens at.
    pub listen: Vec<SocketAddr>,
    /// Names of this machine that should be known.
    pub names: Vec<String>,
    /// Files that nobody else may read.
    pub secrets: Vec<PathBuf>,
    /// What the running appliance remembers of the heat, if it answers.
    pub heat_before: Option<HeatBefore>,
    /// Asks the kernel about its clock; `None` for a captured tree.
    pub clock: Option<AskClock>,
    /// Asks disks for their health; `None` for a captured tree, or where it is not installed.
    pub smartctl: Option<PathBuf>,
}

/// The heat of the past days.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HeatBefore {
    /// The hottest that any source was, in degrees.
    pub hottest: f64,
    /// Minutes that are remembered.
    pub minutes: u64,
    /// Share of that time in which jobs were held or stood still for any reason, in percent.
    pub held: f64,
}

/// A way to another machine, as the kernel knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// The other machine.
    pub peer: IpAddr,
    /// Largest packet of the way.
    pub packet: u32,
    /// The interface that leads there, and its largest packet.
    pub link: (String, u32),
}

/// Everything that the checks look at.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Kernel settings by name; missing where the kernel has none.
    pub sysctls: Vec<(&'static str, Option<u64>)>,
    /// Interfaces with their MTU.
    pub mtus: Vec<(String, u32)>,
    /// Ways of open connections.
    pub ways: Vec<Way>,
    /// Soft limit of open files.
    pub open_files: Option<u64>,
    /// Controllers of control groups, of either version; `None` where nothing tells.
    pub controllers: Option<Vec<String>>,
    /// Overlay file systems can be mounted; `None` where nothing tells.
    pub has_overlay: Option<bool>,
    /// The kernel tells pressure.
    pub has_pressure: bool,
    /// Somebody disciplines the clock; `None` where that cannot be told.
    pub clock_is_kept: Option<bool>,
    /// The bound of its error, where the kernel was told one.
    pub clock_error: Option<Duration>,
    /// The clock, seconds since 1970.
    pub clock: u64,
    /// Size and free space of the data directory's file system.
    pub space: Option<(Bytes, Bytes)>,
    /// Inodes: all and free.
    pub inodes: Option<(u64, u64)>,
    /// The data directory's file system cannot be written.
    pub is_read_only: bool,
    /// Median time of a small write that was made durable.
    pub fsync: Option<Duration>,
    /// Memory and what is free of it.
    pub memory: Option<(Bytes, Bytes)>,
    /// What the running appliance remembers of the heat.
    pub heat_before: Option<HeatBefore>,
    /// Secrets, and names, that were looked at.
    pub looked_at: (usize, usize),
    /// Addresses that cannot be taken, with the reason.
    pub taken: Vec<(SocketAddr, String)>,
    /// The appliance itself runs and holds its ports.
    pub is_running: bool,
    /// Secrets with a mode that others may use.
    pub open_secrets: Vec<(PathBuf, u32)>,
    /// Names that are not found.
    pub unknown_names: Vec<String>,
    /// A watchdog device is there.
    pub has_watchdog: bool,
    /// Times that the hardware slowed the processor, since the start.
    pub throttled: Option<u64>,
    /// The hottest sensor, in degrees, with its label.
    pub hottest: Option<(f64, String)>,
    /// The disks below the data directory and the root.
    pub disks: Vec<DiskFacts>,
    /// Runs as root.
    pub is_root: bool,
}

impl Facts {
    /// Asks the host. Takes about a second, most of it for measuring.
    #[must_use]
    pub fn read(root: &Root, place: &Place) -> Self {
        let mut facts = Self {
            sysctls: SYSCTLS
                .map(|name| (name, root.value(format!("proc/sys/{name}")).ok()))
                .to_vec(),
            mtus: mtus(root),
            ways: ways(root),
            heat_before: place.heat_before,
            looked_at: (
                place.secrets.iter().filter(|path| path.exists()).count(),
                place.names.len(),
            ),
            open_files: open_files(root),
            controllers: controllers(root),
            has_overlay: has_word(root, "proc/filesystems", "overlay"),
            has_pressure: root.text("proc/pressure/memory").is_ok(),
            clock: SystemTime::now()
                .duration_since(SystemTime::UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
            fsync: fsync(&place.data_dir),
            is_running: place.data_dir.join("control.sock").exists()
                && std::os::unix::net::UnixStream::connect(place.data_dir.join("control.sock"))
                    .is_ok(),
            open_secrets: place.secrets.iter().filter_map(|path| open_mode(path)).collect(),
            unknown_names: place.names.iter().filter(|name| !is_known(name)).cloned().collect(),
            has_watchdog: root.join("dev/watchdog").exists(),
            is_root: rustix::process::geteuid().is_root(),
            ..Self::default()
        };
        if !facts.is_running {
            facts.taken = place.listen.iter().filter_map(|address| taken(*address)).collect();
        }
        facts.file_system(root, &place.data_dir);
        facts.readings(root, place);
        facts
    }

    fn file_system(&mut self, root: &Root, data_dir: &Path) {
        let nearest = data_dir.ancestors().find(|folder| folder.exists());
        let Some(folder) = nearest else { return };
        if let Ok(found) = rustix::fs::statvfs(folder) {
            let bytes = |blocks: u64| Bytes(blocks.saturating_mul(found.f_frsize));
            self.space = Some((bytes(found.f_blocks), bytes(found.f_bavail)));
            self.inodes = (found.f_files > 0).then_some((found.f_files, found.f_ffree));
        }
        let mounts = disks::mounts(root);
        let mount = disks::mount_of(&mounts, &root.real(folder));
        self.is_read_only = mount.is_some_and(|mount| mount.read_only);
        let text = root.text("proc/meminfo").unwrap_or_default();
        let field = |name: &str| memory::meminfo(&text, name);
        self.memory = field("MemTotal").zip(field("MemAvailable"));
    }

    /// One round of the sampler gives what it reads anyway.
    fn readings(&mut self, root: &Root, place: &Place) {
        let config = crate::Config {
            root: root.clone(),
            folders: vec![place.data_dir.clone(), PathBuf::from("/")],
            clock: place.clock,
            ..crate::Config::default()
        };
        let Ok(mut sampler) = crate::Sampler::new(&config) else { return };
        let (wall, uptime) = crate::sampler::clocks();
        let readings = sampler.round(wall, uptime);
        self.throttled = readings.throttle.events.value;
        self.clock_is_kept = readings
            .clock
            .state
            .value
            .map(|state| state == base::reading::ClockState::Synchronised);
        self.clock_error = readings.clock.max_error.map(|error| error.0);
        let temps = readings.thermal.iter().filter_map(|sensor| {
            Some((sensor.temperature.fresh()?.0, sensor.temperature.source.label.to_string()))
        });
        self.hottest = temps.max_by(|a, b| a.0.total_cmp(&b.0));
        self.disks = readings
            .disks
            .iter()
            .map(|disk| DiskFacts::of(disk, root, place.smartctl.as_deref()))
            .collect();
    }
}

fn mtus(root: &Root) -> Vec<(String, u32)> {
    let names = root.names("sys/class/net");
    let read = names.into_iter().filter_map(|name| {
        let mtu = root.value(format!("sys/class/net/{name}/mtu")).ok()?;
        Some((name, mtu))
    });
    read.collect()
}

/// Of a captured tree nobody can be asked for its connections.
fn ways(root: &Root) -> Vec<Way> {
    if !root.is_live() {
        return Vec::new();
    }
    let links = mtus(root);
    let routes = root.text("proc/net/route").unwrap_or_default();
    let way = |socket: sockets::Socket| {
        let IpAddr::V4(peer) = socket.peer.ip().to_canonical() else { return None };
        let link = links.iter().find(|(name, _)| Some(name.as_str()) == card(&routes, peer))?;
        Some(Way { peer: peer.into(), packet: socket.info.path_mtu, link: link.clone() })
    };
    let mut ways: Vec<Way> = sockets::list().into_iter().flatten().filter_map(way).collect();
    ways.sort_by_key(|way| (way.peer, way.packet));
    ways.dedup_by_key(|way| way.peer);
    ways
}

/// The interface of the route with the longest prefix; numbers in `/proc/net/route` are in the
/// machine's own order of bytes.
fn card(routes: &str, peer: Ipv4Addr) -> Option<&str> {
    let peer = u32::from_ne_bytes(peer.octets());
    let route = |line: &'_ str| -> Option<(u32, usize)> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok();
        let (to, mask) = (number(1)?, number(7)?);
        (peer & mask == to).then_some((mask.count_ones(), fields[0].len()))
    };
    let lines = routes.lines().skip(1);
    let best = lines.filter_map(|line| Some((route(line)?, line))).max_by_key(|found| found.0.0)?;
    best.1.get(..best.0.1)
}

fn open_files(root: &Root) -> Option<u64> {
    let text = root.text("proc/self/limits").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    if soft == "unlimited" { Some(u64::MAX) } else { soft.parse().ok() }
}

fn controllers(root: &Root) -> Option<Vec<String>> {
    let (unified, old) =
        (root.text("sys/fs/cgroup/cgroup.controllers").ok(), root.text("proc/cgroups").ok());
    let (unified, old) = match (unified, old) {
        (None, None) => return None,
        (unified, old) => (unified.unwrap_or_default(), old.unwrap_or_default()),
    };
    let mut names: Vec<String> = unified.split_whitespace().map(str::to_owned).collect();
    for line in old.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // Name, hierarchy (0 is none), groups, enabled.
        if let [name, hierarchy, _, "1"] = fields[..]
            && hierarchy != "0"
        {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    names.dedup();
    Some(names)
}

fn has_word(root: &Root, file: &str, word: &str) -> Option<bool> {
    let text = root.text(file).ok()?;
    Some(text.split_whitespace().any(|found| found == word))
}

/// The median of some small writes that are made durable, as a commit of the store is.
fn fsync(folder: &Path) -> Option<Duration> {
    let path = folder.join(format!(".doctor-{}", std::process::id()));
    let mut file = File::create_new(&path).ok()?;
    let mut times = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        let begun = Instant::now();
        let done = file.write_all(&[0; 4096]).and_then(|()| file.sync_data());
        if done.is_err() {
            times.clear();
            break;
        }
        times.push(begun.elapsed());
    }
    let _ = fs::remove_file(&path);
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}

fn open_mode(path: &Path) -> Option<(PathBuf, u32)> {
    let mode = fs::metadata(path).ok()?.mode() & 0o7777;
    (mode & 0o077 != 0).then(|| (path.to_path_buf(), mode))
}

fn taken(address: SocketAddr) -> Option<(SocketAddr, String)> {
    TcpListener::bind(address).err().map(|error| (address, error.to_string()))
}

fn is_known(name: &str) -> bool {
    use std::net::ToSocketAddrs;
    (name, 0).to_socket_addrs().is_ok_and(|mut found| found.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_route_leads_to_a_peer() {
        let routes = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n\
            wan0 00000000 0102A8C0 0003 0 0 0 00000000 0 0 0\n\
            eth0 0002A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let check = |peer: [u8; 4], expected| assert_eq!(card(routes, peer.into()), expected);
        if cfg!(target_endian = "little") {
            check([192, 168, 2, 7], Some("eth0"));
            check([10, 0, 0, 1], Some("wan0"));
        }
        assert_eq!(card("", [10, 0, 0, 1].into()), None);
    }
}
