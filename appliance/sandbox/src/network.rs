//! The network link of one job, made by messages to the kernel, with no tool of the host.
//!
//! Form: a pair of virtual interfaces, one end on the host, the other (`eth0`) in the job. Every
//! job has a wire of its own, so that none can listen to or impersonate another; all host ends
//! carry the same gateway address, where the appliance's services are. What may pass is decided
//! on the host, in a table of rules that belongs to the job.
//! Why rules outlive their link until [`sweep_links`]: the kernel frees rules only after every
//! processor has passed a quiet moment, and holds up whoever changes rules meanwhile. With one removal
//! for each job, jobs that follow each other closely waited for little else. Rules without a link let
//! nothing through: each names the link, drops what every job's rules drop, or only rewrites the
//! source of what another table has let pass.
//! Invariants: a job reaches the named ports of the gateway and the allowed networks; never other
//! jobs, the host's other addresses or ports, link-local or metadata addresses, and nothing
//! reaches the job but answers. What is closed fails at once. IPv6 is not carried. No two jobs of
//! a host have one address, whoever runs them: the kernel's table of routes is the register.
//! On failure: the name of the step; `remove` and the sweep may be repeated.

mod cidr;
mod firewall;
mod netlink;
mod route;
mod rules;

pub use cidr::{Destination, NoDestination};

use crate::{Error, spec::Bridge};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io,
    net::Ipv4Addr,
    os::fd::BorrowedFd,
};

/// How the host's ends of all jobs begin; rules between jobs match it.
const PREFIX: &str = "apl-";

/// What init configures on its end of the link.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Inside {
    pub(crate) address: Ipv4Addr,
    pub(crate) gateway: Ipv4Addr,
    /// Networks beyond the gateway, with the length of their prefix. What has no route fails at
    /// once.
    pub(crate) networks: Vec<(Ipv4Addr, u8)>,
}

/// The host's end of a job's link, and its rules.
#[derive(Debug)]
pub(crate) struct Link {
    /// Interface and table have one name: at most 15 characters, so a hash of the job's id.
    name: String,
}

const RULES_HINT: &str =
    " (the kernel needs nf_tables and nf_conntrack, and the supervisor CAP_NET_ADMIN)";

impl Link {
    /// The link of a job, which may or may not exist.
    pub(crate) fn named(id: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        Self { name: format!("{PREFIX}{:010x}", hasher.finish() >> 24) }
    }

    /// Makes the link into `namespace`. The job's end is down until init is told what stands
    /// here, so that nothing passes before the rules.
    pub(crate) fn create(
        id: &str,
        bridge: &Bridge,
        namespace: BorrowedFd<'_>,
    ) -> Result<(Self, Inside), Error> {
        let allow = cidr::parse_all(&bridge.allow)?;
        let link = Self::named(id);
        match link.make(bridge, &allow, namespace) {
            Ok(inside) => Ok((link, inside)),
            Err(error) => {
                let _swept_at_the_next_start = link.remove();
                Err(error)
            }
        }
    }

    fn make(
        &self,
        bridge: &Bridge,
        allow: &[Destination],
        namespace: BorrowedFd<'_>,
    ) -> Result<Inside, Error> {
        let address = self
            .interfaces_make(bridge, namespace)
            .map_err(Error::kernel("make the job's network link"))?;
        firewall::table_make(&self.name, bridge, address, allow).map_err(|source| {
            Error::Kernel { action: "make the job's network rules", hint: RULES_HINT, source }
        })?;
        // Where nothing is forwarded a route would only make the job wait for an answer.
        let networks = allow.iter().filter(|_| forwards()).map(|destination| destination.network());
        Ok(Inside { address, gateway: bridge.gateway, networks: networks.collect() })
    }

    /// Returns the address that the job has.
    fn interfaces_make(&self, bridge: &Bridge, namespace: BorrowedFd<'_>) -> io::Result<Ipv4Addr> {
        let mut routes = route::Routes::open()?;
        routes.pair_make(&self.name, INSIDE_NAME, namespace)?;
        let index = routes.index(&self.name)?;
        // Rules of this table drop IPv6; without an address there is less to see. Not by the switch
        // `disable_ipv6`: the kernel repeats a write to it, busy, for as long as anybody else changes
        // interfaces, and where jobs follow each other closely that was a fifth of their cost.
        routes.ipv6_address_refuse(index)?;
        routes.address_add(index, bridge.gateway)?;
        routes.up(index)?;
        for address in &bridge.addresses {
            match routes.route_claim(index, *address) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                claimed => return claimed.map(|()| *address),
            }
        }
        Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "every address that the job may have is taken on this host",
        ))
    }

    /// Removes the link, not its rules; one that is not there is no error.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let removed =
            route::Routes::open().and_then(|mut routes| routes.interface_remove(&self.name));
        removed.map_err(Error::kernel("remove the job's network link"))
    }

    /// What the operator should know about this host.
    pub(crate) fn warning(bridge: &Bridge) -> Option<String> {
        (!bridge.allow.is_empty() && !forwards()).then(|| {
            "the job reaches the appliance only: this host does not forward packets; turn it on with sysctl -w net.ipv4.ip_forward=1".to_owned()
        })
    }
}

