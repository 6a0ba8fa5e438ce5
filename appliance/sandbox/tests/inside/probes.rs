//! Runs the probes of `probes.sh` inside a job, beside a second job and prepared bait outside.

use crate::support::{LIMIT, Place, run};
use sandbox::{Bridge, Network, Sandbox};
use std::time::Duration;
use std::{
    fs,
    io::Write,
    net::{Ipv4Addr, TcpListener},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::Path,
};

const SCRIPT: &str = include_str!("probes.sh");

/// The probes take some seconds on an idle machine; a busy one is no reason to fail.
const PROBES_LIMIT: Duration = Duration::from_secs(180);

/// The issue asks for so many; the script has more.
const PROBES_MIN: usize = 40;

pub(super) fn every_probe_holds(place: &mut Place) {
    let bait = Bait::lay(place);
    let (mut neighbour_spec, mut spec) = (place.spec(), place.spec());
    neighbour_spec.network = link(NEIGHBOUR);
    let mut neighbour = Sandbox::create(&neighbour_spec).expect("a second sandbox");
    let neighbours_file = "echo mine >/tmp/neighbour-appliance; echo mine >/dev/shm/neighbour";
    assert!(run(&mut neighbour, neighbours_file, LIMIT).held());
    for network in [Network::Off, link(1)] {
        spec.network = network;
        probe(&spec, &bait, &neighbour_spec.scratch);
        spec.id.push('b');
        spec.scratch.set_extension("b");
    }
    neighbour.destroy().expect("removed");
    let host = fs::read("/usr/bin/env").expect("the host's own program");
    assert!(!host.is_empty(), "the host's files are whole");
}

/// Last number of the neighbour's address.
const NEIGHBOUR: u8 = 2;

fn link(number: u8) -> Network {
    Network::Bridge(Bridge {
        gateway: Ipv4Addr::new(10, 231, 0, 1),
        addresses: vec![Ipv4Addr::new(10, 231, 1, number)],
        services: Vec::new(),
        // Whatever is allowed, these stay closed: this host, other jobs, metadata services.
        allow: vec!["10.0.0.0/8".into(), "169.254.0.0/16".into(), "127.0.0.0/8".into()],
        name_servers: Vec::new(),
        gateway_names: vec!["appliance.internal".into()],
    })
}

fn probe(spec: &sandbox::Spec, bait: &Bait, neighbour: &Path) {
    let mut sandbox = Sandbox::create(spec).expect("a sandbox");
    let script = format!("{}{SCRIPT}", bait.variables(neighbour, spec));
    let ran = run(&mut sandbox, &script, PROBES_LIMIT);
    let passed = ran.output.lines().filter(|line| line.starts_with("ok ")).count();
    let failed: Vec<_> = ran.output.lines().filter(|line| !line.starts_with("ok ")).collect();
    assert!(ran.held() && failed.is_empty(), "{:?} {:?}: {failed:#?}", spec.network, ran.status);
    assert!(passed >= PROBES_MIN, "only {passed} probes ran");
    println!("{passed} probes held with network {:?}", spec.network);
    let usage = sandbox.usage();
    sandbox.destroy().expect("removed");
    assert!(
        usage.oom_kills > 0 && usage.pids_refused > 0,
        "the bounds were those of the kernel: {usage:?}"
    );
}

/// Things of the host that a job must not reach.
struct Bait {
    data: std::path::PathBuf,
    shared: std::path::PathBuf,
    socket: String,
    _abstract_socket: UnixListener,
    _path_socket: UnixListener,
    port: TcpListener,
    any_port: TcpListener,
    _open_file: std::os::fd::OwnedFd,
}

const VARIABLE: &str = "APPLIANCE_PROBE_VARIABLE";

impl Bait {
    fn lay(place: &Place) -> Self {
        let data = place.secret();
        fs::create_dir(&data).expect("a folder");
        // Readable by everybody: only the mask hides it.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).expect("rights");
        fs::set_permissions(place.folder.path(), fs::Permissions::from_mode(0o755))
            .expect("rights");
        fs::write(data.join("site.key"), "key").expect("a file");
        let socket = format!("appliance-probe-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&socket).expect("an address");
        let shared = Path::new("/dev/shm").join(&socket);
        fs::write(&shared, "shared").expect("a file");
        let file = tempfile::tempfile().expect("a file");
        (&file).write_all(b"open").expect("written");
        // Duplicates are open across exec, as a careless library's descriptor would be.
        let open_file = rustix::io::dup(&file).expect("a descriptor");
        Self {
            _abstract_socket: UnixListener::bind_addr(&address).expect("a socket"),
            _path_socket: UnixListener::bind(data.join("control.sock")).expect("a socket"),
            port: TcpListener::bind("127.0.0.1:0").expect("a port"),
            any_port: TcpListener::bind("0.0.0.0:0").expect("a port"),
            _open_file: open_file,
            data,
            shared,
            socket,
        }
    }

    fn variables(&self, neighbour: &Path, spec: &sandbox::Spec) -> String {
        let data = self.data.display();
        format!(
            "export PROBE_ABSENT='{data} {data}/site.key {data}/control.sock /etc/appliance /tmp/neighbour-appliance /dev/shm/neighbour {0}/upper'
            export PROBE_UNREADABLE='/etc/shadow /etc/gshadow {0}/upper/tmp/neighbour-appliance {0}/lock'
            export PROBE_SOCKET='{1}' PROBE_PORT={2} PROBE_SHM='{1}' PROBE_PROCESS='{3}' PROBE_VARIABLE={VARIABLE}
            export PROBE_ANY_PORT={6} PROBE_NEIGHBOUR='{7}'
            export PROBE_PIDS={4} PROBE_MEMORY_MIB={5}\n",
            neighbour.display(),
            self.socket,
            self.port.local_addr().expect("an address").port(),
            std::env::args().next().unwrap_or_default(),
            spec.limits.pids.expect("a limit"),
            spec.limits.memory.expect("a limit").0 >> 20,
            self.any_port.local_addr().expect("an address").port(),
            NEIGHBOUR,
        )
    }
}

impl Drop for Bait {
    fn drop(&mut self) {
        let _best_effort = fs::remove_file(&self.shared);
    }
}
