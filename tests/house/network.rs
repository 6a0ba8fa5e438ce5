//! What a job reaches: the appliance's own faces, by name and certificate, and nothing else.

use crate::{
    git::account,
    harness::{Appliance, may_run_jobs, processes_of, wait_for},
    workspace::WorkingCopy,
};
use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

const PROJECT: &str = "acme/net";

/// `closed HOST PORT` succeeds when the port cannot be reached and the refusal comes at once.
const REACH: &str = r#"version: 2.1
jobs:
  reach:
    machine: true
    steps:
      - checkout
      - run: |
          curl --silent --show-error --fail --max-time 10 "$APPLIANCE_URL/healthz"
          git remote set-url origin "https://$LOGIN@${APPLIANCE_URL#https://}/git/$CIRCLE_PROJECT_USERNAME/$CIRCLE_PROJECT_REPONAME.git"
          git fetch --quiet origin
          git clone --quiet "https://$LOGIN@${APPLIANCE_URL#https://}/git/acme/net.git" copy
          test "$(git -C copy rev-parse HEAD)" = "$CIRCLE_SHA1"
          curl --silent --show-error --max-time 10 "$APPLIANCE_S3_URL/bucket" | grep NoSuchBucket
          echo services "reached"
      - run: |
          closed() {
            local begun=$SECONDS
            if timeout 20 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; then echo "$1:$2 is open"; return 1; fi
            [ $((SECONDS - begun)) -lt 15 ]
          }
          gateway=$(getent hosts appliance.internal | cut -d' ' -f1)
          closed "$gateway" $OTHER_PORT
          closed "$gateway" 22
          closed 127.0.0.1 $OTHER_PORT
          closed 169.254.169.254 80
          closed 192.0.2.1 80
          closed 10.231.0.99 80
          echo all "closed"
workflows:
  main:
    jobs: [reach]
"#;

/// Goes on only when the appliance was gone and has come back, over the link it had from the start.
const PATIENT: &str = r#"version: 2.1
jobs:
  wait:
    machine: true
    steps:
      - run: |
          ask() { curl --silent --output /dev/null --fail --max-time 20 "$APPLIANCE_URL/healthz"; }
          until ask; do sleep 0.1; done
          echo first "answer"
          until { ask; [ $? = 7 ]; }; do sleep 0.1; done
          until ask; do sleep 0.1; done
          echo second "answer"
workflows:
  main:
    jobs: [wait]
"#;

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A project whose jobs may clone it, and its working copy.
fn project(appliance: &Appliance, variables: &[(&str, &str)], config: &str) -> WorkingCopy {
    let login = account(appliance, "dev", "member");
    let copy = WorkingCopy::new(appliance, PROJECT, &login);
    copy.commit("README", "read me\n", "[skip ci] First");
    copy.push();
    for (name, value) in [&[("LOGIN", login.as_str())][..], variables].concat() {
        let body = serde_json::json!({ "name": name, "value": value }).to_string();
        appliance.api("POST", &format!("/api/v2/project/gh/{PROJECT}/envvar"), Some(&body));
    }
    copy.commit(".circleci/config.yml", config, "Reach");
    copy.push();
    copy
}