const FORWARD_SWITCH: &str = "/proc/sys/net/ipv4/ip_forward";

fn forwards() -> bool {
    fs::read_to_string(FORWARD_SWITCH).is_ok_and(|text| text.trim() == "1")
}

/// Makes this host forward packets, for jobs alone: where forwarding was off, a table of rules
/// keeps everything else from passing. Where it was on it is the operator's, and nothing changes.
/// Returns whether anything was changed.
///
/// # Errors
/// When the kernel refuses, as within a container; jobs then reach the appliance only.
pub fn forwarding_enable() -> Result<bool, Error> {
    if forwards() {
        return Ok(false);
    }
    let guarded = firewall::guard_make().map_err(|source| Error::Kernel {
        action: "make the rules of a host that forwards for jobs alone",
        hint: RULES_HINT,
        source,
    });
    guarded.and_then(|()| {
        fs::write(FORWARD_SWITCH, "1").map_err(Error::path("turn on forwarding by", FORWARD_SWITCH))
    })?;
    Ok(true)
}

/// Removes the rules of jobs whose link is gone, whoever made them, all in one change; to be called at
/// start, and now and then. Links themselves end with their jobs. Returns how many there were.
///
/// # Errors
/// When the kernel cannot be asked; nothing is removed then.
pub fn sweep_links() -> Result<usize, Error> {
    let refused = Error::kernel("look for rules of jobs that are gone");
    let tables = firewall::tables().map_err(refused)?;
    let names = without_link(tables).map_err(Error::kernel("look for links of jobs"))?;
    match firewall::tables_remove(&names) {
        // Another runner of this host sweeps, too.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        removed => removed
            .map(|()| names.len())
            .map_err(Error::kernel("remove rules of jobs that are gone")),
    }
}

/// Those of `names` that no link has. A link is made before its rules, so that rules without a link
/// are never of a job to come. Only the kernel's own word counts: whatever else keeps us from asking
/// says nothing about a link, and rules that go too early leave a living job unguarded.
fn without_link(mut names: Vec<String>) -> io::Result<Vec<String>> {
    let routes = route::Routes::open()?;
    let mut unasked = None;
    names.retain(|name| match routes.index(name) {
        Ok(_) => false,
        Err(error) if error.raw_os_error() == Some(libc::ENODEV) => true,
        Err(error) => {
            unasked = Some(error);
            false
        }
    });
    unasked.map_or(Ok(names), Err)
}

/// Whether this host has the packet filter that links need, and lets us use it. Removes a table
/// that cannot exist: the kernel's whole way of answering is used, and nothing changes.
pub(crate) fn packet_filter_answers() -> bool {
    match firewall::tables_remove(&["apl-none".to_owned()]) {
        Err(error) => error.kind() == io::ErrorKind::NotFound,
        Ok(()) => true,
    }
}

const INSIDE_NAME: &str = "eth0";

/// Configures the job's end; called inside.
pub(crate) fn inside_up(link: &Inside) -> io::Result<()> {
    let mut routes = route::Routes::open()?;
    let index = routes.index(INSIDE_NAME)?;
    // Nothing answers there, and the kernel would look for neighbours on its own account.
    routes.ipv6_address_refuse(index)?;
    routes.address_add(index, link.address)?;
    routes.up(index)?;
    routes.route_add(index, (link.gateway, 32), None)?;
    link.networks
        .iter()
        .try_for_each(|network| routes.route_add(index, *network, Some(link.gateway)))
}

#[cfg(test)]
mod tests {
    use super::Link;

    #[test]
    fn interface_names_fit_and_differ() {
        let (one, other) = (Link::named("job-1").name, Link::named("job-2").name);
        assert!(one.len() <= 15 && one.starts_with("apl-"), "{one}");
        assert_ne!(one, other);
    }
}
