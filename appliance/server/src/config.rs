//! The checked configuration of `serve`: typed values, ready to be wired.
//!
//! Invariants: what stands here has been read and is within its range; nothing here touches the
//! system beyond asking for the host name and the number of cores.

mod faults;

use crate::{
    logging::{Filter, NoFilter},
    machine::MachineConfig,
    settings::{Error, Settings},
};
use base::units::Bytes;
use engine::{govern::Law, retention::Keep};
use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    ops::RangeInclusive,
    path::PathBuf,
    time::Duration,
};

/// What `serve` is told.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) s3_listen: Option<SocketAddr>,
    pub(crate) plain_listen: Option<SocketAddr>,
    pub(crate) names: Vec<String>,
    pub(crate) base_url: Option<String>,
    pub(crate) own_certificate: Option<(PathBuf, PathBuf)>,
    pub(crate) drain: Duration,
    pub(crate) keep: Keep,
    pub(crate) slots: u32,
    pub(crate) law: Law,
    pub(crate) hardware_root: PathBuf,
    pub(crate) git: repos::Limits,
    pub(crate) machine_root: PathBuf,
    pub(crate) objects: ObjectsConfig,
    pub(crate) orb_addresses: Vec<orbs::Prefix>,
    /// Names of images and their root file systems.
    pub(crate) machine_images: BTreeMap<String, PathBuf>,
    /// What one job may keep on disk.
    pub(crate) job_disk: Option<Bytes>,
    pub(crate) job_network: Option<JobNetwork>,
    pub(crate) machine: MachineConfig,
    pub(crate) log: Filter,
}

/// Where objects are kept and whom they may tell.
#[derive(Debug, Clone)]
pub(crate) struct ObjectsConfig {
    /// Another object store; `None` is the data directory.
    pub(crate) remote: Option<String>,
    /// The file of its options.
    pub(crate) options: Option<PathBuf>,
    /// Another S3 with the same buckets and keys.
    pub(crate) peer: Option<String>,
    /// The file of its options.
    pub(crate) peer_options: Option<PathBuf>,
    pub(crate) keep_free: Bytes,
    pub(crate) webhook_allow: Vec<String>,
    pub(crate) outward_roots: PathBuf,
}

/// What jobs may reach.
#[derive(Debug, Clone)]
pub(crate) struct JobNetwork {
    /// This machine, as jobs see it: the first address of their network.
    pub(crate) gateway: Ipv4Addr,
    pub(crate) prefix: u8,
    pub(crate) allow: Vec<String>,
    pub(crate) name_servers: Vec<Ipv4Addr>,
}

impl Config {
    /// Reads and checks every value.
    pub(crate) fn build(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            data_dir: absolute(settings, "data_dir")?,
            listen: settings.get("listen")?,
            s3_listen: address_or_off(settings, "s3_listen")?,
            plain_listen: loopback_or_off(settings, "plain_listen")?,
            names: site_names(settings)?,
            base_url: base_url(settings)?,
            own_certificate: own_certificate(settings)?,
            drain: Duration::from_secs(within(settings, "drain_seconds", 0..=600)?),
            keep: keep(settings)?,
            slots: slots(settings)?,
            law: law(settings)?,
            hardware_root: absolute(settings, "hardware_root")?,
            git: git(settings)?,
            machine_root: absolute(settings, "machine_root")?,
            objects: objects(settings)?,
            orb_addresses: orb_addresses(settings)?,
            machine_images: machine_images(settings)?,
            job_disk: Some(Bytes::gib(within(settings, "job_disk_gib", 0..=65536)?))
                .filter(|bound| bound.0 > 0),
            job_network: job_network(settings)?,
            machine: machine(settings)?,
            log: settings.text("log").parse().map_err(|NoFilter| settings.refuse("log"))?,
        })
    }
}

fn machine(settings: &Settings) -> Result<MachineConfig, Error> {
    let (watchdog, ups) = (settings.text("watchdog"), settings.text("ups"));
    Ok(MachineConfig {
        limit: base::units::Celsius(settings.get("thermal_limit")?),
        hooks: absolute(settings, "hooks_dir")?,
        hooks_user: settings.text("hooks_user").to_owned(),
        watchdog: (watchdog != "off").then(|| absolute(settings, "watchdog")).transpose()?,
        ups: (ups != "off").then(|| settings.get("ups")).transpose()?,
    })
}

