//! The folder that becomes a job's `/dev`.
//!
//! Why made here: only the host's root may make device nodes; bound one by one from the host's
//! `/dev` they would cost a mount each.
//! Invariants: the nodes are those that harm nobody, the same that the host has; they, the folder and
//! what else is in it belong to the job's root, and a change of them reaches no other job.
//! Source: devices of the kernel (`Documentation/admin-guide/devices.txt`), major 1 and 5.

use crate::layer::{Layer, Node};
use std::path::Path;

/// What is in it. Other file systems are put on the folders.
const NODES: [(&str, Node); 13] = [
    ("pts", Node::Folder { mode: 0o755, opaque: false }),
    ("shm", Node::Folder { mode: 0o755, opaque: false }),
    ("null", Node::Device(1, 3)),
    ("zero", Node::Device(1, 5)),
    ("full", Node::Device(1, 7)),
    ("random", Node::Device(1, 8)),
    ("urandom", Node::Device(1, 9)),
    ("tty", Node::Device(5, 0)),
    ("fd", Node::Link("/proc/self/fd")),
    ("stdin", Node::Link("/proc/self/fd/0")),
    ("stdout", Node::Link("/proc/self/fd/1")),
    ("stderr", Node::Link("/proc/self/fd/2")),
    ("ptmx", Node::Link("pts/ptmx")),
];

/// The folder's plan.
pub(super) fn layer() -> Layer {
    let mut layer = Layer::default();
    for (name, node) in NODES {
        layer.put(Path::new(name), node);
    }
    layer
}
