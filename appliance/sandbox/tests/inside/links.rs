//! What a job reaches over its link.

use crate::support::{LIMIT, Place, create, exec, run, text, until};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sandbox::{Bridge, Network, Sandbox, User};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 231, 0, 1);

/// A refusal is told, not waited for; a busy machine takes its time to start a shell.
const REFUSAL_LIMIT: Duration = Duration::from_secs(5);

fn link(first: u8, services: &[&TcpListener], allow: &[&str]) -> Network {
    Network::Bridge(Bridge {
        gateway: GATEWAY,
        addresses: (first..9).map(|last| Ipv4Addr::new(10, 231, 7, last)).collect(),
        services: services.iter().map(|listener| port(listener)).collect(),
        allow: allow.iter().map(|text| (*text).to_owned()).collect(),
        name_servers: vec![Ipv4Addr::new(10, 1, 1, 1)],
        gateway_names: vec!["appliance.internal".into()],
    })
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("an address").port()
}

fn check(job: &mut Sandbox, address: &str, port: u16, reached: bool) {
    let begun = Instant::now();
    let ran = run(job, &format!("exec 3<>/dev/tcp/{address}/{port}"), LIMIT);
    assert_eq!(ran.held(), reached, "{address}:{port} {ran:?}");
    assert!(begun.elapsed() < REFUSAL_LIMIT, "{address}:{port} took {:?}", begun.elapsed());
}

fn links() -> usize {
    fs::read_to_string("/proc/net/dev").expect("interfaces").matches("apl-").count()
}

pub(super) fn a_link_reaches_what_it_may(place: &mut Place) {
    let open = TcpListener::bind("0.0.0.0:0").expect("a port");
    let closed = TcpListener::bind("0.0.0.0:0").expect("a port");
    let (mut one, mut other) = (place.spec(), place.spec());
    (one.network, other.network) =
        (link(1, &[&open], &["10.0.0.0/8", "169.254.0.0/16"]), link(2, &[&open], &[]));
    let (mut one, mut other) = (create(&one), create(&other));
    let serve = "perl -MIO::Socket::INET -e 'my $l = IO::Socket::INET->new(Listen => 5, LocalPort => 4000) or die; $| = 1; print \"up\"; sleep 1000'";
    let output = tempfile::tempfile().expect("a file");
    other.spawn(exec("bash", &["-c", serve], User::default(), &output)).expect("started");
    until("the neighbour listens", || text(&output).contains("up"));
    for (address, port, reached) in [
        ("appliance.internal", port(&open), true),
        ("10.231.0.1", port(&closed), false),
        ("10.231.7.2", 4000, false),
        ("10.231.7.2", port(&open), false),
        ("127.0.0.1", port(&open), false),
        ("169.254.169.254", 80, false),
        ("192.0.2.1", 80, false),
    ] {
        check(&mut one, address, port, reached);
    }
    assert!(run(&mut one, "grep -q 'nameserver 10.1.1.1' /etc/resolv.conf", LIMIT).held());
    assert!(one.warnings().iter().any(|warning| warning.contains("ip_forward")) || forwards());
    assert_eq!(links(), 2);
    let ipv6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    assert!(!ipv6.contains("apl-"), "the host's ends have no address there: {ipv6}");
    assert!(run(&mut one, "! grep -q eth0 /proc/net/if_inet6", LIMIT).held(), "nor have the jobs'");
    one.destroy().expect("removed");
    assert_eq!(sandbox::sweep_links().expect("asked"), 1, "the rules of the one that is gone");
    check(&mut other, "10.231.0.1", port(&closed), false);
    check(&mut other, "10.231.0.1", port(&open), true);
    other.destroy().expect("removed");
    assert_eq!(links(), 0, "links go with their jobs");
    assert_eq!(sandbox::sweep_links().expect("asked"), 1);
}

