//! What reading the machine costs: processor time and memory at one round a second.
//!
//! Run: `cargo bench -p hardware`; `COST_SECONDS` sets how long, `COST_ROOT` another root than the
//! made one. The figures and their bounds: `README.md` here.
//! The machine is made: forty temperatures on ten chips with their limits and alarms, eight fans,
//! four meters, two packages' energy, two zones, and the processors' throttle counters. What has no
//! tree (pressure, memory, disks, links, connections) is read from this machine in a second run.

use hardware::{Config, Root, Sampler};
use rustix::time::{ClockId, clock_gettime};
use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

/// Share of one core, and bytes.
const CORE_MAX: f64 = 0.003;
const BYTES_MAX: u64 = 2 << 20;
const SENSORS: usize = 40;
const CHIPS: usize = 10;

fn plant(root: &Path, path: &str, value: impl std::fmt::Display) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, format!("{value}\n")).expect("written");
}

fn machine(root: &Path) {
    for chip in 0..CHIPS {
        let folder = format!("sys/class/hwmon/hwmon{chip}");
        plant(root, &format!("{folder}/name"), format!("nct67{chip}"));
        for input in 1..=SENSORS / CHIPS {
            let file = |end: &str| format!("{folder}/temp{input}_{end}");
            plant(root, &file("input"), 41_000 + 500 * input);
            plant(root, &file("label"), format!("SENSOR{input}"));
            plant(root, &file("max"), 80_000);
            plant(root, &file("crit"), 100_000);
            plant(root, &file("crit_alarm"), 0);
        }
        if chip < 4 {
            for fan in 1..=2 {
                plant(root, &format!("{folder}/fan{fan}_input"), 1200);
                plant(root, &format!("{folder}/pwm{fan}"), 120);
            }
            plant(root, &format!("{folder}/power1_input"), 12_000_000);
        }
    }
    for zone in 0..2 {
        let folder = format!("sys/class/thermal/thermal_zone{zone}");
        plant(root, &format!("{folder}/type"), format!("acpitz{zone}"));
        plant(root, &format!("{folder}/temp"), 38_000);
        let folder = format!("sys/class/powercap/intel-rapl:{zone}");
        plant(root, &format!("{folder}/name"), format!("package-{zone}"));
        plant(root, &format!("{folder}/max_energy_range_uj"), 262_143_328_850_u64);
        plant(root, &format!("{folder}/energy_uj"), 5_000_000);
    }
    for cpu in 0..8 {
        let folder = format!("sys/devices/system/cpu/cpu{cpu}");
        plant(root, &format!("{folder}/thermal_throttle/core_throttle_count"), 0);
        plant(root, &format!("{folder}/topology/physical_package_id"), 0);
    }
    for file in ["stat", "meminfo", "diskstats", "pressure/cpu", "pressure/memory", "pressure/io"] {
        let text = fs::read_to_string(Path::new("/proc").join(file)).unwrap_or_default();
        plant(root, &format!("proc/{file}"), text.trim_end());
    }
}

/// Processor time of this process, all its threads.
fn used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or(0))
}

/// Memory that is this process's own.
fn own() -> u64 {
    let text = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("since 4.5");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") << 10
}

fn measure(name: &str, root: &Root, seconds: u32) -> bool {
    let before = own();
    let config = Config { root: root.clone(), ..Config::default() };
    let mut sampler = Sampler::new(&config).expect("threads");
    let begun = Instant::now();
    let mut round = |at: u32| {
        let readings = sampler.round(base::time::Timestamp(0), begun.elapsed());
        let next = Duration::from_secs(u64::from(at) + 1);
        thread::sleep(next.saturating_sub(begun.elapsed()));
        readings.thermal.len()
    };
    // The first rounds find everything; a service lives for years.
    (0..2).for_each(|at| drop(round(at)));
    let from = used();
    let sensors = (2..2 + seconds).map(&mut round).max().unwrap_or(0);
    let core = (used() - from).as_secs_f64() / f64::from(seconds);
    let bytes = own().saturating_sub(before);
    let holds = core <= CORE_MAX && bytes <= BYTES_MAX;
    println!(
        "{name}: {sensors} temperatures, {:.3} % of a core (bound {:.1}), {} KiB (bound {}): {}",
        core * 100.0,
        CORE_MAX * 100.0,
        bytes >> 10,
        BYTES_MAX >> 10,
        if holds { "holds" } else { "missed" }
    );
    holds
}

fn main() {
    let seconds = std::env::var("COST_SECONDS").ok().and_then(|text| text.parse().ok());
    let seconds = seconds.unwrap_or(15);
    let folder = tempfile::tempdir().expect("a folder");
    machine(folder.path());
    let made = std::env::var_os("COST_ROOT").map_or_else(|| folder.path().into(), Into::into);
    let made = measure("made machine", &Root::new::<std::path::PathBuf>(made), seconds);
    let own = measure("this machine", &Root::default(), seconds);
    std::process::exit(i32::from(!(made && own)));
}
