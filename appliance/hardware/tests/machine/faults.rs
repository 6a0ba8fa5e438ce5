//! Real faults on a network of namespaces that the test makes: found within ten seconds, with the
//! right words, and cleared after.
//!
//! Where the kernel has no `netem`, loss is made by the firewall's `statistic` match and a black
//! hole by its `length` match; slowness by `tbf`.

use base::{
    reading::{Readings, Trouble, TroubleKind},
    time::Timestamp,
};
use hardware::{Bounds, Config, Sampler};
use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    thread,
    time::{Duration, Instant},
};

/// Set in the process that runs inside the near namespace.
const INSIDE: &str = "HARDWARE_FAULTS_INSIDE";
/// The promise. A machine so busy that it makes no rounds in that time gets as many as it should
/// have made, at two a second.
const FOUND_WITHIN: Duration = Duration::from_secs(10);
const ROUND: Duration = Duration::from_millis(500);
const CLEARED_WITHIN: Duration = Duration::from_secs(40);
const PORT: u16 = 7311;

fn run(line: &str) -> bool {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    if !output.status.success() {
        eprintln!("{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

/// Two namespaces with a cable between; gone when dropped.
struct Net(String);

impl Net {
    fn new() -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        let tools = ["ip", "tc", "iptables"]
            .iter()
            .all(|tool| run(&format!("command -v {tool} >/dev/null")));
        if !root || !tools {
            eprintln!("skipped: faults on a network need root, ip, tc and iptables");
            return None;
        }
        let net = Self(format!("hwf{}", std::process::id()));
        let (near, far) = (net.near(), net.far());
        let made = run(&format!(
            "ip netns add {near} && ip netns add {far} && \
             ip -n {near} link add wan0 type veth peer name wan0 netns {far} && \
             ip -n {near} addr add 10.77.0.1/24 dev wan0 && ip -n {far} addr add 10.77.0.2/24 dev wan0 && \
             ip -n {near} link set wan0 up && ip -n {far} link set wan0 up && ip -n {far} link set lo up && ip -n {near} link set lo up && \
             ip netns exec {near} ethtool -K wan0 tso off gso off gro off 2>/dev/null; ip -n {near} link set dev wan0 gso_max_segs 1"
        ));
        if !made {
            eprintln!("skipped: this kernel gives no network namespaces");
            return None;
        }
        Some(net)
    }

    fn near(&self) -> String {
        format!("{}a", self.0)
    }

    fn far(&self) -> String {
        format!("{}b", self.0)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        run(&format!("ip netns del {}; ip netns del {}", self.near(), self.far()));
    }
}

/// The test's own program, again, inside a namespace.
fn inside(namespace: &str, part: &str, peer: &str) -> std::process::Child {
    Command::new("ip")
        .args(["netns", "exec", namespace])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "faults::part_inside", "--nocapture"])
        .env(INSIDE, part)
        .env("PEER", peer)
        .spawn()
        .unwrap()
}

#[test]
fn faults_are_found_with_the_right_words_and_cleared() {
    let Some(net) = Net::new() else { return };
    let mut sink = inside(&net.far(), "sink", "");
    let status = inside(&net.near(), "watch", &net.far()).wait().unwrap();
    sink.kill().unwrap();
    sink.wait().unwrap();
    assert!(status.success(), "see above");
}

/// Does nothing unless it is called by the test above.
#[test]
fn part_inside() {
    match std::env::var(INSIDE).as_deref() {
        Ok("sink") => sink(),
        Ok("watch") => watch(&std::env::var("PEER").unwrap()),
        _ => {}
    }
}

/// Takes what is sent and throws it away.
fn sink() {
    let listener = TcpListener::bind(("10.77.0.2", PORT)).unwrap();
    for mut stream in listener.incoming().flatten() {
        thread::spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while stream.read(&mut buffer).is_ok_and(|count| count > 0) {}
        });
    }
}

