//! Bounds that more than one room must agree on, each with its reason.
//!
//! A bound that only one room knows lives in that room.

use std::time::Duration;

/// How long a runner holds a task without being heard. Three missed heartbeats.
pub const LEASE: Duration = Duration::from_secs(30);

/// How often a runner tells that it is alive; the design's 10 s leaves two tries within a lease.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// The longest a claim request waits for work before it answers that there is none.
pub const CLAIM_WAIT: Duration = Duration::from_secs(20);

/// One frame of step output. Small enough to bound memory per request, large enough that a
/// million lines need only some hundreds of requests.
pub const OUTPUT_FRAME_MAX: usize = 256 << 10;

/// Output kept of one step; a job that prints more is told so in its log. 10 GB printed by
/// mistake must not fill an edge disk.
pub const STEP_OUTPUT_MAX: u64 = 400 << 20;

/// A job that runs longer is stopped with `timedout` (the original service's five hours).
pub const JOB_RUNTIME_MAX: Duration = Duration::from_secs(5 * 3600);

/// A step that prints nothing for this long is stopped, unless it says otherwise.
pub const NO_OUTPUT_TIMEOUT: Duration = Duration::from_secs(600);

/// The largest `.circleci/config.yml` that is read, as on the original service.
pub const CONFIG_MAX: usize = 8 << 20;

/// How often a job is started anew after its runner, supervisor or machine was lost.
pub const INFRASTRUCTURE_RETRIES: u32 = 5;

/// Reruns of one workflow, as on the original service.
pub const RERUNS_MAX: u32 = 100;
