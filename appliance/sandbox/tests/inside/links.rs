//! What a job reaches over its link.

use crate::support::{LIMIT, Place, create, exec, run, text, until};
use sandbox::{Bridge, Network, User};
use std::{
    fs,
    net::{Ipv4Addr, TcpListener},
};

pub(super) fn a_link_reaches_what_it_may(place: &mut Place) {
    let gateway = Ipv4Addr::new(10, 231, 0, 1);
    let open = TcpListener::bind("0.0.0.0:0").expect("a port");
    let closed = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = |listener: &TcpListener| listener.local_addr().expect("an address").port();
    let link = |number: u8, allow: &[&str]| {
        Network::Bridge(Bridge {
            gateway,
            address: Ipv4Addr::new(10, 231, 7, number),
            services: vec![port(&open)],
            allow: allow.iter().map(|text| (*text).to_owned()).collect(),
            name_servers: vec![Ipv4Addr::new(10, 1, 1, 1)],
            gateway_names: vec!["appliance.internal".into()],
        })
    };
    let (mut one, mut other) = (place.spec(), place.spec());
    (one.network, other.network) = (link(1, &["10.0.0.0/8"]), link(2, &[]));
    let (mut one, mut other) = (create(&one), create(&other));
    let serve = "perl -MIO::Socket::INET -e 'my $l = IO::Socket::INET->new(Listen => 5, LocalPort => 4000) or die; $| = 1; print \"up\"; sleep 1000'";
    let output = tempfile::tempfile().expect("a file");
    other.spawn(exec("bash", &["-c", serve], User::default(), &output)).expect("started");
    until("the neighbour listens", || text(&output).contains("up"));
    let mut check = |address: &str, port: u16, reached: bool| {
        let ran =
            run(&mut one, &format!("timeout 1 bash -c 'exec 3<>/dev/tcp/{address}/{port}'"), LIMIT);
        assert_eq!(ran.held(), reached, "{address}:{port} {ran:?}");
    };
    check("appliance.internal", port(&open), true);
    check("10.231.0.1", port(&closed), false);
    check("10.231.7.2", 4000, false);
    check("127.0.0.1", port(&open), false);
    assert!(run(&mut one, "grep -q 'nameserver 10.1.1.1' /etc/resolv.conf", LIMIT).held());
    assert!(
        one.warnings().iter().any(|warning| warning.contains("ip_forward")) || forwards(),
        "{:?}",
        one.warnings()
    );
    let links = || fs::read_to_string("/proc/net/dev").expect("interfaces").matches("apl-").count();
    assert_eq!(links(), 2);
    one.destroy().expect("removed");
    other.destroy().expect("removed");
    assert_eq!(links(), 0, "links go with their jobs");
}

fn forwards() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}
