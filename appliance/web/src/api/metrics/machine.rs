//! The machine's part of the page.

use super::{Page, labels, number, of_source};
use base::{
    reading::{ClockState, Disk, Link, LinkState, Reading, Readings, Stall, Supply},
    units::Span,
};

type Rows = Vec<(String, f64)>;

const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";

pub(super) fn heat(page: &mut Page, readings: &Readings) {
    let sensors = readings.thermal.iter().map(|one| &one.temperature);
    let rows = sensors.filter_map(|one| Some((of_source(&one.source), one.fresh()?.0)));
    page.metric(("appliance_temperature_celsius", GAUGE, "Temperatures."), rows);
    let fans = readings.fans.iter();
    let rows = fans.filter_map(|fan| Some((of_source(&fan.speed.source), fan.speed.fresh()?.0)));
    page.metric(("appliance_fan_rpm", GAUGE, "Turns of fans in a minute."), rows);
    let rows = readings.fans.iter().map(|fan| (of_source(&fan.speed.source), flag(fan.failed)));
    page.metric(
        ("appliance_fan_failed", GAUGE, "1 for a fan that should turn and does not."),
        rows,
    );
    let rows = readings.cooling.iter().filter_map(|one| {
        let state = number(*one.state.fresh()?);
        Some((of_source(&one.state.source), state / number(one.max.max(1))))
    });
    page.metric(("appliance_cooling_ratio", GAUGE, "Used share of the kernel's cooling."), rows);
    let rows = readings.throttle.events.fresh().map(|events| ("", number(*events)));
    let help = "Times that the hardware slowed itself down.";
    page.metric(("appliance_hardware_throttle_events_total", COUNTER, help), rows);
    let help = "1 while the hardware slows itself down.";
    page.gauge("appliance_hardware_throttled", help, flag(readings.throttle.active));
}

pub(super) fn power(page: &mut Page, readings: &Readings) {
    let power = &readings.power;
    let draws = power.draws.iter();
    let rows = draws.filter_map(|draw| Some((of_source(&draw.source), draw.fresh()?.0)));
    page.metric(("appliance_power_watts", GAUGE, "Draw by meter."), rows);
    let mains = power.supply.fresh().map(|supply| ("", flag(*supply == Supply::Mains)));
    page.metric(("appliance_power_on_mains", GAUGE, "0 on a battery."), mains);
    let charge = power.charge.fresh().map(|charge| ("", charge.0 / 100.0));
    page.metric(
        ("appliance_battery_charge_ratio", GAUGE, "Charge of the emptiest battery."),
        charge,
    );
    let runtime = power.runtime.fresh().map(|runtime| ("", runtime.0.as_secs_f64()));
    let help = "How long the batteries last.";
    page.metric(("appliance_battery_runtime_seconds", GAUGE, help), runtime);
}

pub(super) fn load(page: &mut Page, readings: &Readings) {
    let busy = readings.busy.fresh().map(|busy| ("", busy.0 / 100.0));
    page.metric(("appliance_cpu_busy_ratio", GAUGE, "Busy share of the processor."), busy);
    let memory = &readings.memory;
    let available = memory.available.fresh().map(|free| ("", number(free.0)));
    let help = "Memory that new work can have.";
    page.metric(("appliance_memory_available_bytes", GAUGE, help), available);
    page.gauge("appliance_memory_total_bytes", "All memory.", number(memory.total.0));
    let errors = |of: fn(&base::reading::Ecc) -> &Reading<u64>| -> Rows {
        let rows = memory.ecc.iter().map(of).filter_map(|one| {
            Some((labels(&[("controller", &one.source.device)]), number(*one.fresh()?)))
        });
        rows.collect()
    };
    let help = "Memory errors that the hardware mended.";
    page.metric(
        ("appliance_memory_errors_corrected_total", COUNTER, help),
        errors(|ecc| &ecc.corrected),
    );
    let help = "Memory errors that were not mended.";
    page.metric(
        ("appliance_memory_errors_uncorrected_total", COUNTER, help),
        errors(|ecc| &ecc.uncorrected),
    );
    let pressure = &readings.pressure;
    let all = [("cpu", &pressure.cpu), ("memory", &pressure.memory), ("io", &pressure.io)];
    let rows = all.into_iter().filter_map(|(resource, stall)| Some((resource, stall.fresh()?)));
    let rows = rows.flat_map(|(resource, stall)| stalls(resource, stall));
    let help = "Share of time that tasks waited, over ten seconds.";
    page.metric(("appliance_pressure_ratio", GAUGE, help), rows);
    let clock = readings.clock.state.fresh();
    let rows = clock.map(|state| ("", flag(*state == ClockState::Synchronised)));
    page.metric(
        ("appliance_clock_synchronised", GAUGE, "1 while a time source keeps the clock."),
        rows,
    );
    let row = |error: &Span| (String::new(), error.0.as_secs_f64());
    page.metric(
        ("appliance_clock_error_max_seconds", GAUGE, "The kernel's bound of the clock's error."),
        readings.clock.max_error.iter().map(row),
    );
}

