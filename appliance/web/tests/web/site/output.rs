//! What builds print, as they really print it: colours, progress bars, long lines.

/// `cargo nextest` with one failure.
pub(crate) const TESTS_FAIL: &str = "\x1b[1m\x1b[32m   Compiling\x1b[0m relay-core v2.4.0 (/root/project/core)
\x1b[1m\x1b[32m   Compiling\x1b[0m relay-modbus v2.4.0 (/root/project/modbus)
\x1b[1m\x1b[32m   Compiling\x1b[0m relay-iec61850 v2.4.0 (/root/project/iec61850)
\x1b[1m\x1b[33mwarning\x1b[0m\x1b[1m: unused variable: `deadline`\x1b[0m
  \x1b[1m\x1b[34m-->\x1b[0m core/src/breaker.rs:88:13
   \x1b[1m\x1b[34m|\x1b[0m
\x1b[1m\x1b[34m88\x1b[0m \x1b[1m\x1b[34m|\x1b[0m         let deadline = now + TRIP_TIME;
   \x1b[1m\x1b[34m|\x1b[0m             \x1b[1m\x1b[33m^^^^^^^^\x1b[0m \x1b[1m\x1b[33mhelp: prefix it with an underscore: `_deadline`\x1b[0m
\x1b[1m\x1b[32m    Finished\x1b[0m `test` profile [unoptimized + debuginfo] target(s) in 41.87s
\x1b[1m\x1b[32m    Starting\x1b[0m \x1b[1m214\x1b[0m tests across \x1b[1m9\x1b[0m binaries
\x1b[32m\x1b[1m        PASS\x1b[0m [   0.004s] \x1b[35m\x1b[1mrelay-core\x1b[0m \x1b[36mbreaker::\x1b[0m\x1b[34m\x1b[1mopens_on_overcurrent\x1b[0m
\x1b[32m\x1b[1m        PASS\x1b[0m [   0.006s] \x1b[35m\x1b[1mrelay-core\x1b[0m \x1b[36mbreaker::\x1b[0m\x1b[34m\x1b[1mrecloses_after_dead_time\x1b[0m
\x1b[32m\x1b[1m        PASS\x1b[0m [   0.011s] \x1b[35m\x1b[1mrelay-core\x1b[0m \x1b[36mcurve::\x1b[0m\x1b[34m\x1b[1minverse_time_matches_c37_112\x1b[0m
\x1b[31m\x1b[1m        FAIL\x1b[0m [   0.182s] \x1b[35m\x1b[1mrelay-modbus\x1b[0m \x1b[36mframe::\x1b[0m\x1b[34m\x1b[1mrejects_short_crc\x1b[0m

\x1b[31m\x1b[1m--- STDERR:              \x1b[0m\x1b[35m\x1b[1mrelay-modbus\x1b[0m \x1b[36mframe::\x1b[0m\x1b[34m\x1b[1mrejects_short_crc\x1b[0m\x1b[31m\x1b[1m ---\x1b[0m
thread 'frame::rejects_short_crc' panicked at modbus/src/frame.rs:141:9:
assertion `left == right` failed: a frame of 3 bytes has no CRC
  left: Ok(Frame { unit: 17, function: ReadHolding, data: [] })
 right: Err(Truncated { wanted: 4, got: 3 })
note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace

\x1b[32m\x1b[1m        PASS\x1b[0m [   0.022s] \x1b[35m\x1b[1mrelay-iec61850\x1b[0m \x1b[36mgoose::\x1b[0m\x1b[34m\x1b[1mretransmits_with_backoff\x1b[0m
\x1b[1m------------\x1b[0m
\x1b[31m\x1b[1m     Summary\x1b[0m [   3.918s] \x1b[1m214\x1b[0m tests run: \x1b[1m213\x1b[0m \x1b[32m\x1b[1mpassed\x1b[0m, \x1b[1m1\x1b[0m \x1b[31m\x1b[1mfailed\x1b[0m, \x1b[1m2\x1b[0m \x1b[33m\x1b[1mskipped\x1b[0m
\x1b[31m\x1b[1m        FAIL\x1b[0m [   0.182s] \x1b[35m\x1b[1mrelay-modbus\x1b[0m \x1b[36mframe::\x1b[0m\x1b[34m\x1b[1mrejects_short_crc\x1b[0m
\x1b[31m\x1b[1merror\x1b[0m: test run failed

Exited with code exit status 100
";

/// The first step of every job.
pub(crate) const SPIN_UP: &str = "Sandbox on substation-7 (Linux 6.1, 4 CPUs, 8 GiB)
Image cimg/rust:1.95 from the local registry, 3 layers, 412 MiB
Resource class medium: 2 CPUs, 4 GiB memory, 512 processes
Network: site
Ready in 38 ms
";

/// A clone with a progress bar that redraws itself.
pub(crate) const CHECKOUT: &str = "Cloning into '.'...
remote: Enumerating objects: 4182, done.
Receiving objects:  10% (419/4182)\rReceiving objects:  55% (2301/4182)\rReceiving objects: 100% (4182/4182), 2.91 MiB | 48.20 MiB/s, done.
Resolving deltas:  50% (1204/2408)\rResolving deltas: 100% (2408/2408), done.
HEAD is now at 4f1c9ab Reject Modbus frames that are shorter than their CRC
";

/// A cache that was found.
pub(crate) const CACHE: &str = "Found a cache from job 118 at cargo-v3-7d19f8e2
Size: 214.6 MiB
Unpacked in 1.9 s
";

/// A report as tools of coverage write it: a page with a style sheet and a drawing beside it.
pub(crate) const COVERAGE: &str = r#"<!doctype html><meta charset=utf-8><title>Coverage</title>
<link rel=stylesheet href=style.css>
<h1>Coverage of relay-firmware</h1>
<img src=bars.svg alt="A bar for each crate">
<table><tr><th>File<th>Lines<tr><td><a href="core/breaker.rs.html">core/breaker.rs</a><td>94 %
<tr><td>core/curve.rs<td>88 %</table>
<script>document.body.innerHTML = "a script has run"</script>
"#;

/// Its style sheet.
pub(crate) const COVERAGE_STYLE: &str = "body { font: 15px sans-serif; margin: 24px; color: #124 }
h1 { color: #0b6b63; border-bottom: 3px solid } td, th { padding: 4px 20px 4px 0; text-align: left }
";

/// Its drawing.
pub(crate) const COVERAGE_BARS: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="420" height="90">
<rect width="394" height="26" y="8" fill="#0b6b63"/><rect width="369" height="26" y="48" fill="#3fd0bf"/></svg>
"##;
