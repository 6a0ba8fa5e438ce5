//! The governor, end to end: a machine that becomes too hot holds jobs back, pauses what runs, lets
//! it go on when it has cooled, and says why everywhere.

use crate::{
    git::account,
    harness::{Appliance, may_run_jobs, wait_for},
    workspace::WorkingCopy,
};
use std::{fs, path::Path};

const PROJECT: &str = "acme/relay";

/// Two jobs that run while the weather changes, and one that waits behind them.
const CONFIG: &str = r#"version: 2.1
jobs:
  work:
    machine: true
    steps:
      - run: |
          for second in $(seq 1 12); do echo tick $second; sleep 1; done
          echo sum $(seq 1 100 | awk '{ s += $1 } END { print s }')
  wait:
    machine: true
    steps: [{run: "true"}]
workflows:
  day:
    jobs:
      - work: { name: one }
      - work: { name: two }
      - wait: { name: three }
"#;

fn set_heat(tree: &Path, millidegrees: u32) {
    let zone = tree.join("sys/class/thermal/thermal_zone0");
    fs::create_dir_all(&zone).unwrap();
    fs::write(zone.join("type"), "cpu-thermal\n").unwrap();
    fs::write(zone.join("mode"), "enabled\n").unwrap();
    // In one step, as the kernel answers: a reader never sees half a number.
    fs::write(zone.join("temp.new"), format!("{millidegrees}\n")).unwrap();
    fs::rename(zone.join("temp.new"), zone.join("temp")).unwrap();
}

fn log_of(house: &Appliance, job: &serde_json::Value) -> String {
    let number = job["job_number"].to_string();
    let output = house.cli(&["job", "log", PROJECT, &number]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn a_hot_machine_holds_jobs_pauses_them_and_says_why() {
    if !may_run_jobs() {
        return;
    }
    let house = Appliance::start();
    let tree = house.machine();
    set_heat(&tree, 50_000);
    let hardware = || house.api("GET", "/api/appliance/v1/hardware", None);
    wait_for("the sensor to be read", || {
        let thermal = &hardware()["readings"]["thermal"][0]["temperature"];
        (thermal["value"] == 50.0).then_some(())
    });
    let copy = WorkingCopy::new(&house, PROJECT, &account(&house, "dev", "member"));
    copy.commit(".circleci/config.yml", CONFIG, "Configure");
    copy.push();
    let pipeline = house.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    let running = wait_for("a job to run", || {
        house.jobs(&pipeline).into_iter().find(|job| job["status"] == "running")
    });
    wait_for("its first line", || log_of(&house, &running).contains("tick 1").then_some(()));

    set_heat(&tree, 88_000);
    let paused = wait_for("the pause", || Some(hardware()).filter(|now| now["paused"] == true));
    assert_eq!(paused["slots"], 0);
    assert_eq!(paused["bound_by"]["limiter"], "thermal");
    let why = wait_for("the reason of the job that waits", || {
        hardware()["held"][0]["why"].as_str().map(str::to_owned)
    });
    assert!(why.starts_with("held: thermal, cpu-thermal 8"), "{why}");
    assert!(why.ends_with(" °C of 80, 0 of 2 slots"), "{why}");
    wait_for("the log to say so", || {
        log_of(&house, &running).contains("Paused: thermal, cpu-thermal 8").then_some(())
    });
    let queued = house.jobs(&pipeline).into_iter().find(|job| job["status"] == "queued").unwrap();
    let path = format!("/api/v2/project/gh/{PROJECT}/job/{}", queued["job_number"]);
    assert!(house.api("GET", &path, None)["held"].as_str().unwrap().contains("thermal"));
    let watched = house.folder.path().join("watched");
    let mut watch = house.follow(&["pipeline", "watch", &pipeline], &watched);
    wait_for("the watcher to be told why", || {
        fs::read_to_string(&watched).unwrap().contains(": waits (held: thermal").then_some(())
    });
    let told = String::from_utf8(house.cli(&["hardware"]).stdout).unwrap();
    assert!(told.contains("0 of 2 slots") && told.contains("paused; bound by thermal"), "{told}");

    set_heat(&tree, 55_000);
    wait_for("the end of the pause", || (hardware()["paused"] == false).then_some(()));
    let states = house.wait_for_workflows(&pipeline);
    assert_eq!(states[0].1, "success", "{states:?}");
    let watched = wait_for("the watcher to end", || watch.try_wait().unwrap());
    assert!(watched.success(), "{watched}");
    let log = log_of(&house, &running);
    assert!(log.contains("Resumed after ") && log.contains("sum 5050"), "{log}");
    assert_eq!(log.matches("tick 12").count(), 1, "nothing ran twice: {log}");
}

/// What the machine says of its memory, of eight gibibytes.
fn set_memory(tree: &Path, mebibytes: u64) {
    let path = tree.join("proc/meminfo");
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let text = format!("MemTotal: 8388608 kB\nMemAvailable: {} kB\n", mebibytes * 1024);
    fs::write(path.with_extension("new"), text).unwrap();
    fs::rename(path.with_extension("new"), path).unwrap();
}

/// `tail` keeps what comes until a line ends, which here is never.
fn hungry(seconds: u32, message: &str) -> String {
    format!(
        "# {message}\nversion: 2.1\njobs:\n  hungry:\n    machine: true\n    steps: [{{run: \"head -c 40M /dev/zero | tail | wc -c; sleep {seconds}\"}}]\nworkflows:\n  day:\n    jobs: [hungry]\n"
    )
}

#[test]
fn a_job_waits_until_what_its_runs_needed_is_free() {
    if !may_run_jobs() {
        return;
    }
    let house = Appliance::start();
    let tree = house.machine();
    set_memory(&tree, 6000);
    let copy = WorkingCopy::new(&house, PROJECT, &account(&house, "dev", "member"));
    let push = |seconds, message| {
        copy.commit(".circleci/config.yml", &hungry(seconds, message), message);
        copy.push();
        house.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned()
    };
    for message in ["One", "Two", "Three"] {
        assert_eq!(house.wait_for_workflows(&push(0, message))[0].1, "success");
    }
    // A tenth is kept in reserve: twenty-one mebibytes are left.
    set_memory(&tree, 840);
    let free = || house.api("GET", "/api/appliance/v1/hardware", None)["memory_free"].as_u64();
    wait_for("the shortage to be seen", || free().filter(|free| *free < 22 << 20));
    let first = push(3600, "Four");
    wait_for("one to run, as nothing else does", || {
        (house.jobs(&first)[0]["status"] == "running").then_some(())
    });
    let second = push(0, "Five");
    let why = wait_for("the other to be held", || {
        let held = house.api("GET", "/api/appliance/v1/hardware", None)["held"][0]["why"].clone();
        held.as_str().filter(|why| why.contains("its runs need")).map(str::to_owned)
    });
    // What the first may still take is not free, and may be all of it.
    assert!(why.starts_with("held: memory, ") && why.ends_with(" are free"), "{why}");
    set_memory(&tree, 6000);
    assert_eq!(house.wait_for_workflows(&second)[0].1, "success");
    house.cancel(&first);
}