/// Two runners of one host know nothing of each other.
pub(super) fn no_two_jobs_have_one_address(place: &mut Place) {
    let (mut one, mut other, mut none) = (place.spec(), place.spec(), place.spec());
    (one.network, other.network) = (link(7, &[], &[]), link(7, &[], &[]));
    none.network = link(7, &[], &[]);
    let (mut one, mut other) = (create(&one), create(&other));
    let ask = "perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(PeerAddr => \"10.231.0.1:9\", Proto => \"udp\")->sockhost'";
    let own = |job: &mut Sandbox| run(job, ask, LIMIT).output;
    assert_eq!(own(&mut one), "10.231.7.7");
    assert_eq!(own(&mut other), "10.231.7.8");
    let refused = Sandbox::create(&none).err().map(|error| crate::support::chain(&error));
    assert!(refused.is_some_and(|told| told.contains("taken on this host")));
    one.destroy().expect("removed");
    other.destroy().expect("removed");
    assert_eq!(links(), 0, "nothing is left of the one that was refused");
    assert_eq!(sandbox::sweep_links().expect("asked"), 2, "all are removed together");
}

/// Rules whose job and link are gone, as after a kill of everything.
pub(super) fn rules_without_a_link_are_swept(place: &mut Place) {
    let mut spec = place.spec();
    spec.network = link(1, &[], &[]);
    let mut job = create(&spec);
    assert_eq!(sandbox::sweep_links().expect("asked"), 0, "a living job keeps its rules");
    // A process that has no descriptor left for the question must not take that for an answer.
    let lowest = fs::File::open("/dev/null").expect("a descriptor").as_raw_fd().unsigned_abs();
    let most = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(u64::from(lowest) + 1), ..most };
    setrlimit(Resource::Nofile, few).expect("lowered");
    let unasked = sandbox::sweep_links();
    setrlimit(Resource::Nofile, most).expect("raised");
    unasked.expect_err("a link cannot be asked for");
    assert_eq!(sandbox::sweep_links().expect("asked"), 0);
    let name = fs::read_to_string("/proc/net/dev").expect("interfaces");
    let name =
        name.split_whitespace().find_map(|word| word.strip_suffix(':')?.strip_prefix("apl-"));
    let status = command("ip", &["link", "delete", &format!("apl-{}", name.expect("a link"))]);
    assert!(status, "the link goes as with its job");
    assert_eq!(sandbox::sweep_links().expect("asked"), 1);
    assert_eq!(sandbox::sweep_links().expect("asked"), 0);
    check(&mut job, "10.231.0.1", 80, false);
    job.destroy().expect("removed");
}

pub(super) fn a_job_is_let_out_to_what_is_allowed_alone(place: &mut Place) {
    let Some(_lan) = Lan::make() else {
        println!("skipped: a neighbouring network needs iproute2 and util-linux");
        return;
    };
    let was_off = !forwards();
    assert_eq!(sandbox::forwarding_enable().expect("turned on"), was_off);
    assert!(!sandbox::forwarding_enable().expect("is on"), "once is enough");
    let mut spec = place.spec();
    spec.network = link(1, &[], &["192.0.2.0/24:4000", "198.51.100.0/24"]);
    let mut job = create(&spec);
    let warnings = job.warnings();
    assert!(!warnings.iter().any(|warning| warning.contains("ip_forward")), "{warnings:?}");
    // The neighbour knows no way back to the job: an answer proves that the host stands for it.
    check(&mut job, "192.0.2.2", 4000, true);
    check(&mut job, "192.0.2.2", 4001, false);
    // This host's own address on that network is not a way around the gateway's rules.
    check(&mut job, "192.0.2.1", 4000, false);
    check(&mut job, "203.0.113.9", 80, false);
    job.destroy().expect("removed");
}

