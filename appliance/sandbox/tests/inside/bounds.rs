//! What a job may use, and what it costs.

use crate::support::{LIMIT, Place, create, exec, run, until};
use base::units::Bytes;
use sandbox::{DiskUsage, Error, Sandbox, Spec, Status, Storage, User};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// Windows of which one must come near the quota from below.
const WINDOWS: usize = 6;

pub(super) fn memory_is_bounded_and_told(place: &mut Place) {
    let mut spec = place.spec();
    spec.limits.memory = Some(Bytes::mib(48));
    let mut sandbox = create(&spec);
    let ran = run(
        &mut sandbox,
        "perl -e 'push @x, \"x\" x (1 << 20) for 1 .. 200'; echo shell lives",
        LIMIT,
    );
    let usage = sandbox.usage();
    assert!(usage.oom_kills > 0, "{usage:?} {ran:?}");
    assert_eq!(usage.memory_limit, Some(Bytes::mib(48)));
    assert!(
        usage.memory_peak.is_some_and(|peak| peak >= Bytes::mib(40) && peak <= Bytes::mib(48)),
        "{usage:?}"
    );
}

pub(super) fn a_fork_bomb_is_bounded_and_killed(place: &mut Place) {
    let mut spec = place.spec();
    spec.limits.pids = Some(40);
    let mut sandbox = create(&spec);
    let output = tempfile::tempfile().expect("a file");
    let bomb = "f() { f | f & }; f; sleep 1000";
    let child =
        sandbox.spawn(exec("bash", &["-c", bomb], User::default(), &output)).expect("started");
    until("the bomb has hit its bound", || sandbox.usage().pids_refused > 0);
    assert!(sandbox.usage().pids.is_some_and(|pids| pids <= 40), "{:?}", sandbox.usage());
    sandbox.signal_session(child.pid, 9).expect("init answers");
    until("the bomb is over", || {
        sandbox.signal_all(9).expect("init answers");
        sandbox.usage().pids == Some(1)
    });
    assert!(run(&mut sandbox, "true", LIMIT).held(), "the sandbox is of use afterwards");
}

pub(super) fn disk_is_bounded_or_measured(place: &mut Place) {
    let fill = "head -c 40M /dev/zero >/tmp/fill";
    let mut spec = place.spec();
    (spec.storage, spec.limits.disk) = (Storage::Memory, Some(Bytes::mib(16)));
    let mut sandbox = create(&spec);
    let ran = run(&mut sandbox, fill, LIMIT);
    assert!(!ran.held() && ran.output.contains("No space left"), "{ran:?}");
    let mut spec = place.spec();
    spec.limits.disk = Some(Bytes::mib(16));
    let mut sandbox = create(&spec);
    assert!(!usage(&sandbox).over);
    assert!(run(&mut sandbox, fill, LIMIT).held());
    let usage = usage(&sandbox);
    assert!(usage.over && usage.used > Bytes::mib(16) && usage.free > Bytes(0), "{usage:?}");
}

fn usage(sandbox: &Sandbox) -> DiskUsage {
    let mut look = sandbox.disk_look();
    look.go_on(Instant::now() + LIMIT).expect("measured").expect("a few files")
}

pub(super) fn a_job_that_could_not_be_frozen_is_not_taken_for_frozen(place: &mut Place) {
    let spec = place.spec();
    let mut sandbox = create(&spec);
    let switches = spec.cgroup_base.places.iter().flat_map(|place| {
        ["cgroup.freeze", "freezer.state"].map(|name| place.dir.join(&spec.id).join(name))
    });
    // Nobody can write to what stands before the switch.
    let stuck: Vec<PathBuf> = switches.filter(|switch| switch.exists()).collect();
    let mount = |switch: &PathBuf| rustix::mount::mount_bind("/proc/version", switch);
    stuck.iter().for_each(|switch| mount(switch).expect("root may"));
    let frozen = sandbox.freeze();
    for switch in &stuck {
        rustix::mount::unmount(switch, rustix::mount::UnmountFlags::DETACH).expect("was mounted");
    }
    assert_eq!(frozen.is_err(), !stuck.is_empty(), "{frozen:?}");
    assert!(run(&mut sandbox, "true", LIMIT).held(), "init is still asked");
    sandbox.destroy().expect("removed");
}

