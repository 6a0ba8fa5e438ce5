//! Interfaces, addresses and routes. Source: rtnetlink(7), `linux/if_link.h`, `linux/veth.h`.

use super::netlink::{ACK, Batch, CREATE, EXCLUSIVE, REPLACE, Socket};
use std::{
    io,
    net::Ipv4Addr,
    os::fd::{AsRawFd, BorrowedFd},
};

const LINK_NEW: u16 = 16;
const LINK_REMOVE: u16 = 17;
const ADDRESS_NEW: u16 = 20;
const ROUTE_NEW: u16 = 24;

const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;

const IPV4: u8 = 2;
const IPV6: u16 = 10;
const GENERATE_NO_ADDRESS: u8 = 1;
const UP: u32 = 1;
const TABLE_MAIN: u8 = 254;
const BY_BOOT: u8 = 3;
const SCOPE_UNIVERSE: u8 = 0;
const SCOPE_LINK: u8 = 253;
const UNICAST: u8 = 1;

/// A network: its address, and how many bits of it count.
pub(super) type Network = (Ipv4Addr, u8);

/// The routing part of the kernel, for the network namespace of this process.
pub(super) struct Routes(Socket);

impl Routes {
    pub(super) fn open() -> io::Result<Self> {
        Ok(Self(Socket::open(None)?))
    }

    /// Makes a pair of interfaces, one of them in `namespace`.
    pub(super) fn pair_make(
        &mut self,
        name: &str,
        inside: &str,
        namespace: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.message(LINK_NEW, ACK | CREATE | EXCLUSIVE, &link(0, 0)).text(IFLA_IFNAME, name);
        batch.nested(IFLA_LINKINFO, |info| {
            info.text(IFLA_INFO_KIND, "veth").nested(IFLA_INFO_DATA, |data| {
                data.nested(VETH_INFO_PEER, |peer| {
                    peer.raw(&link(0, 0)).text(IFLA_IFNAME, inside);
                    peer.attribute(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
                });
            });
        });
        self.0.send(batch)
    }

    /// The kernel's number of an interface.
    pub(super) fn index(&self, name: &str) -> io::Result<u32> {
        let family = rustix::net::AddressFamily::INET;
        let socket = rustix::net::socket(family, rustix::net::SocketType::DGRAM, None)?;
        Ok(rustix::net::netdevice::name_to_index(&socket, name)?)
    }

    pub(super) fn address_add(&mut self, index: u32, address: Ipv4Addr) -> io::Result<()> {
        let mut batch = Batch::default();
        let body = [&[IPV4, 32, 0, SCOPE_UNIVERSE][..], &index.to_ne_bytes()].concat();
        batch.message(ADDRESS_NEW, ACK | CREATE | REPLACE, &body);
        batch.attribute(IFA_LOCAL, &address.octets()).attribute(IFA_ADDRESS, &address.octets());
        self.0.send(batch)
    }

    /// Keeps the kernel from giving the interface an IPv6 address when it comes up. A kernel without
    /// IPv6 gives none.
    pub(super) fn ipv6_address_refuse(&mut self, index: u32) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.message(LINK_NEW, ACK, &link(index, 0)).nested(IFLA_AF_SPEC, |families| {
            families.nested(IPV6, |family| {
                family.attribute(IFLA_INET6_ADDR_GEN_MODE, &[GENERATE_NO_ADDRESS]);
            });
        });
        match self.0.send(batch) {
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => Ok(()),
            result => result,
        }
    }

    pub(super) fn up(&mut self, index: u32) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.message(LINK_NEW, ACK, &link(index, UP));
        self.0.send(batch)
    }

    /// A route, straight on the link or through a gateway; one that is there is replaced.
    pub(super) fn route_add(
        &mut self,
        index: u32,
        to: Network,
        through: Option<Ipv4Addr>,
    ) -> io::Result<()> {
        self.route(index, REPLACE, to, through)
    }

    /// A route to one address on the link; refused when any link has one already.
    pub(super) fn route_claim(&mut self, index: u32, to: Ipv4Addr) -> io::Result<()> {
        self.route(index, EXCLUSIVE, (to, 32), None)
    }

    fn route(
        &mut self,
        index: u32,
        how: u16,
        (to, length): Network,
        through: Option<Ipv4Addr>,
    ) -> io::Result<()> {
        let scope = if through.is_some() { SCOPE_UNIVERSE } else { SCOPE_LINK };
        let mut batch = Batch::default();
        let body = [IPV4, length, 0, 0, TABLE_MAIN, BY_BOOT, scope, UNICAST, 0, 0, 0, 0];
        batch
            .message(ROUTE_NEW, ACK | CREATE | how, &body)
            .attribute(RTA_OIF, &index.to_ne_bytes());
        if length > 0 {
            batch.attribute(RTA_DST, &to.octets());
        }
        if let Some(through) = through {
            batch.attribute(RTA_GATEWAY, &through.octets());
        }
        self.0.send(batch)
    }

    /// Removes an interface and its other end; one that is not there is no error.
    pub(super) fn interface_remove(&mut self, name: &str) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.message(LINK_REMOVE, ACK, &link(0, 0)).text(IFLA_IFNAME, name);
        match self.0.send(batch) {
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            result => result,
        }
    }
}

/// `ifinfomsg`: family, kind, number, flags, which flags change.
fn link(index: u32, flags: u32) -> Vec<u8> {
    [&[0; 4][..], &index.to_ne_bytes(), &flags.to_ne_bytes(), &flags.to_ne_bytes()].concat()
}
