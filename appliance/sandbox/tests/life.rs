//! A sandbox from its making to its end, and what it costs.

#[path = "support.rs"]
mod support;

use std::time::{Duration, Instant};
use support::{Place, reason_to_skip, run};

const LIMIT: Duration = Duration::from_secs(20);

fn main() {
    if let Some(reason) = reason_to_skip() {
        println!("skipped: {reason}");
        return;
    }
    let mut place = Place::new();
    for idle in [0u64, 300] {
        let mut times = vec![vec![], vec![], vec![], vec![]];
        for _ in 0..40 {
            let spec = place.spec();
            std::thread::sleep(Duration::from_millis(idle));
            let started = Instant::now();
            let mut sandbox = sandbox::Sandbox::create(&spec).unwrap();
            let a = started.elapsed();
            let out = tempfile::tempfile().unwrap();
            let exec = support::exec("/bin/true", &[], sandbox::User::default(), &out);
            let child = sandbox.spawn(exec).unwrap();
            sandbox.wait(&child, Some(LIMIT)).unwrap();
            let b = started.elapsed();
            sandbox.destroy().unwrap();
            let c = started.elapsed();
            times[0].push(a);
            times[1].push(b - a);
            times[2].push(c - b);
            times[3].push(c);
        }
        for t in &mut times {
            t.sort();
            println!("{:?} {:?} {:?}", t[0], t[t.len() / 2], t[t.len() * 95 / 100]);
        }
    }
    let _ = run;
}