/// The host remembers connections for minutes, and lets nobody connect once there are too many. That
/// something is open for another job is enough for it to remember those of all.
pub(super) fn a_job_begins_no_more_connections_than_its_share(place: &mut Place) {
    for (nth, allow) in [(1, &[][..]), (2, &[OPEN])] {
        begins_no_more_than_its_share(place, nth, allow);
    }
    assert_eq!(sandbox::sweep_links().expect("asked"), 4);
}

/// Nobody is there (RFC 5737).
const OPEN: &str = "192.0.2.0/24";

fn begins_no_more_than_its_share(place: &mut Place, nth: u8, allow: &[&str]) {
    let [flooded, open] = [(); 2].map(|()| TcpListener::bind("0.0.0.0:0").expect("a port"));
    let (mut one, mut other) = (place.spec(), place.spec());
    (one.network, other.network) =
        (link(nth, &[&flooded], allow), link(nth + 4, &[&open], &[OPEN]));
    let (mut one, mut other) = (create(&one), create(&other));
    let remembered = || -> Option<u32> {
        let count = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
        count.ok()?.trim().parse().ok()
    };
    let before = remembered().unwrap_or_default();
    let flood = "perl -MSocket -MFcntl -e 'my $to = sockaddr_in($ARGV[0], inet_aton(\"10.231.0.1\"));
        for (1 .. 9000) { socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!; fcntl($s, F_SETFL, O_NONBLOCK);
        connect($s, $to); push @all, $s }'";
    let ran = run(&mut one, &format!("{flood} {}", port(&flooded)), LIMIT);
    let count = remembered().map(|count| count.saturating_sub(before));
    assert!(ran.held(), "{ran:?}");
    assert!(count.is_none_or(|count| (3000..6000).contains(&count)), "{allow:?}: {count:?}");
    check(&mut other, "10.231.0.1", port(&open), true);
    one.destroy().expect("removed");
    other.destroy().expect("removed");
}

fn forwards() -> bool {
    fs::read_to_string("/proc/sys/net/ipv4/ip_forward").is_ok_and(|text| text.trim() == "1")
}

fn command(program: &str, arguments: &[&str]) -> bool {
    #[expect(clippy::disallowed_methods, reason = "a test plays the operator")]
    let mut command = Command::new(program);
    command.args(arguments).status().is_ok_and(|status| status.success())
}

/// A machine on a network beside this host, with two open ports.
struct Lan(Child);

impl Lan {
    fn make() -> Option<Self> {
        let serve = "use IO::Socket::INET; my @l = map { IO::Socket::INET->new(Listen => 9, LocalPort => $_) or die } 4000, 4001; sleep 1000";
        #[expect(clippy::disallowed_methods, reason = "a test plays another machine")]
        let mut neighbour = Command::new("unshare");
        let child = neighbour.args(["--net", "perl", "-e", serve]).stdin(Stdio::null()).spawn();
        let lan = Self(child.ok()?);
        let pid = lan.0.id().to_string();
        let own = fs::read_link("/proc/self/ns/net").ok()?;
        until("the neighbour has a network", || {
            fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|other| other != own)
        });
        let inside = |arguments: &[&str]| {
            command("nsenter", &[&["--net", "--target", &pid, "ip"], arguments].concat())
        };
        let made = command(
            "ip",
            &["link", "add", "lan0", "type", "veth", "peer", "name", "lan1", "netns", &pid],
        ) && command("ip", &["address", "add", "192.0.2.1/24", "dev", "lan0"])
            && command("ip", &["link", "set", "lan0", "up"])
            && inside(&["address", "add", "192.0.2.2/24", "dev", "lan1"])
            && inside(&["link", "set", "lan1", "up"]);
        if made {
            let there = SocketAddr::from(([192, 0, 2, 2], 4001));
            let limit = Duration::from_millis(200);
            until("the neighbour listens", || TcpStream::connect_timeout(&there, limit).is_ok());
        }
        made.then_some(lan)
    }
}

impl Drop for Lan {
    fn drop(&mut self) {
        let _may_have_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}