fn log(appliance: &Appliance, job: u32) -> String {
    let output = appliance.cli(&["job", "log", PROJECT, &job.to_string()]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The rules of jobs' links on this machine.
fn tables() -> String {
    let output = std::process::Command::new("nft").args(["list", "tables"]).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

#[test]
fn a_job_reaches_the_appliance_and_nothing_else() {
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let other = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = other.local_addr().unwrap().port().to_string();
    let copy = project(&appliance, &[("OTHER_PORT", &port)], REACH);
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    let states = appliance.wait_for_workflows(&pipeline);
    let told = log(&appliance, 1);
    assert_eq!(states[0].1, "success", "{told}");
    for text in ["services reached", "all closed", "Network: the appliance's services"] {
        assert!(told.contains(text), "`{text}` is missing:\n{told}");
    }
    // The same without a network: nothing is reached, and the log says why.
    let address = format!("/api/appliance/v1/project/gh/{PROJECT}/network");
    appliance.api("PUT", &address, Some(r#"{"reach":"off"}"#));
    assert_eq!(appliance.api("GET", &address, None)["reach"], "off");
    copy.commit("README", "again\n", "Off");
    copy.push();
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    assert_eq!(appliance.wait_for_workflows(&pipeline)[0].1, "failed");
    let told = log(&appliance, 2);
    assert!(told.contains("Network: off, as the project is set"), "{told}");
}

#[test]
fn a_running_job_keeps_its_link_when_everything_else_is_killed() {
    if !may_run_jobs() {
        return;
    }
    let ports = [free_port(), free_port()];
    let mut appliance = Appliance::start_with(ports, &[]);
    let _copy = project(&appliance, &[], PATIENT);
    wait_for("the job to reach the appliance", || {
        log(&appliance, 1).contains("first answer").then_some(())
    });
    let before = tables();
    appliance.kill();
    // Long enough for the job to see it: it asks ten times a second.
    let until = Instant::now() + Duration::from_secs(3);
    wait_for("the job to miss the appliance", || (Instant::now() >= until).then_some(()));
    appliance.start_again();
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    let states = appliance.wait_for_workflows(&pipeline);
    assert_eq!(states[0].1, "success", "{}", log(&appliance, 1));
    assert!(log(&appliance, 1).contains("second answer"));
    let rules: Vec<&str> = before.lines().filter(|line| line.contains(" apl-")).collect();
    // Jobs of other tests on this machine have links and rules of their own, which may still be needed.
    wait_for("the job's link to go", || {
        let links = fs::read_to_string("/proc/net/dev").ok()?;
        let is_gone = |line: &&str| !links.contains(line.rsplit(' ').next().unwrap_or_default());
        rules.is_empty().then_some(()).or_else(|| rules.iter().any(is_gone).then_some(()))
    });
    appliance.stop();
    let left: Vec<_> = rules.iter().filter(|line| tables().contains(**line)).collect();
    assert!(left.len() <= before.lines().count().saturating_sub(1), "rules stay behind: {left:?}");
}

#[test]
fn a_job_that_keeps_too_much_on_disk_is_ended_and_told() {
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start_with([0, 0], &[("APPLIANCE_JOB_DISK_GIB", "1")]);
    let step = "machine: true\n    steps:\n      - run: fallocate -l 1500M big; sleep 300\n      - run: {command: 'echo later', when: always}";
    let config = format!(
        "version: 2.1\njobs:\n  fill:\n    {step}\nworkflows:\n  main:\n    jobs: [fill]\n"
    );
    let _copy = project(&appliance, &[], &config);
    let pipeline = appliance.newest_pipeline(PROJECT)["id"].as_str().unwrap().to_owned();
    assert_eq!(appliance.wait_for_workflows(&pipeline)[0].1, "failed");
    let told = log(&appliance, 1);
    let expected = "Out of disk: the job kept 1.5 GiB and may keep 1 GiB";
    assert!(told.contains(expected) && !told.contains("later\n"), "{told}");
}

#[test]
fn runner_and_jobs_give_way_to_the_control_plane() {
    if !may_run_jobs() {
        return;
    }
    let appliance = Appliance::start();
    let data = appliance.data();
    let runner = wait_for("the runner", || {
        processes_of(&data).into_iter().find(|(_, line)| line.contains(" runner --socket"))
    });
    let read = |pid: u32, file: &str| {
        fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default()
    };
    let score = |pid: u32| read(pid, "oom_score_adj").trim().parse::<i32>().unwrap();
    wait_for("the runner to step back", || {
        (score(runner.0) > score(appliance.pid())).then_some(())
    });
    let groups = read(runner.0, "cgroup");
    let of_cpu = |line: &&str| line.contains("cpu,") || line.starts_with("0::");
    assert!(
        groups.lines().filter(of_cpu).all(|line| line.contains("/appliance-runner")),
        "{groups}"
    );
    assert!(!read(appliance.pid(), "cgroup").contains("/appliance-runner"));
}
