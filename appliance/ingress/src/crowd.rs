//! How many connections each peer holds.
//!
//! Why: connections are few, and one peer must not hold them all. Peers of one machine are not told
//! apart, and share its memory anyway: loopback is not counted.
//! Invariants: a peer is an address of IPv4 or a network of IPv6 of 64 bits, which one machine may
//! have to itself.

use crate::limits::CONNECTIONS_OF_ONE;
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Of one listener.
#[derive(Clone, Default)]
pub(crate) struct Crowd(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place in the crowd, until it is dropped.
pub(crate) struct Place {
    crowd: Crowd,
    peer: Option<IpAddr>,
}

impl Crowd {
    /// `None` when this peer holds as many as one may.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
        let peer = peer(address);
        let crowd = self.clone();
        if peer.is_loopback() {
            return Some(Place { crowd, peer: None });
        }
        let mut counts = self.counts();
        let count = counts.entry(peer).or_default();
        (*count < CONNECTIONS_OF_ONE).then(|| {
            *count += 1;
            Place { crowd, peer: Some(peer) }
        })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(peer) = self.peer else { return };
        let mut counts = self.crowd.counts();
        if let Some(count) = counts.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&peer);
            }
        }
    }
}

fn peer(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64))
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these two alternating addresses are let in.
    fn check(addresses: [&str; 2], expected: usize) {
        let crowd = Crowd::default();
        let wanted = addresses.iter().cycle().take(CONNECTIONS_OF_ONE * 3);
        let places: Vec<Place> =
            wanted.filter_map(|address| crowd.enter(address.parse().unwrap())).collect();
        assert_eq!(places.len(), expected, "{addresses:?}");
        drop(places);
        assert!(crowd.counts().is_empty(), "{addresses:?}");
    }

    #[test]
    fn one_peer_does_not_hold_all() {
        check(["192.0.2.1", "192.0.2.1"], CONNECTIONS_OF_ONE);
        check(["192.0.2.1", "192.0.2.2"], CONNECTIONS_OF_ONE * 2);
        check(["192.0.2.1", "::ffff:192.0.2.1"], CONNECTIONS_OF_ONE);
        check(["2001:db8:0:1::1", "2001:db8:0:1:ffff::2"], CONNECTIONS_OF_ONE);
        check(["2001:db8:0:1::1", "2001:db8:0:2::1"], CONNECTIONS_OF_ONE * 2);
        check(["127.0.0.1", "::1"], CONNECTIONS_OF_ONE * 3);
    }
}