/// How long things are kept.
fn keep(settings: &Settings) -> Result<Keep, Error> {
    const DAY: u64 = 24 * 3600;
    let days = |key| {
        let days = within(settings, key, 0..=3650)?;
        Ok::<_, Error>((days > 0).then(|| Duration::from_secs(days * DAY)))
    };
    Ok(Keep {
        pipelines: Duration::from_secs(within(settings, "keep_days", 1..=3650)? * DAY),
        artifacts: days("keep_artifact_days")?,
        workspaces: days("keep_workspace_days")?,
        logs: days("keep_log_days")?,
    })
}

fn objects(settings: &Settings) -> Result<ObjectsConfig, Error> {
    let webhook_allow = words(settings.text("webhook_allow"));
    if !webhook_allow.iter().all(|prefix| objects::is_webhook_prefix(prefix)) {
        return Err(settings.refuse("webhook_allow"));
    }
    let place = settings.text("objects_place");
    let schemes = ["s3://", "gs://", "az://"];
    if place != "folder" && !schemes.iter().any(|scheme| place.starts_with(scheme)) {
        return Err(settings.refuse("objects_place"));
    }
    let peer = settings.text("objects_peer");
    if !peer.is_empty() && !is_s3_address(peer) {
        return Err(settings.refuse("objects_peer"));
    }
    let file = |key| (!settings.text(key).is_empty()).then(|| absolute(settings, key)).transpose();
    Ok(ObjectsConfig {
        remote: (place != "folder").then(|| place.to_owned()),
        options: file("objects_options")?,
        peer: (!peer.is_empty()).then(|| peer.to_owned()),
        peer_options: file("objects_peer_options")?,
        keep_free: Bytes::mib(within(settings, "objects_keep_free_mib", 0..=1 << 20)?),
        webhook_allow,
        outward_roots: absolute(settings, "outward_roots")?,
    })
}

/// A host and at most a port, without a path.
fn is_s3_address(text: &str) -> bool {
    let address = text.parse::<http::Uri>().ok();
    address.is_some_and(|address| {
        matches!(address.scheme_str(), Some("https" | "http"))
            && address.authority().is_some_and(|host| !host.as_str().contains('@'))
            && address.path() == "/"
            && address.query().is_none()
    })
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

pub(crate) fn absolute(settings: &Settings, key: &'static str) -> Result<PathBuf, Error> {
    let path: PathBuf = settings.get(key)?;
    if path.is_absolute() { Ok(path) } else { Err(settings.refuse(key)) }
}

fn machine_images(settings: &Settings) -> Result<BTreeMap<String, PathBuf>, Error> {
    let pairs = words(settings.text("machine_images"));
    let read = |pair: &String| {
        let (name, path) = pair.split_once('=')?;
        let path = PathBuf::from(path);
        (!name.is_empty() && path.is_absolute()).then(|| (name.to_owned(), path))
    };
    let images: Option<_> = pairs.iter().map(read).collect();
    images.ok_or_else(|| settings.refuse("machine_images"))
}

/// Fewer bits leave room for the jobs of several runners; more would take other people's networks.
const JOB_NETWORK_BITS: RangeInclusive<u8> = 8..=22;

fn job_network(settings: &Settings) -> Result<Option<JobNetwork>, Error> {
    let allow = words(settings.text("network_allow"));
    if allow.iter().any(|text| text.parse::<runner::Destination>().is_err()) {
        return Err(settings.refuse("network_allow"));
    }
    let servers = words(settings.text("name_servers"));
    let servers: Option<_> = servers.iter().map(|text| name_server(text)).collect();
    let name_servers = servers.ok_or_else(|| settings.refuse("name_servers"))?;
    let text = settings.text("job_network");
    if text == "off" {
        return Ok(None);
    }
    let (gateway, prefix) = network(text).ok_or_else(|| settings.refuse("job_network"))?;
    Ok(Some(JobNetwork { gateway, prefix, allow, name_servers }))
}

/// An address that jobs can reach: their loopback is their own.
fn name_server(text: &str) -> Option<Ipv4Addr> {
    let address = text.parse::<Ipv4Addr>().ok()?;
    let is_host = !address.is_loopback() && !address.is_unspecified() && !address.is_multicast();
    (is_host && !address.is_broadcast()).then_some(address)
}

/// The first address of a network, and its bits.
fn network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    let prefix = prefix.parse().ok().filter(|prefix| JOB_NETWORK_BITS.contains(prefix))?;
    let mask = u32::MAX << (32 - u32::from(prefix));
    let address = address.parse::<Ipv4Addr>().ok()?.to_bits();
    // Bits beyond the network's mean that somebody thought of another one.
    if address & !mask != 0 {
        return None;
    }
    Some((Ipv4Addr::from_bits(address + 1), prefix))
}

