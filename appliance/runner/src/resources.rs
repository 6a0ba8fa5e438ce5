//! From a resource class to limits that this machine can keep.
//!
//! Why: a configuration written for a large service names classes larger than an edge machine.
//! The class keeps its meaning where it fits and is clamped to the machine where it does not; the
//! log tells which happened.
//! Units: memory in bytes, processors as whole numbers.
//! Source: the resource classes of the original service (vCPU and GB of memory).

use base::{plan::Executor, units::Bytes};

/// What a job may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Processors.
    pub cpus: u32,
    /// Memory, without swap.
    pub memory: Bytes,
    /// Processes and threads.
    pub processes: u32,
}

/// What the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Processors that this process may use.
    pub cpus: u32,
    /// All of its memory.
    pub memory: Bytes,
}

/// A class that no table names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "resource class `{0}` is not known: use small, medium, medium+, large, xlarge, 2xlarge, 2xlarge+, an arm. class, or a runner class such as acme/relay-lab"
)]
pub(crate) struct UnknownClass(String);

/// A fork bomb ends here, a parallel build does not.
const PROCESSES_PER_CPU: u32 = 1024;

/// Kept for the appliance itself: a job never gets the last of the machine's memory.
const MEMORY_KEPT: Bytes = Bytes::mib(128);

/// Class, processors, GiB for `docker`.
const CONTAINER: &[(&str, u32, u64)] = &[
    ("small", 1, 2),
    ("medium", 2, 4),
    ("medium+", 3, 6),
    ("large", 4, 8),
    ("xlarge", 8, 16),
    ("2xlarge", 16, 32),
    ("2xlarge+", 20, 40),
];

/// Class, processors, MiB for `machine`.
const MACHINE: &[(&str, u32, u64)] = &[
    ("medium", 2, 7680),
    ("large", 4, 15360),
    ("xlarge", 8, 32768),
    ("2xlarge", 16, 65536),
    ("2xlarge+", 32, 65536),
];

/// Class, processors, GiB for either on arm.
const ARM: &[(&str, u32, u64)] =
    &[("arm.medium", 2, 8), ("arm.large", 4, 16), ("arm.xlarge", 8, 32), ("arm.2xlarge", 16, 64)];

/// The limits of `class` for `executor` on `machine`.
pub(crate) fn limits(
    executor: &Executor,
    class: Option<&str>,
    machine: Machine,
) -> Result<Limits, UnknownClass> {
    let (cpus, memory) = match class {
        // A runner class says where, not how much: the whole machine.
        Some(class) if class.contains('/') => (machine.cpus, machine.memory),
        _ => wanted(executor, class.unwrap_or("medium"))?,
    };
    let cpus = cpus.min(machine.cpus).max(1);
    let most = Bytes(machine.memory.0.saturating_sub(MEMORY_KEPT.0).max(MEMORY_KEPT.0));
    Ok(Limits { cpus, memory: memory.min(most), processes: cpus * PROCESSES_PER_CPU })
}

fn wanted(executor: &Executor, class: &str) -> Result<(u32, Bytes), UnknownClass> {
    let plain =
        class.strip_suffix(".gen2").or_else(|| class.strip_suffix(".gen3")).unwrap_or(class);
    let find = |table: &[(&str, u32, u64)], unit: fn(u64) -> Bytes| {
        table.iter().find(|row| row.0 == plain).map(|row| (row.1, unit(row.2)))
    };
    let own = match executor {
        Executor::Machine { .. } => find(MACHINE, Bytes::mib),
        _ => find(CONTAINER, Bytes::gib),
    };
    // A class of the other executor still says how much is meant.
    own.or_else(|| find(ARM, Bytes::gib))
        .or_else(|| find(CONTAINER, Bytes::gib))
        .ok_or_else(|| UnknownClass(class.chars().take(64).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BIG: Machine = Machine { cpus: 64, memory: Bytes::gib(256) };
    const SMALL: Machine = Machine { cpus: 2, memory: Bytes::gib(4) };

    fn check(executor: &Executor, class: Option<&str>, machine: Machine, cpus: u32, memory: Bytes) {
        let found = limits(executor, class, machine).unwrap();
        assert_eq!((found.cpus, found.memory), (cpus, memory), "{class:?}");
    }

    #[test]
    fn classes_mean_what_they_mean_elsewhere() {
        let docker = Executor::Docker { images: Vec::new() };
        let machine = Executor::Machine { image: None };
        check(&docker, None, BIG, 2, Bytes::gib(4));
        check(&docker, Some("small"), BIG, 1, Bytes::gib(2));
        check(&docker, Some("large.gen2"), BIG, 4, Bytes::gib(8));
        check(&machine, Some("medium"), BIG, 2, Bytes::mib(7680));
        check(&machine, Some("arm.large"), BIG, 4, Bytes::gib(16));
        check(&machine, Some("small"), BIG, 1, Bytes::gib(2));
    }

    #[test]
    fn a_class_is_clamped_to_the_machine() {
        let docker = Executor::Docker { images: Vec::new() };
        check(&docker, Some("2xlarge"), SMALL, 2, Bytes::mib(4096 - 128));
        check(&docker, Some("acme/lab"), SMALL, 2, Bytes::mib(4096 - 128));
    }

    #[test]
    fn an_unknown_class_is_named() {
        let error = limits(&Executor::Machine { image: None }, Some("giant"), BIG).unwrap_err();
        assert!(error.to_string().contains("`giant`"), "{error}");
    }
}
