//! The network link of one job, made by messages to the kernel, with no tool of the host.
//!
//! Form: a pair of virtual interfaces, one end on the host, the other (`eth0`) in the job. Every
//! job has a wire of its own, so that none can listen to or impersonate another; all host ends
//! carry the same gateway address, where the appliance's services are. What may pass is decided
//! on the host, in a table of rules that belongs to the job and goes with it.
//! Invariants: a job reaches the named ports of the gateway and the allowed networks; never other
//! jobs, the host's other addresses or ports, link-local or metadata addresses, and nothing
//! reaches the job but answers. IPv6 is not carried.
//! On failure: the name of the step; `remove` may be repeated.

mod cidr;
mod firewall;
mod netlink;
mod route;

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
}

/// The host's end of a job's link, and its rules.
#[derive(Debug)]
pub(crate) struct Link {
    /// Interface and table have one name: at most 15 characters, so a hash of the job's id.
    name: String,
}

impl Link {
    /// The link of a job, which may or may not exist.
    pub(crate) fn named(id: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        Self { name: format!("{PREFIX}{:010x}", hasher.finish() >> 24) }
    }

    /// Makes the link into `namespace`; rules first, so that nothing passes before them.
    pub(crate) fn create(
        id: &str,
        bridge: &Bridge,
        namespace: BorrowedFd<'_>,
    ) -> Result<Self, Error> {
        let allow = cidr::parse_all(&bridge.allow)?;
        let link = Self::named(id);
        let made = firewall::table_make(&link.name, bridge, &allow)
            .map_err(|source| Error::Kernel {
                action: "make the job's network rules",
                hint: " (the kernel needs nf_tables and nf_conntrack, and the supervisor CAP_NET_ADMIN)",
                source,
            })
            .and_then(|()| link.interfaces_make(bridge, namespace).map_err(Error::kernel("make the job's network link")));
        match made {
            Ok(()) => Ok(link),
            Err(error) => {
                let _swept_at_the_next_start = link.remove();
                Err(error)
            }
        }
    }

    fn interfaces_make(&self, bridge: &Bridge, namespace: BorrowedFd<'_>) -> io::Result<()> {
        let mut routes = route::Routes::open()?;
        routes.pair_make(&self.name, INSIDE_NAME, namespace)?;
        // Rules of this table see IPv6 too and drop it; without an address there is less to see.
        let _kernel_without_ipv6 =
            fs::write(format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", self.name), "1");
        let index = routes.index(&self.name)?;
        routes.address_add(index, bridge.gateway)?;
        routes.up(index)?;
        routes.route_add(index, Some(bridge.address), None)
    }

    /// Removes link and rules; what is not there is no error.
    pub(crate) fn remove(&self) -> Result<(), Error> {
        let removed =
            route::Routes::open().and_then(|mut routes| routes.interface_remove(&self.name));
        let removed = removed.map_err(Error::kernel("remove the job's network link"));
        removed.and(
            firewall::table_remove(&self.name)
                .map_err(Error::kernel("remove the job's network rules")),
        )
    }

    /// What the operator should know about this host.
    pub(crate) fn warning(bridge: &Bridge) -> Option<String> {
        let forwards = fs::read_to_string("/proc/sys/net/ipv4/ip_forward")
            .is_ok_and(|text| text.trim() == "1");
        (!bridge.allow.is_empty() && !forwards).then(|| {
            "the job reaches the appliance only: this host does not forward packets; turn it on with sysctl -w net.ipv4.ip_forward=1".to_owned()
        })
    }
}

/// Whether this host has the packet filter that links need, and lets us use it. Removes a table
/// that cannot exist: the kernel's whole way of answering is used, and nothing changes.
pub(crate) fn packet_filter_answers() -> bool {
    firewall::table_remove("apl-none").is_ok()
}

const INSIDE_NAME: &str = "eth0";

/// Configures the job's end; called inside.
pub(crate) fn inside_up(link: &Inside) -> io::Result<()> {
    let mut routes = route::Routes::open()?;
    let index = routes.index(INSIDE_NAME)?;
    routes.address_add(index, link.address)?;
    routes.up(index)?;
    routes.route_add(index, Some(link.gateway), None)?;
    routes.route_add(index, None, Some(link.gateway))
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