pub(super) fn a_frozen_job_stands_still(place: &mut Place) {
    let mut sandbox = create(&place.spec());
    let output = tempfile::tempfile().expect("a file");
    let script = "while :; do echo tick; sleep 0.01; done";
    let child =
        sandbox.spawn(exec("bash", &["-c", script], User::default(), &output)).expect("started");
    let length = || output.metadata().expect("a file").len();
    until("it ticks", || length() > 0);
    sandbox.freeze().expect("frozen");
    let again = exec("true", &[], User::default(), &output);
    assert!(matches!(sandbox.spawn(again), Err(Error::Frozen)));
    // Freezing ends within milliseconds; then nothing may be written any more.
    let mut last = length();
    until("it stands still", || {
        let _nothing = sandbox.next_event(Some(Duration::from_millis(100)));
        let before = std::mem::replace(&mut last, length());
        before == last
    });
    sandbox.thaw().expect("thawed");
    until("it ticks again", || length() > last);
    sandbox.set_cpu_millis(Some(100)).expect("throttled");
    sandbox.freeze().expect("frozen");
    drop(child);
    sandbox.destroy().expect("a frozen sandbox can be removed");
}

/// A tenth of a core: no window may hold more; a machine full of other work may give less in one,
/// so some are looked at.
pub(super) fn a_busy_job_keeps_to_its_quota(place: &mut Place) {
    let mut sandbox = create(&place.spec());
    let output = tempfile::tempfile().expect("a file");
    let script = "i=0; while [ $i -lt 400000 ]; do i=$((i + 1)); done; echo counted $i";
    let child =
        sandbox.spawn(exec("bash", &["-c", script], User::default(), &output)).expect("started");
    sandbox.set_cpu_millis(Some(100)).expect("throttled");
    let used = |sandbox: &Sandbox| sandbox.usage().cpu.expect("counted");
    let wait = |sandbox: &mut Sandbox, span| drop(sandbox.next_event(Some(span)));
    wait(&mut sandbox, Duration::from_secs(1));
    let reached = (0..WINDOWS).any(|_| {
        let (before, begun) = (used(&sandbox), Instant::now());
        wait(&mut sandbox, Duration::from_secs(3));
        let cores = (used(&sandbox) - before).as_secs_f64() / begun.elapsed().as_secs_f64();
        println!("a quota of 0.100 cores, used {cores:.3}");
        assert!(cores <= 0.11, "{cores:.3} cores");
        cores >= 0.09
    });
    assert!(reached, "no window came within a tenth of the quota");

    sandbox.freeze().expect("frozen");
    wait(&mut sandbox, Duration::from_millis(200));
    let frozen = used(&sandbox);
    wait(&mut sandbox, Duration::from_secs(1));
    assert!(used(&sandbox) - frozen < Duration::from_millis(5), "it stands still");
    sandbox.thaw().expect("thawed");
    sandbox.set_cpu_millis(None).expect("let go");
    assert_eq!(sandbox.wait(&child, Some(LIMIT)).expect("alive"), Some(Status::Code(0)));
    let mut text = String::new();
    std::io::Seek::rewind(&mut &output).expect("a file");
    std::io::Read::read_to_string(&mut &output, &mut text).expect("text");
    assert_eq!(text, "counted 400000\n", "the right result");
    sandbox.destroy().expect("removed");
}

/// What a trivial job costs. Only a generous bound is asserted: the figures are for people.
pub(super) fn a_trivial_job_is_cheap(place: &mut Place) {
    let rounds =
        std::env::var("SANDBOX_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    for storage in [Storage::Disk, Storage::Memory] {
        let mut spec = || Spec { storage, ..place.spec() };
        costs_tell(storage, (0..rounds).map(|_| round(&spec())).collect());
    }
}

fn costs_tell(storage: Storage, mut totals: Vec<[Duration; 3]>) {
    for (at, what) in ["create", "create + run", "create + run + destroy"].iter().enumerate() {
        totals.sort_by_key(|times| times[at]);
        let percentile = |share: usize| {
            totals[(totals.len() * share / 100).min(totals.len() - 1)][at].as_secs_f64() * 1e3
        };
        println!(
            "{storage:?}, {what}: p50 {:.1} ms, p95 {:.1} ms, least {:.1} ms",
            percentile(50),
            percentile(95),
            percentile(0)
        );
    }
    assert!(totals[0][2] < Duration::from_secs(1), "even the fastest took {:?}", totals[0]);
}

fn round(spec: &Spec) -> [Duration; 3] {
    let output = tempfile::tempfile().expect("a file");
    let told = exec("/bin/true", &[], User::default(), &output);
    let started = Instant::now();
    let mut sandbox = create(spec);
    let created = started.elapsed();
    let child = sandbox.spawn(told).expect("started");
    assert_eq!(sandbox.wait(&child, Some(LIMIT)).expect("alive"), Some(Status::Code(0)));
    let ran = started.elapsed();
    sandbox.destroy().expect("removed");
    [created, ran, started.elapsed()]
}
