//! What reading the machine costs: processor time and memory of the running sampler, once a second.
//!
//! Run: `cargo bench -p hardware`; `COST_SECONDS` sets for how long. Bounds, and what was measured:
//! `README.md` of this room. Ends with 1 when a bound is missed.
//! Two machines are read, one after the other. The made one carries forty temperatures on ten chips
//! with their limits and alarms, eight fans, four meters, two zones, two packages' energy, eight
//! processors with throttle counters, two memory controllers, three cards, and a copy of this
//! machine's `/proc`. The living one adds what has no tree: its connections and news of its cards.
//! Units: percent of one core over all threads of the process; kibibytes of memory of its own
//! (`RssAnon`), gained since before the sampler began.

#![expect(clippy::print_stdout, reason = "figures are for who runs it")]

use hardware::{Config, Root};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fmt::Display,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

const CORE_PERCENT_MAX: f64 = 0.3;
const KIB_MAX: u64 = 2048;
const CHIPS: usize = 10;
const TEMPS_OF_CHIP: usize = 4;
/// Everything is found in the first rounds; a service then runs for years.
const WARM_UP: Duration = Duration::from_secs(3);

fn main() {
    let seconds = std::env::var("COST_SECONDS").ok().and_then(|text| text.parse().ok());
    let span = Duration::from_secs(seconds.unwrap_or(30));
    let folder = tempfile::tempdir().expect("a folder for the made machine");
    let made = Root::new(folder.path());
    make(&made);
    let holds = [measure("made", made, span), measure("living", Root::default(), span)];
    std::process::exit(i32::from(holds.contains(&false)));
}

/// Runs the sampler as the service does and tells whether it stayed within its bounds.
fn measure(name: &str, root: Root, span: Duration) -> bool {
    let memory = own_kib();
    let handle = hardware::start(&Config { root, ..Config::default() }).expect("a thread");
    pass(WARM_UP);
    let (from, used) = (Instant::now(), used());
    pass(span);
    let percent = (self::used() - used).as_secs_f64() * 100.0 / from.elapsed().as_secs_f64();
    let kib = own_kib().saturating_sub(memory);
    let readings = handle.readings();
    let readings = readings.borrow();
    let holds = percent <= CORE_PERCENT_MAX && kib <= KIB_MAX;
    println!(
        "{name} machine: {} temperatures, {} fans, {} meters, {} cards; {percent:.3} % of a core \
         (at most {CORE_PERCENT_MAX}), {kib} KiB (at most {KIB_MAX}): {}",
        readings.thermal.len(),
        readings.fans.len(),
        readings.power.draws.len(),
        readings.links.len(),
        if holds { "within its bounds" } else { "TOO MUCH" }
    );
    holds
}

/// Lets time pass: only the sampler works.
fn pass(span: Duration) {
    let end = Instant::now() + span;
    while Instant::now() < end {
        thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
}

/// Processor time of this process, all its threads.
fn used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(used.tv_nsec).expect("below a second");
    Duration::new(used.tv_sec.unsigned_abs(), nanos)
}

/// Memory that is this process's own and no file's.
fn own_kib() -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("Linux 4.5");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

fn plant(root: &Root, path: &str, value: impl Display) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, format!("{value}\n")).expect("written");
}

fn make(root: &Root) {
    (0..CHIPS).for_each(|chip| make_chip(root, chip));
    for zone in 0..2 {
        let folder = format!("sys/class/thermal/thermal_zone{zone}");
        plant(root, &format!("{folder}/type"), format!("acpitz{zone}"));
        plant(root, &format!("{folder}/temp"), 38_000);
        let folder = format!("sys/class/powercap/intel-rapl:{zone}");
        plant(root, &format!("{folder}/name"), format!("package-{zone}"));
        plant(root, &format!("{folder}/max_energy_range_uj"), 262_143_328_850_u64);
        plant(root, &format!("{folder}/energy_uj"), 5_000_000);
        let folder = format!("sys/devices/system/edac/mc/mc{zone}");
        plant(root, &format!("{folder}/ce_count"), 0);
        plant(root, &format!("{folder}/ue_count"), 0);
    }
    (0..8).for_each(|cpu| make_processor(root, cpu));
    ["eth0", "eth1", "wwan0"].into_iter().for_each(|card| make_card(root, card));
    let files = ["stat", "meminfo", "diskstats", "self/mountinfo", "net/snmp", "net/netstat"];
    let pressure = ["pressure/cpu", "pressure/memory", "pressure/io"];
    for file in files.into_iter().chain(pressure) {
        let text = fs::read_to_string(Path::new("/proc").join(file)).unwrap_or_default();
        plant(root, &format!("proc/{file}"), text.trim_end());
    }
}

fn make_chip(root: &Root, chip: usize) {
    let folder = format!("sys/class/hwmon/hwmon{chip}");
    plant(root, &format!("{folder}/name"), format!("nct67{chip}"));
    for input in 1..=TEMPS_OF_CHIP {
        let file = |end: &str| format!("{folder}/temp{input}_{end}");
        plant(root, &file("input"), 41_000 + 500 * input);
        plant(root, &file("label"), format!("SENSOR{chip}{input}"));
        plant(root, &file("max"), 80_000);
        plant(root, &file("crit"), 100_000);
        plant(root, &file("crit_alarm"), 0);
    }
    if chip < 4 {
        plant(root, &format!("{folder}/power1_input"), 12_000_000);
        for fan in 1..=2 {
            plant(root, &format!("{folder}/fan{fan}_input"), 1200);
            plant(root, &format!("{folder}/pwm{fan}"), 120);
        }
    }
}

fn make_processor(root: &Root, cpu: usize) {
    let folder = format!("sys/devices/system/cpu/cpu{cpu}");
    plant(root, &format!("{folder}/thermal_throttle/core_throttle_count"), 0);
    plant(root, &format!("{folder}/topology/physical_package_id"), 0);
    let folder = format!("sys/devices/system/cpu/cpufreq/policy{cpu}");
    plant(root, &format!("{folder}/cpuinfo_max_freq"), 2_400_000);
    plant(root, &format!("{folder}/scaling_max_freq"), 2_400_000);
}

fn make_card(root: &Root, card: &str) {
    let folder = format!("sys/class/net/{card}");
    let state = [("operstate", "up"), ("flags", "0x1003"), ("speed", "1000"), ("duplex", "full")];
    state.into_iter().for_each(|(file, value)| plant(root, &format!("{folder}/{file}"), value));
    plant(root, &format!("{folder}/mtu"), 1500);
    plant(root, &format!("{folder}/carrier_changes"), 1);
    plant(root, &format!("{folder}/device/vendor"), "0x8086");
    for end in ["bytes", "packets", "errors", "dropped", "crc_errors", "missed_errors"] {
        plant(root, &format!("{folder}/statistics/rx_{end}"), 123_456);
        plant(root, &format!("{folder}/statistics/tx_{end}"), 123_456);
    }
}
