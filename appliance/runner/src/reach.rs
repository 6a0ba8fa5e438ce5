//! What a job reaches over the network, and by which certificates it knows the appliance there.
//!
//! Why two lists: a project says what its jobs need, the operator what any job may have; a job
//! reaches what both name. The appliance's own services are beside that, at the gateway.
//! Invariants: without a gateway, or by the policy `off`, a job has loopback alone and none of the
//! variables told here. Which address a job has is settled by the host's kernel; the runner only
//! proposes.
//! Units: TCP and UDP ports; a prefix counts bits.

use crate::{config::SiteNetwork, environment::Environment, supervisor::wire::Trust};
use base::protocol::NetworkPolicy;
use sandbox::{Bridge, Destination, Network, Root};
use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    net::Ipv4Addr,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

/// Where the job sees the certificates, within [`crate::spin_up::DOOR`].
pub(crate) const TRUST: &str = "ca.pem";

/// Numbers that one runner gives out at a time; the sandboxes of another begin elsewhere.
const STRIDE: u32 = 251;

/// Addresses proposed for one job: a host with that many runners has none left.
const PROPOSALS: u32 = 64;

/// Port of name servers.
const DNS: u16 = 53;

/// Variables by which programs find certificates: OpenSSL, Git, curl, the AWS CLI, Python's
/// requests. The file holds the appliance's authority and those of the job's own root.
const BUNDLE_VARIABLES: [&str; 5] =
    ["SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"];

/// Of Node, which adds the file to what it knows.
const EXTRA_VARIABLE: &str = "NODE_EXTRA_CA_CERTS";

/// The network of the job `number` of the runner whose data is in `data`, and how the log tells it.
pub(crate) fn network(
    policy: &NetworkPolicy,
    site: &SiteNetwork,
    number: u32,
    data: &Path,
) -> (Network, String) {
    let wanted = match policy {
        NetworkPolicy::Off if site.gateway.is_none() => {
            return (Network::Off, "off: this runner gives jobs none".into());
        }
        NetworkPolicy::Off => return (Network::Off, "off, as the project is set".into()),
        NetworkPolicy::Site => None,
        NetworkPolicy::Full { allow } => Some(allow),
    };
    let Some(gateway) = site.gateway else {
        return (
            Network::Off,
            "off: this runner gives jobs no network (setting `job_network`)".into(),
        );
    };
    let (allow, note) = wanted.map_or_else(Default::default, |wanted| allowed(wanted, &site.allow));
    let mut told = String::from("the appliance's services");
    if !allow.is_empty() {
        told = format!("{told} and {}", texts(&allow).join(", "));
    }
    let servers = if allow.is_empty() { Vec::new() } else { site.name_servers.clone() };
    let dns = servers.iter().map(|server| Destination::port_of(*server, DNS));
    let bridge = Bridge {
        gateway,
        addresses: proposals(gateway, site.prefix, number, data),
        services: site.services.clone(),
        allow: texts(&allow.iter().copied().chain(dns).collect::<Vec<_>>()),
        name_servers: servers,
        gateway_names: site.names.clone(),
    };
    (Network::Bridge(bridge), told + &note)
}

fn texts(destinations: &[Destination]) -> Vec<String> {
    destinations.iter().map(Destination::to_string).collect()
}

/// What both the project and the operator allow, and what to say about the rest. A project that
/// names nothing wants all that there is.
fn allowed(project: &[String], operator: &[String]) -> (Vec<Destination>, String) {
    let read = |list: &[String]| -> Vec<Destination> {
        list.iter().filter_map(|text| text.parse().ok()).collect()
    };
    let (wanted, given) = (read(project), read(operator));
    if given.is_empty() {
        return (
            Vec::new(),
            ", because the operator lets jobs reach nothing else (setting `network_allow`)".into(),
        );
    }
    if project.is_empty() {
        return (given, String::new());
    }
    let both = wanted.iter().flat_map(|one| given.iter().filter_map(|other| one.meet(*other)));
    let both: Vec<Destination> = both.collect();
    let cut: Vec<&str> = project
        .iter()
        .filter(|text| {
            let wanted = text.parse::<Destination>().ok();
            wanted.is_none_or(|one| given.iter().all(|other| one.meet(*other) != Some(one)))
        })
        .map(String::as_str)
        .collect();
    let note = match cut.as_slice() {
        [] => String::new(),
        cut => format!(
            "; of {} only what the operator allows (setting `network_allow`)",
            cut.join(", ")
        ),
    };
    (both, note)
}

/// Addresses for a job, best first. Runners of one host that know nothing of each other begin at
/// different places.
fn proposals(gateway: Ipv4Addr, prefix: u8, number: u32, data: &Path) -> Vec<Ipv4Addr> {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    // Neither the gateway, nor the network's own address before it, nor the last of all.
    let count = (1_u32 << (32 - u32::from(prefix.clamp(8, 29)))) - 3;
    let start = u32::try_from(hasher.finish() % u64::from(count)).unwrap_or(0);
    let at = |step: u32| {
        (u64::from(start) + u64::from(number) + u64::from(step) * u64::from(STRIDE))
            % u64::from(count)
    };
    (0..PROPOSALS)
        .map(|step| {
            Ipv4Addr::from_bits(gateway.to_bits() + 1 + u32::try_from(at(step)).unwrap_or(0))
        })
        .collect()
}