fn stalls(resource: &str, stall: &Stall) -> [(String, f64); 2] {
    let row = |kind, share: f64| (labels(&[("resource", resource), ("kind", kind)]), share / 100.0);
    [row("some", stall.some.avg10.0), row("full", stall.full.avg10.0)]
}

pub(super) fn disks(page: &mut Page, readings: &Readings) {
    let rows = |of: &dyn Fn(&Disk) -> Option<f64>| -> Rows {
        let row = |disk: &Disk| Some((labels(&[("mount", &disk.mount)]), of(disk)?));
        readings.disks.iter().filter_map(row).collect()
    };
    let mut tell = |name, help, of: &dyn Fn(&Disk) -> Option<f64>| {
        page.metric((name, GAUGE, help), rows(of));
    };
    tell("appliance_disk_free_bytes", "Free space.", &|d| Some(number(d.free.fresh()?.0)));
    tell("appliance_disk_size_bytes", "Size of file systems.", &|d| Some(number(d.total.0)));
    tell("appliance_disk_inodes_free", "Free inodes.", &|d| {
        (d.inodes_total > 0).then(|| number(d.inodes_free))
    });
    tell("appliance_disk_read_only", "1 for what cannot be written.", &|d| Some(flag(d.read_only)));
    tell("appliance_disk_latency_seconds", "Mean time of a request.", &|d| {
        Some(d.latency.fresh()?.0.as_secs_f64())
    });
    tell("appliance_disk_busy_ratio", "Busy share of the device.", &|d| {
        d.latency.fresh().map(|_| d.busy.0 / 100.0)
    });
    tell("appliance_disk_wear_ratio", "Used share of the flash's life.", &|d| {
        Some(d.wear.as_ref()?.used.fresh()?.0 / 100.0)
    });
    tell("appliance_disk_spare_ratio", "Share of the reserve blocks that is left.", &|d| {
        Some(d.wear.as_ref()?.spare?.0 / 100.0)
    });
    tell("appliance_disk_warning", "1 for a disk that gives warning of itself.", &|d| {
        Some(flag(!d.wear.as_ref()?.warnings.is_empty()))
    });
    let errors = |d: &Disk| Some(number(d.wear.as_ref()?.media_errors?));
    let help = "Errors of the medium that were not mended.";
    page.metric(("appliance_disk_media_errors_total", COUNTER, help), rows(&errors));
}

pub(super) fn network(page: &mut Page, readings: &Readings) {
    let rows = |of: &dyn Fn(&Link) -> Option<f64>| -> Rows {
        let row = |link: &Link| Some((labels(&[("device", &link.name)]), of(link)?));
        readings.links.iter().filter_map(row).collect()
    };
    let mut tell = |name, kind, help, of: &dyn Fn(&Link) -> Option<f64>| {
        page.metric((name, kind, help), rows(of));
    };
    tell("appliance_network_up", GAUGE, "1 for a card that carries.", &|link| {
        Some(flag(matches!(link.state.fresh()?, LinkState::Up | LinkState::Unknown)))
    });
    tell("appliance_network_speed_bytes", GAUGE, "Speed of the link in a second.", &|link| {
        Some(number(link.speed_mbit?) * 125_000.0)
    });
    tell("appliance_network_mtu_bytes", GAUGE, "Largest packet.", &|link| Some(link.mtu.into()));
    tell("appliance_network_receive_bytes_total", COUNTER, "Bytes, in.", &|link| {
        Some(number(link.totals.rx_bytes))
    });
    tell("appliance_network_transmit_bytes_total", COUNTER, "Bytes, out.", &|link| {
        Some(number(link.totals.tx_bytes))
    });
    tell("appliance_network_errors_total", COUNTER, "Broken or missed packets.", &|link| {
        Some(number(link.totals.errors))
    });
    tell(
        "appliance_network_crc_errors_total",
        COUNTER,
        "Packets with a wrong checksum.",
        &|link| Some(number(link.totals.crc_errors)),
    );
    tell("appliance_network_drops_total", COUNTER, "Packets thrown away.", &|link| {
        Some(number(link.totals.drops))
    });
    tell("appliance_network_carrier_changes_total", COUNTER, "Changes of the carrier.", &|link| {
        Some(number(link.totals.carrier_changes))
    });
    let transport = &readings.transport;
    let loss = transport.loss.fresh().map(|loss| ("", loss.0 / 100.0));
    page.metric(("appliance_network_loss_ratio", GAUGE, "Segments sent twice."), loss);
    let rtt = transport.rtt.fresh().map(|rtt| ("", rtt.0.as_secs_f64()));
    page.metric(("appliance_network_round_trip_seconds", GAUGE, "Median of connections."), rtt);
    let rows = readings.troubles.iter().map(|trouble| {
        (labels(&[("kind", trouble.kind.as_str()), ("place", &trouble.place)]), 1.0)
    });
    page.metric(("appliance_network_trouble", GAUGE, "What is wrong with the network now."), rows);
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}
