//! Isolates one job from the machine: namespaces, control groups, overlay, system-call filter.
