//! What feeds the machine: files of the kernel, and a UPS daemon spoken to over TCP.

use crate::tree::Machine;
use base::{
    reading::{Quality, Readings, Supply},
    units::{Share, Span},
};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

const CABINET: &str = include_str!("../trees/cabinet.tree");
const SERVER: &str = include_str!("../trees/server.tree");

/// A daemon of one UPS, whose variables can be set; dropped connections and refusals as NUT's own.
struct Daemon {
    address: String,
    status: Arc<Mutex<String>>,
}

impl Daemon {
    fn start(status: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let status = Arc::new(Mutex::new(status.to_owned()));
        let told = Arc::clone(&status);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let told = Arc::clone(&told);
                thread::spawn(move || serve(&stream, &told));
            }
        });
        Self { address, status }
    }

    fn set(&self, status: &str) {
        status.clone_into(&mut self.status.lock().unwrap());
    }
}

fn serve(stream: &TcpStream, status: &Mutex<String>) {
    let mut out = stream;
    for line in BufReader::new(stream).lines().map_while(Result::ok) {
        let status = status.lock().unwrap().clone();
        let answer = match line.as_str() {
            _ if status == "cut" => return,
            "LIST UPS" => "BEGIN LIST UPS\nUPS rack \"the rack's\"\nEND LIST UPS".to_owned(),
            "GET VAR rack ups.status" if status == "stale" => "ERR DATA-STALE".to_owned(),
            "GET VAR rack ups.status" => format!("VAR rack ups.status \"{status}\""),
            "GET VAR rack battery.charge" => "VAR rack battery.charge \"42\"".to_owned(),
            "GET VAR rack battery.runtime" => "ERR VAR-NOT-SUPPORTED".to_owned(),
            _ => "ERR UNKNOWN-COMMAND".to_owned(),
        };
        if writeln!(out, "{answer}").is_err() {
            return;
        }
    }
}

/// Rounds, five seconds apart, until the supply is as expected.
fn wait(machine: &mut Machine, what: &str, until: impl Fn(&Readings) -> bool) -> Readings {
    for _ in 0..200 {
        let readings = machine.after(5);
        if until(&readings) {
            return readings;
        }
        thread::park_timeout(Duration::from_millis(10));
    }
    panic!("gave up waiting for {what}");
}

#[test]
fn batteries_and_adapters_are_read_and_a_mouse_is_not() {
    let mut machine = Machine::new(CABINET);
    let readings = machine.round();
    assert_eq!(readings.power.supply.value, Some(Supply::Mains));
    assert_eq!(readings.power.charge.value, Some(Share(83.0)));
    assert_eq!(readings.power.devices.len(), 1);
    machine.write("sys/class/power_supply/AC/online", 0);
    machine.write("sys/class/power_supply/BAT0/status", "Discharging");
    assert_eq!(machine.round().power.supply.value, Some(Supply::Battery));
    machine.write("sys/class/power_supply/BAT0/capacity", 9);
    assert_eq!(machine.round().power.supply.value, Some(Supply::BatteryLow));
}

/// A battery's bus that hangs must not look like mains that came back.
#[test]
fn a_battery_that_cannot_be_read_is_no_mains() {
    for file in ["status", "type"] {
        let mut machine = Machine::new(CABINET);
        machine.write("sys/class/power_supply/BAT0/status", "Discharging");
        assert_eq!(machine.round().power.supply.value, Some(Supply::Battery));
        let path = machine.path("sys/class/power_supply/BAT0").join(file);
        std::fs::remove_file(&path).unwrap();
        // A read of a folder fails, as one of a device that does not answer.
        std::fs::create_dir(&path).unwrap();
        let supply = machine.round().power.supply;
        assert_eq!(
            (supply.quality, supply.value),
            (Quality::Failed, Some(Supply::Battery)),
            "{file}"
        );
    }
    let mut machine = Machine::new(CABINET);
    machine.round();
    std::fs::remove_dir_all(machine.path("sys/class/power_supply")).unwrap();
    assert_eq!(machine.round().power.supply.quality, Quality::Lost);
}