/// Sends for ever, a little at a time; ends with its connection.
fn pump(pause: Duration) {
    thread::spawn(move || {
        let begun = Instant::now();
        let mut stream = loop {
            match TcpStream::connect(("10.77.0.2", PORT)) {
                Ok(stream) => break stream,
                Err(_) if begun.elapsed() < Duration::from_secs(20) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        };
        let _ = stream.set_write_timeout(Some(Duration::from_secs(60)));
        while stream.write_all(&[7; 16 << 10]).is_ok() {
            thread::park_timeout(pause);
        }
    });
}

struct Watch {
    sampler: Sampler,
    begun: Instant,
}

impl Watch {
    fn round(&mut self) -> Readings {
        self.sampler.round(Timestamp(0), Duration::from_secs(1000) + self.begun.elapsed())
    }

    /// Rounds until the trouble is there, or gone.
    fn until(
        &mut self,
        kind: TroubleKind,
        there: bool,
        within: Duration,
    ) -> Option<(Trouble, Duration)> {
        let (begun, mut left) = (Instant::now(), within.div_duration_f64(ROUND));
        loop {
            let readings = self.round();
            left -= 1.0;
            let found = readings.troubles.iter().find(|trouble| trouble.kind == kind).cloned();
            let nothing = Trouble {
                kind,
                place: String::new(),
                lasted: Duration::ZERO,
                words: String::new(),
            };
            if found.is_some() == there {
                eprintln!(
                    "{kind:?} {there} after {:?}: {}",
                    begun.elapsed(),
                    found.as_ref().map_or("", |f| &f.words)
                );
                return Some((found.unwrap_or(nothing), begun.elapsed()));
            }
            if begun.elapsed() > within && left <= 0.0 {
                eprintln!(
                    "{kind:?} {there}: not within {within:?}; {:?} {:?}",
                    readings.troubles, readings.transport
                );
                return None;
            }
            thread::park_timeout(ROUND);
        }
    }

    fn fault(&mut self, kind: TroubleKind, make: &str, undo: &str, words: &[&str]) {
        assert!(run(make), "{make}");
        let found = self.until(kind, true, FOUND_WITHIN);
        assert!(run(undo), "{undo}");
        let (trouble, _) = found.expect("not found in time");
        for word in words {
            assert!(trouble.words.contains(word), "{word} is not in: {}", trouble.words);
        }
        self.until(kind, false, CLEARED_WITHIN).expect("not cleared");
    }
}

fn watch(far: &str) {
    let bounds = Bounds { flaps_quiet: Duration::from_secs(3), ..Bounds::default() };
    let config = Config { network: bounds, ..Config::default() };
    let mut watch = Watch { sampler: Sampler::new(&config).unwrap(), begun: Instant::now() };
    let in_far = |line: &str| format!("nsenter --net=/run/netns/{far} {line}");
    pump(Duration::from_millis(20));
    for _ in 0..4 {
        watch.round();
        thread::park_timeout(Duration::from_millis(300));
    }
    watch.fault(
        TroubleKind::LinkDown,
        &in_far("ip link set wan0 down"),
        &in_far("ip link set wan0 up"),
        &["wan0 is down", "cable"],
    );
    watch.fault(
        TroubleKind::LinkFlapping,
        &in_far("sh -c 'for i in 1 2 3 4; do ip link set wan0 down; ip link set wan0 up; done'"),
        "true",
        &["wan0 comes and goes", "changes of the carrier"],
    );
    pump(Duration::from_millis(5));
    watch.fault(
        TroubleKind::PacketLoss,
        &in_far("iptables -I INPUT -p tcp --dport 7311 -m statistic --mode random --probability 0.05 -j DROP"),
        &in_far("iptables -F INPUT"),
        &["10.77.0.2", "loses packets"],
    );
    watch.fault(
        TroubleKind::SlowPath,
        "tc qdisc add dev wan0 root tbf rate 128kbit burst 4kb latency 400ms",
        "tc qdisc del dev wan0 root",
        &["10.77.0.2", "slow", "kbit/s"],
    );
    watch.fault(
        TroubleKind::PathMtu,
        &in_far("iptables -I INPUT -p tcp --dport 7311 -m length --length 1300:65535 -j DROP"),
        &in_far("iptables -F INPUT"),
        &["10.77.0.2", "large packets", "MTU"],
    );
}
