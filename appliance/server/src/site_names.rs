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

/// The first name that is configured, the address that is listened on, or the host's own name.
fn host(config: &Config) -> String {
    let listen = config.listen.ip();
    let own = || names(config).dns.first().cloned().unwrap_or_else(|| "localhost".into());
    match config.names.iter().find(|name| !name.contains('*')) {
        Some(name) => name.parse().map_or_else(|_| name.clone(), in_url),
        None if listen.is_unspecified() => own(),
        None => in_url(listen),
    }
}

/// An address of IPv6 stands in brackets (RFC 3986 section 3.2.2).
fn in_url(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

pub(crate) fn base_url(config: &Config, address: Option<SocketAddr>) -> String {
    if let Some(url) = &config.base_url {
        return url.clone();
    }
    let port = address.map_or(config.listen.port(), |address| address.port());
    let host = if config.listen.ip().is_loopback() {
        SocketAddr::new(config.listen.ip(), port).to_string()
    } else {
        format!("{}:{port}", host(config))
    };
    format!("https://{}", host.strip_suffix(":443").unwrap_or(&host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn check(listen: &str, named: &str, expected: &str) {
        let given = [("listen", Some(listen.to_owned())), ("names", Some(named.to_owned()))];
        let settings = Settings::merge(None, |_| None, &given).unwrap();
        let config = Config::build(&settings).unwrap();
        assert_eq!(base_url(&config, None), expected, "{listen} {named}");
    }

    #[test]
    fn links_name_what_was_configured_or_listened_on() {
        check("0.0.0.0:8443", "box.site 192.0.2.7", "https://box.site:8443");
        check("0.0.0.0:443", "192.0.2.7 box.site", "https://192.0.2.7");
        check("[::]:8443", "fd00::7", "https://[fd00::7]:8443");
        check("0.0.0.0:8443", "*.box.site box.site", "https://box.site:8443");
        check("192.0.2.7:8443", "", "https://192.0.2.7:8443");
        check("127.0.0.1:8443", "box.site", "https://127.0.0.1:8443");
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        check("0.0.0.0:8443", "", &format!("https://{host}:8443"));
    }
}
