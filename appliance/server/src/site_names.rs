//! What this machine is called: in its certificate, in links, and by S3 clients.
//!
//! Invariants: every name that is told to anybody stands in the certificate that the built-in
//! authority issues.

use crate::{config::Config, job_network};
use ingress::Names;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The hosts under which S3 answers on the port of the other faces.
pub(crate) fn s3_domains(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !name.contains('*')).map(|name| format!("s3.{name}")).collect()
}

/// The configured names, the host's own, loopback, and what jobs say.
pub(crate) fn names(config: &Config) -> Names {
    let mut names = Names { dns: Vec::new(), addresses: Vec::new() };
    for name in &config.names {
        match name.parse() {
            Ok(address) => names.addresses.push(address),
            Err(_) => names.dns.push(name.clone()),
        }
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    names.dns.extend([host, "localhost".to_owned()].into_iter().filter(|name| !name.is_empty()));
    names.addresses.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    if !config.listen.ip().is_unspecified() && !names.addresses.contains(&config.listen.ip()) {
        names.addresses.push(config.listen.ip());
    }
    job_network::name(&mut names, config.job_network.as_ref());
    names
}

pub(crate) fn base_url(config: &Config, address: Option<SocketAddr>) -> String {
    if let Some(url) = &config.base_url {
        return url.clone();
    }
    let port = address.map_or(config.listen.port(), |address| address.port());
    let host = if config.listen.ip().is_loopback() {
        SocketAddr::new(config.listen.ip(), port).to_string()
    } else {
        let names = names(config);
        format!("{}:{port}", names.dns.first().map_or("localhost", String::as_str))
    };
    format!("https://{}", host.strip_suffix(":443").unwrap_or(&host))
}