fn within(
    settings: &Settings,
    key: &'static str,
    range: RangeInclusive<u64>,
) -> Result<u64, Error> {
    let value = settings.get(key)?;
    if range.contains(&value) { Ok(value) } else { Err(settings.refuse(key)) }
}

fn address_or_off(settings: &Settings, key: &'static str) -> Result<Option<SocketAddr>, Error> {
    match settings.text(key) {
        "off" => Ok(None),
        _ => settings.get(key).map(Some),
    }
}

/// Without encryption nothing may leave the machine.
fn loopback_or_off(settings: &Settings, key: &'static str) -> Result<Option<SocketAddr>, Error> {
    match address_or_off(settings, key)? {
        Some(address) if !address.ip().is_loopback() => Err(settings.refuse(key)),
        other => Ok(other),
    }
}

fn base_url(settings: &Settings) -> Result<Option<String>, Error> {
    match settings.text("base_url").trim_end_matches('/') {
        "" => Ok(None),
        url if url.strip_prefix("https://").is_some_and(is_authority) => Ok(Some(url.to_owned())),
        _ => Err(settings.refuse("base_url")),
    }
}

/// A host, and perhaps a port; no user, path or question.
fn is_authority(text: &str) -> bool {
    text.parse::<http::uri::Authority>()
        .is_ok_and(|authority| !authority.host().is_empty() && !authority.as_str().contains('@'))
}

/// What a certificate can be issued for.
fn site_names(settings: &Settings) -> Result<Vec<String>, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_name = |name: &str| name.strip_prefix("*.").unwrap_or(name).chars().all(plain);
    let names = words(settings.text("names"));
    match names.iter().all(|name| name.parse::<std::net::IpAddr>().is_ok() || is_name(name)) {
        true => Ok(names),
        false => Err(settings.refuse("names")),
    }
}

fn own_certificate(settings: &Settings) -> Result<Option<(PathBuf, PathBuf)>, Error> {
    match (settings.text("tls_certificate"), settings.text("tls_key")) {
        ("", "") => Ok(None),
        (_, "") => Err(settings.refuse("tls_key")),
        ("", _) => Err(settings.refuse("tls_certificate")),
        (chain, key) => Ok(Some((chain.into(), key.into()))),
    }
}

pub(crate) fn orb_addresses(settings: &Settings) -> Result<Vec<orbs::Prefix>, Error> {
    let prefixes = words(settings.text("orb_addresses"));
    let read: Result<_, _> = prefixes.iter().map(|prefix| prefix.parse()).collect();
    read.map_err(|_: orbs::Error| settings.refuse("orb_addresses"))
}

/// One and a half jobs for each core, as the replaced system's worker pool, at least two.
fn slots(settings: &Settings) -> Result<u32, Error> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match within(settings, "slots", 0..=256)? {
        0 => Ok(u32::try_from(cores + cores / 2).unwrap_or(256).max(2)),
        given => Ok(u32::try_from(given).unwrap_or(256)),
    }
}

