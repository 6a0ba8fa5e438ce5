//! What jobs see of this appliance: an address, a name, certificates, variables.
//!
//! Why an address of their own: the services may listen on loopback alone, which no job reaches,
//! and a job should not need to know this machine's addresses.
//! Invariants: the gateway's address stands on the links of jobs alone, and the rules of each link
//! let nobody else in; what listens there is what the operator made listen already, on the same
//! ports.
//! On failure: a port that is taken at the gateway is told, and jobs do not reach that service.

use crate::{
    config::{Config, JobNetwork},
    data_dir::DataDir,
};
use ingress::{Listener, Names};
use runner::SiteNetwork;
use rustls::ServerConfig;
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// What this appliance is called inside jobs, whatever its other names are. The domain is kept
/// for private use by the world's name authority.
const NAME: &str = "appliance.internal";

/// Adds what the certificate must be good for within jobs.
pub(crate) fn name(names: &mut Names, network: Option<&JobNetwork>) {
    let Some(network) = network else { return };
    names.dns.push(NAME.to_owned());
    names.addresses.push(network.gateway.into());
}

/// The same service at the gateway, where `listener` does not stand at every address anyway.
pub(crate) fn beside(
    listener: &Listener,
    network: Option<&JobNetwork>,
    tls: &Arc<ServerConfig>,
) -> Option<Listener> {
    let (network, address) = (network?, listener.address()?);
    let gateway = SocketAddr::new(IpAddr::V4(network.gateway), address.port());
    if address.ip().is_unspecified() || address == gateway {
        return None;
    }
    Listener::bind_ahead(gateway, Some(Arc::clone(tls)))
        .inspect_err(|error| tracing::warn!("jobs will not reach port {}: {error}", address.port()))
        .ok()
}

/// What the runner is told. `main` and `s3` are the ports of both services, `base_url` is where people
/// find the first.
pub(crate) fn site(
    config: &Config,
    data: &DataDir,
    base_url: &str,
    names: Vec<String>,
    main: Option<u16>,
    s3: Option<u16>,
) -> SiteNetwork {
    let Some(network) = &config.job_network else { return SiteNetwork::default() };
    // An operator's own certificate is not issued for a name of ours.
    let (name, authority) = match &config.own_certificate {
        Some((chain, _)) => (names.first().map_or(NAME, String::as_str).to_owned(), chain.clone()),
        None => (NAME.to_owned(), data.join("tls/ca.pem")),
    };
    let address = |variable: &str, port: Option<u16>| {
        port.map(|port| (variable.to_owned(), format!("https://{name}:{port}")))
    };
    SiteNetwork {
        gateway: Some(network.gateway),
        prefix: network.prefix,
        services: main.into_iter().chain(s3).collect(),
        variables: address("APPLIANCE_URL", main)
            .into_iter()
            .chain(address("APPLIANCE_S3_URL", s3))
            .chain(
                main.map(|port| git(base_url, &format!("https://{name}:{port}")))
                    .into_iter()
                    .flatten(),
            )
            .collect(),
        names: names.into_iter().filter(|name| name != "localhost").collect(),
        allow: network.allow.clone(),
        name_servers: network.name_servers.clone(),
        authority: Some(authority),
    }
}

/// What makes Git in a job find the appliance where it is from there, and show it the job's own key,
/// unless an address brings another proof.
fn git(base_url: &str, within: &str) -> [(String, String); 5] {
    const HELPER: &str = "!f() { test \"$1\" = get || exit 0; echo username=job; echo \"password=$APPLIANCE_GIT_KEY\"; }; f";
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    [
        variable("GIT_CONFIG_COUNT", "2"),
        variable("GIT_CONFIG_KEY_0", &format!("url.{within}/git/.insteadOf")),
        variable("GIT_CONFIG_VALUE_0", &format!("{base_url}/git/")),
        variable("GIT_CONFIG_KEY_1", &format!("credential.{within}.helper")),
        variable("GIT_CONFIG_VALUE_1", HELPER),
    ]
}