/// What the job's environment says of the appliance, beneath everything that an image or a job
/// sets itself.
pub(crate) fn variables(policy: &NetworkPolicy, site: &SiteNetwork) -> Environment {
    if *policy == NetworkPolicy::Off || site.gateway.is_none() {
        return Environment::new();
    }
    let mut env: Environment = site.variables.iter().cloned().collect();
    if site.authority.is_some() {
        let file = format!("{}/{TRUST}", crate::spin_up::DOOR);
        let names = BUNDLE_VARIABLES.into_iter().chain([EXTRA_VARIABLE]);
        env.extend(names.map(|name| (name.to_owned(), file.clone())));
    }
    env
}

/// The certificates of a job with this root, and where they are kept for all jobs like it: written
/// once, because a job should cost no write.
pub(crate) fn trust(
    policy: &NetworkPolicy,
    site: &SiteNetwork,
    root: &Root,
    data: &Path,
) -> Option<Trust> {
    let authority = site.authority.clone().filter(|_| *policy != NetworkPolicy::Off)?;
    let mut hasher = DefaultHasher::new();
    stamp(&authority).hash(&mut hasher);
    match root {
        Root::Layers { lowers } => lowers.hash(&mut hasher),
        Root::Directory { path } => {
            BUNDLES.map(|name| stamp(&path.join(&name[1..]))).hash(&mut hasher)
        }
        Root::Host(_) => BUNDLES.map(|name| stamp(Path::new(name))).hash(&mut hasher),
    }
    let bundle = folder(data).join(format!("{:016x}.pem", hasher.finish()));
    Some(Trust { authority, bundle })
}

/// Where bundles are kept.
pub(crate) fn folder(data: &Path) -> PathBuf {
    data.join("trust")
}

/// Where systems keep the certificates they trust: Debian and Alpine, Red Hat, SUSE, others.
pub(crate) const BUNDLES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Changes when the file does.
fn stamp(path: &Path) -> (PathBuf, Option<(u64, u128)>) {
    let meta = std::fs::metadata(path).ok();
    let stamp = meta.map(|meta| {
        let since = meta.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        (meta.len(), since.unwrap_or_default().as_nanos())
    });
    (path.to_owned(), stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        policy: &NetworkPolicy,
        operator: &[&str],
        expected: Option<(&[&str], usize)>,
        told: &str,
    ) {
        let site = SiteNetwork {
            gateway: Some(Ipv4Addr::new(10, 231, 0, 1)),
            prefix: 16,
            allow: operator.iter().map(|text| (*text).to_owned()).collect(),
            name_servers: vec![Ipv4Addr::new(9, 9, 9, 9)],
            ..SiteNetwork::default()
        };
        let (found, note) = network(policy, &site, 4, Path::new("/data"));
        let found = match found {
            Network::Off => None,
            Network::Bridge(bridge) => Some((bridge.allow, bridge.name_servers.len())),
        };
        let expected = expected.map(|(allow, servers)| {
            (allow.iter().map(|text| (*text).to_owned()).collect(), servers)
        });
        assert_eq!(found, expected, "{policy:?}");
        assert!(note.contains(told), "{note}");
    }

    fn full(allow: &[&str]) -> NetworkPolicy {
        NetworkPolicy::Full { allow: allow.iter().map(|text| (*text).to_owned()).collect() }
    }

    #[test]
    fn a_job_reaches_what_project_and_operator_allow_and_no_more() {
        check(&NetworkPolicy::Off, &["10.0.0.0/8"], None, "off");
        check(&NetworkPolicy::Site, &["10.0.0.0/8"], Some((&[], 0)), "services");
        check(&full(&[]), &[], Some((&[], 0)), "network_allow");
        check(&full(&["10.1.0.0/16"]), &[], Some((&[], 0)), "network_allow");
        let dns = "9.9.9.9/32:53";
        check(&full(&[]), &["10.0.0.0/8"], Some((&["10.0.0.0/8", dns], 1)), "and 10.0.0.0/8");
        let narrow = Some((&["10.1.0.0/16", dns][..], 1));
        check(&full(&["10.1.0.0/16"]), &["10.0.0.0/8"], narrow, "10.1.0.0/16");
        check(&full(&["10.0.0.0/8"]), &["10.1.0.0/16"], narrow, "of 10.0.0.0/8 only");
        check(&full(&["192.168.0.0/16", "fd00::/8"]), &["10.0.0.0/8"], Some((&[], 0)), "fd00::/8");
    }

    #[test]
    fn without_a_gateway_a_job_has_loopback_alone() {
        let (found, note) = network(&full(&[]), &SiteNetwork::default(), 0, Path::new("/data"));
        assert_eq!(found, Network::Off);
        assert!(note.contains("job_network"), "{note}");
        let (_, note) =
            network(&NetworkPolicy::Off, &SiteNetwork::default(), 0, Path::new("/data"));
        assert!(!note.contains("project"), "a run without a server has no project: {note}");
        assert!(variables(&NetworkPolicy::Site, &SiteNetwork::default()).is_empty());
    }

    #[test]
    fn proposals_stay_in_the_network_and_differ_between_runners() {
        let gateway = Ipv4Addr::new(10, 231, 0, 1);
        for prefix in [16, 22] {
            let found = proposals(gateway, prefix, 3, Path::new("/one"));
            let mask = u32::MAX << (32 - u32::from(prefix));
            assert!(
                found.iter().all(|one| one.to_bits() & mask == gateway.to_bits() & mask),
                "{found:?}"
            );
            assert!(
                !found.contains(&gateway) && found.iter().all(|one| one.to_bits() & !mask != !mask)
            );
            assert_ne!(found, proposals(gateway, prefix, 3, Path::new("/other")));
            assert_ne!(found[0], proposals(gateway, prefix, 4, Path::new("/one"))[0]);
        }
    }
}