/// How warm, busy and hungry for power the machine may be.
fn law(settings: &Settings) -> Result<Law, Error> {
    let number = |key, range| {
        let value = within(settings, key, range)?;
        Ok::<f64, Error>(f64::from(u32::try_from(value).unwrap_or(u32::MAX)))
    };
    let watts = number("watts_max", 0..=100_000)?;
    let mut law = Law::new(slots(settings)?);
    law.limit = number("thermal_limit", 40..=110)?;
    law.cpu_target = number("cpu_target", 10..=100)? / 100.0;
    law.watts_max = (watts > 0.0).then_some(watts);
    Ok(law)
}

/// What one push may bring; the other bounds are fixed.
fn git(settings: &Settings) -> Result<repos::Limits, Error> {
    let objects = within(settings, "git_pack_objects", 1..=100_000_000)?;
    Ok(repos::Limits {
        pack: Bytes::mib(within(settings, "git_pack_mib", 1..=1 << 20)?),
        objects: u32::try_from(objects).unwrap_or(u32::MAX),
        ..repos::Limits::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &'static str, value: &str, accepted: bool) {
        let settings = Settings::merge(None, |_| None, &[(key, Some(value.into()))]).unwrap();
        assert_eq!(Config::build(&settings).is_ok(), accepted, "{key} = {value}");
    }

    #[test]
    fn the_gateway_is_the_first_address_of_the_network() {
        assert_eq!(network("10.231.0.0/16"), Some((Ipv4Addr::new(10, 231, 0, 1), 16)));
    }

    #[test]
    fn values_out_of_range_are_refused() {
        check("listen", "0.0.0.0:8443", true);
        check("listen", "8443", false);
        check("s3_listen", "off", true);
        check("plain_listen", "127.0.0.1:8080", true);
        check("plain_listen", "0.0.0.0:8080", false);
        check("data_dir", "data", false);
        check("drain_seconds", "601", false);
        check("slots", "257", false);
        check("thermal_limit", "39", false);
        check("cpu_target", "0", false);
        check("watts_max", "many", false);
        check("hardware_root", "tree", false);
        check("keep_days", "0", false);
        check("ups", "rack@10.0.0.1", true);
        check("ups", "a b", false);
        check("ups", "ups@host:99999", false);
        check("watchdog", "watchdog", false);
        check("base_url", "ftp://x", false);
        check("base_url", "https://box.site:8443/", true);
        check("base_url", "https://[fd00::1]", true);
        check("base_url", "https://user:word@box", false);
        check("base_url", "https://box/path", false);
        check("names", "box.site *.box.site fd00::1", true);
        check("names", "http://box", false);
        check("job_network", "off", true);
        check("job_network", "10.0.0.0/24", false);
        check("job_network", "10.0.0.0", false);
        check("job_network", "10.0.0.0/16", true);
        check("job_network", "10.231.1.0/16", false);
        check("network_allow", "10.0.0.0/8 192.168.1.7:443", true);
        check("network_allow", "everything", false);
        check("name_servers", "10.0.0.53", true);
        check("name_servers", "dns.site", false);
        check("name_servers", "10.0.0.53 127.0.0.1", false);
        check("name_servers", "0.0.0.0", false);
        check("machine_images", "ubuntu-2204:current=/srv/jammy", true);
        check("machine_images", "ubuntu-2204:current=jammy", false);
        check("job_disk_gib", "65537", false);
        check("orb_addresses", "https://a/ https://b/orbs/", true);
        check("orb_addresses", "http://10.0.0.7:8080/", true);
        check("orb_addresses", "a", false);
        check("orb_addresses", "https://a/../b", false);
        check("keep_log_days", "3651", false);
        check("objects_place", "s3://b/p", true);
        check("objects_place", "b", false);
        check("objects_options", "options", false);
        check("objects_peer", "https://hub.site:8443", true);
        check("objects_peer", "http://10.0.0.7:9000/", true);
        check("objects_peer", "s3://bucket", false);
        check("objects_peer", "https://key:word@hub.site", false);
        check("objects_peer", "https://hub.site/s3", false);
        check("objects_peer_options", "options", false);
        check("objects_keep_free_mib", "-1", false);
        check("webhook_allow", "https://hooks.example/s3/ http://10.0.0.7:80/", true);
        check("webhook_allow", "https://hooks.example", false);
        check("tls_key", "/k", false);
    }
}
