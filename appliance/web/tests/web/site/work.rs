//! Some days of work on a typical site: two projects, ends of every kind, one run that goes on.

use super::{
    Site, output,
    past::{Run, Spec, ended, good},
};
use base::{
    ids::{ProjectId, TaskId},
    state::{JobState, StepState, WorkflowState},
};

/// A configuration whose twelfth line is wrong.
pub(crate) const WRONG_CONFIG: &str = "version: 2.1
jobs:
  build:
    docker:
      - image: cimg/rust:1.95
    steps:
      - checkout
      - run: cargo build --release
workflows:
  release:
    jobs:
      - biuld:
          filters:
            tags:
              only: /^v.*/
";

/// What a typical site looks like: two projects and some days of work.
pub(crate) async fn populate(site: &Site) -> (TaskId, ProjectId) {
    use JobState::{Blocked, Canceled, Failed, NotRun, OnHold, Queued, Running, Success};
    let firmware = site.project("acme/relay-firmware").await;
    let console = site.project("acme/operator-console").await;
    let run =
        |project, number, first_job, ago, branch, subject, actor, workflow, state, jobs| Run {
            project,
            number,
            first_job,
            ago,
            branch,
            subject,
            actor,
            workflow,
            state,
            jobs,
            errors: vec![],
            config: "version: 2.1\n",
        };
    let firmware_jobs = |unit, arm, later: JobState, deploy| {
        vec![
            good("lint", &[], 3, 31),
            Spec { parallelism: 3, ..ended(good("unit-tests", &[], 4, 74), unit) },
            ended(good("build-arm64", &[0], 38, 96), arm),
            ended(good("build-x86_64", &[0], 39, 71), arm),
            ended(good("integration", &[1, 2, 3], 138, 122), later),
            ended(good("docs", &[0], 40, 18), Success),
            ended(good("hold-for-approval", &[4, 5], 262, 40), deploy),
            ended(
                good("flash-testbench", &[6], 304, 66),
                if deploy == Success {
                    Success
                } else if deploy == NotRun {
                    NotRun
                } else {
                    Blocked
                },
            ),
        ]
    };
    let subjects = [
        ("main", "Bump the GOOSE retransmission bound to 2 s", "jonas"),
        ("main", "Merge branch 'breaker-failure-50bf'", "mira"),
        (
            "feature/breaker-failure-50bf",
            "Trip the upstream breaker when ours fails to open",
            "mira",
        ),
        ("main", "Read calibration constants from the sealed page", "anneke"),
        ("fix/dst-clock", "Keep the sequence-of-events clock in UTC over daylight saving", "jonas"),
        ("main", "Update the toolchain to 1.95", "renovate"),
    ];
    for (index, (branch, subject, actor)) in subjects.into_iter().enumerate() {
        let number = 112 + index as u64;
        let ago = 9 * 3600 * (6 - index as u64) + 7000;
        let (state, jobs) = match index {
            2 => (WorkflowState::Canceled, firmware_jobs(Success, Canceled, NotRun, NotRun)),
            4 => (WorkflowState::Failed, firmware_jobs(Success, Success, Failed, NotRun)),
            _ => (WorkflowState::Success, firmware_jobs(Success, Success, Success, Success)),
        };
        site.past(run(
            firmware,
            number,
            100 + 8 * index as u64,
            ago,
            branch,
            subject,
            actor,
            "build-test-deploy",
            state,
            jobs,
        ))
        .await;
    }
    let console_jobs = |end| {
        vec![
            good("npm-ci", &[], 2, 22),
            good("eslint", &[0], 25, 12),
            ended(good("playwright", &[0], 26, 88), end),
            ended(good("bundle", &[1, 2], 116, 19), if end == Success { Success } else { NotRun }),
        ]
    };
    site.past(run(
        console,
        41,
        60,
        9000,
        "main",
        "Show feeder load as a sparkline",
        "anneke",
        "verify",
        WorkflowState::Success,
        console_jobs(Success),
    ))
    .await;
    site.past(run(
        console,
        42,
        64,
        5400,
        "alarm-list",
        "Sort alarms by priority, then by time",
        "jonas",
        "verify",
        WorkflowState::Failed,
        console_jobs(Failed),
    ))
    .await;
    site.past(Run {
        errors: vec![
            ".circleci/config.yml:12:9: Cannot find a definition for job named biuld (did you mean `build`?)",
            ".circleci/config.yml:11:5: the workflow `release` runs no job that is defined",
        ],
        config: WRONG_CONFIG,
        ..run(console, 43, 70, 4100, "release-job", "Release on version tags", "anneke", "release", WorkflowState::Error, vec![])
    }).await;
    let hold = firmware_jobs(Success, Success, Success, OnHold);
    site.past(run(
        firmware,
        118,
        200,
        2500,
        "main",
        "Merge branch 'modbus-tcp-keepalive'",
        "mira",
        "build-test-deploy",
        WorkflowState::OnHold,
        hold,
    ))
    .await;
    let failed = firmware_jobs(Failed, Success, NotRun, NotRun);
    let jobs = site
        .past(run(
            firmware,
            119,
            220,
            1300,
            "fix/short-crc",
            "Reject Modbus frames that are shorter than their CRC",
            "jonas",
            "build-test-deploy",
            WorkflowState::Failed,
            failed,
        ))
        .await;
    let task = site
        .steps(
            jobs[1],
            &[
                ("Spin up environment", 1, StepState::Success, output::SPIN_UP),
                ("Checkout code", 2, StepState::Success, output::CHECKOUT),
                ("Restoring cache", 3, StepState::Success, output::CACHE),
                (
                    "cargo nextest run --profile ci --workspace --locked",
                    64,
                    StepState::Failed,
                    output::TESTS_FAIL,
                ),
                ("Saving cache", 0, StepState::Skipped, ""),
                ("Uploading test results", 1, StepState::Success, "Read 9 files, 214 tests"),
                ("Uploading artifacts", 2, StepState::Success, "Stored 6 files, 1.9 MiB\n"),
            ],
        )
        .await;
    for (path, size) in [
        ("coverage/index.html", 48_231),
        ("coverage/style.css", 4_120),
        ("coverage/bars.svg", 1_320),
        ("coverage/core/breaker.rs.html", 91_034),
        ("junit/core.xml", 18_230),
        ("junit/modbus.xml", 7_421),
        ("relay-core-2.4.0.crate", 1_803_211),
    ] {
        let mut bytes = match path {
            "coverage/index.html" => output::COVERAGE.as_bytes().to_vec(),
            "coverage/style.css" => output::COVERAGE_STYLE.as_bytes().to_vec(),
            "coverage/bars.svg" => output::COVERAGE_BARS.as_bytes().to_vec(),
            "junit/core.xml" => b"<testsuite name=\"core\" tests=\"214\"/>".to_vec(),
            _ => vec![b'x'],
        };
        // As long as a real one.
        bytes.resize(size, if path.contains('.') { b'\n' } else { b'x' });
        site.artifact(task, path, bytes).await;
    }
    site.results(task, &[
        ("rejects_short_crc", "relay-modbus::frame", "failure", 182, "assertion `left == right` failed: a frame of 3 bytes has no CRC\n  left: Ok(Frame { unit: 17, function: ReadHolding, data: [] })\n right: Err(Truncated { wanted: 4, got: 3 })"),
        ("opens_on_overcurrent", "relay-core::breaker", "success", 4, ""),
        ("recloses_after_dead_time", "relay-core::breaker", "success", 6, ""),
        ("inverse_time_matches_c37_112", "relay-core::curve", "success", 11, ""),
        ("retransmits_with_backoff", "relay-iec61850::goose", "success", 22, ""),
        ("survives_a_full_flash_page", "relay-core::journal", "success", 1840, ""),
        ("hardware_watchdog_resets", "relay-core::watchdog", "skipped", 0, ""),
    ]).await;
    let mut live = firmware_jobs(Running, Running, Blocked, Blocked);
    live[0] = good("lint", &[], 3, 31);
    live[3] = ended(good("build-x86_64", &[0], 39, 0), Queued);
    live[5] = ended(good("docs", &[0], 40, 0), Queued);
    let jobs = site
        .past(run(
            firmware,
            120,
            240,
            71,
            "fix/short-crc",
            "Test frames of every length from 0 to 256",
            "jonas",
            "build-test-deploy",
            WorkflowState::Running,
            live,
        ))
        .await;
    let task = site
        .steps(
            jobs[1],
            &[
                ("Spin up environment", 1, StepState::Success, output::SPIN_UP),
                ("Checkout code", 2, StepState::Success, output::CHECKOUT),
                (
                    "cargo nextest run --profile ci --workspace --locked",
                    60,
                    StepState::Running,
                    "\x1b[1m\x1b[32m   Compiling\x1b[0m relay-core v2.4.0 (/root/project/core)\n",
                ),
            ],
        )
        .await;
    (task, firmware)
}