/// What is not known any more is no better than what was known.
#[test]
fn a_battery_whose_charge_is_lost_stays_as_low_as_it_was() {
    for lost in [Some("900"), Some("-5"), None] {
        let mut machine = Machine::new(CABINET);
        machine.write("sys/class/power_supply/AC/online", 0);
        machine.write("sys/class/power_supply/BAT0/status", "Discharging");
        machine.write("sys/class/power_supply/BAT0/capacity", 9);
        assert_eq!(machine.round().power.supply.fresh(), Some(&Supply::BatteryLow));
        let path = machine.path("sys/class/power_supply/BAT0/capacity");
        match lost {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let power = machine.round().power;
        assert_eq!(power.supply.fresh(), Some(&Supply::BatteryLow), "{lost:?}");
        assert_eq!(power.charge.quality, Quality::Lost, "{lost:?}");
        machine.write("sys/class/power_supply/BAT0/capacity", 40);
        assert_eq!(machine.round().power.supply.fresh(), Some(&Supply::Battery), "{lost:?}");
    }
}

#[test]
fn a_battery_that_says_nothing_beside_an_unplugged_adapter_feeds_the_machine() {
    let mut machine = Machine::new(CABINET);
    machine.write("sys/class/power_supply/AC/online", 0);
    machine.write("sys/class/power_supply/BAT0/capacity", 8);
    for status in ["Discharging", "Unknown", "", "Not charging"] {
        machine.write("sys/class/power_supply/BAT0/status", status);
        assert_eq!(machine.round().power.supply.fresh(), Some(&Supply::BatteryLow), "{status}");
    }
    machine.write("sys/class/power_supply/AC/online", 1);
    assert_eq!(machine.round().power.supply.fresh(), Some(&Supply::Mains));
}

#[test]
fn energy_counters_become_watts_over_their_wrap() {
    let mut machine = Machine::new(SERVER);
    machine.round();
    machine.write("sys/class/powercap/intel-rapl:0/energy_uj", 15_000_000);
    let draws = machine.round().power.draws;
    let package = draws.iter().find(|draw| &*draw.source.label == "package-0").unwrap();
    assert_eq!(package.value.map(|watts| watts.0), Some(15.0));
    assert!(draws.iter().any(|draw| draw.value.is_some_and(|watts| watts.0 == 42.5)), "{draws:?}");
}

#[test]
fn a_ups_is_followed_from_mains_to_empty_and_its_silence_is_bad() {
    let daemon = Daemon::start("OL CHRG");
    let address = daemon.address.clone();
    let mut machine = Machine::with("", |config| config.nut = Some(address.parse().unwrap()));
    let supply = |readings: &Readings| readings.power.supply.fresh().copied();
    let first = wait(&mut machine, "mains", |r| supply(r) == Some(Supply::Mains));
    assert_eq!(first.power.charge.value, Some(Share(42.0)));
    assert_eq!(first.power.runtime.value, None::<Span>);
    assert_eq!(&*first.power.devices[0].supply.source.label, "rack");
    daemon.set("OB DISCHRG");
    wait(&mut machine, "battery", |r| supply(r) == Some(Supply::Battery));
    daemon.set("OB LB");
    wait(&mut machine, "low", |r| supply(r) == Some(Supply::BatteryLow));
    daemon.set("stale");
    let silent = wait(&mut machine, "silence", |r| r.power.supply.quality == Quality::Stale);
    assert_eq!(silent.power.supply.value, Some(Supply::BatteryLow), "the last word stands");
    daemon.set("cut");
    wait(&mut machine, "a cut line", |r| r.power.supply.quality == Quality::Failed);
    daemon.set("OL");
    wait(&mut machine, "mains again", |r| supply(r) == Some(Supply::Mains));
}
