//! A sandbox from its making to its end, and what it costs.

#[path = "support.rs"]
mod support;

use std::time::{Duration, Instant};
use support::{Place, expect, reason_to_skip, run};

const LIMIT: Duration = Duration::from_secs(20);

fn main() {
    if let Some(reason) = reason_to_skip() {
        println!("skipped: {reason}");
        return;
    }
    let mut place = Place::new();
    let spec = place.spec();
    let started = Instant::now();
    let mut sandbox = sandbox::Sandbox::create(&spec).unwrap_or_else(|e| {
        let mut s = format!("{e}");
        let mut c: &dyn std::error::Error = &e;
        while let Some(n) = c.source() {
            s += &format!(": {n}");
            c = n;
        }
        panic!("{s}")
    });
    println!("create {:?}", started.elapsed());
    println!("{:?}", sandbox.warnings());
    let ran = run(
        &mut sandbox,
        "id; pwd; ls -la / /dev /etc | head -80; cat /proc/self/status | grep -i -E 'cap|seccomp|nonew'; cat /proc/mounts; cat /proc/self/cgroup; ps ax; ls -la /proc/self/fd; cat /etc/hosts; ip a",
        LIMIT,
    );
    println!("{}", ran.output);
    expect("x", &ran, ran.held());
    println!("{:?}", sandbox.usage());
    println!("{:?}", sandbox.destroy());
}
