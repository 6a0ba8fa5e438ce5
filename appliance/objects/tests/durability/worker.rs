//! The process that is harmed: it opens the room, puts load on it and tells on its output.

use crate::{
    ledger::Ledger,
    load::{Line, Tell, Value, open},
    s3::S3,
};
use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::JoinHandle,
    time::Duration,
};

/// Longer than any round takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(120);

/// The worker's words: one line each, written at once.
struct Output;

fn say(word: &str, key: &str, rest: &str) {
    let line = format!("@ {word} {key} {}\n", rest.replace('\n', " "));
    let mut out = std::io::stdout().lock();
    // The parent may be gone; then nobody counts on the line.
    drop(out.write_all(line.as_bytes()).and_then(|()| out.flush()));
}

impl Tell for Output {
    fn begin(&self, key: &str, value: Value) {
        say("begin", key, &value.to_string());
    }
    fn done(&self, key: &str, value: Value) {
        say("done", key, &value.to_string());
    }
    fn failed(&self, key: &str, why: &str) {
        say("fail", key, why);
    }
}

/// Not a test by itself: the body of the worker process.
#[test]
fn worker() {
    let Some(dir) = std::env::var_os("OBJECTS_WORKER").map(PathBuf::from) else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let scratch = PathBuf::from(std::env::var_os("OBJECTS_SCRATCH").unwrap());
    let seed = number("OBJECTS_SEED").unwrap();
    let steps = number("OBJECTS_STEPS").unwrap_or(u64::MAX);
    let lines = number("OBJECTS_LINES").unwrap();
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if lines == 0 {
        // Calls of one kind come from one thread: the next one has a number that can be named.
        runtime.max_blocking_threads(1);
    }
    runtime.worker_threads(2).enable_all().build().unwrap().block_on(async {
        let ready = async {
            let (objects, _store) = open(&dir, None).await?;
            let s3 = S3::new(&objects).await?;
            Ok::<_, String>((objects, s3, _store))
        };
        let (objects, s3, _store) = match ready.await {
            Ok(ready) => ready,
            Err(why) => return say("fail", "open", &why),
        };
        if lines == 0 {
            say("begin", "-", "0.0");
            crate::collect::collect(&objects).await.unwrap();
        }
        let mut tasks = tokio::task::JoinSet::new();
        for line in 0..lines {
            let seed = seed * 1_000_000 + line * 100_000;
            let mut line = Line::new(&objects, &s3, format!("t{line}"), &scratch, seed);
            tasks.spawn(async move {
                for step in 0..steps {
                    line.step(step, &Output).await;
                }
            });
        }
        if lines > 0 && steps == u64::MAX {
            tasks.spawn(collect(objects.clone()));
            tasks.spawn(objects.keep());
        }
        tasks.join_all().await;
    });
    // Without closing the store: every end of the worker is a harsh one.
    say("end", "-", "");
}

/// Collects all the time, so that the harm meets a collection at every point of its way.
async fn collect(objects: objects::Objects) {
    loop {
        // What a cut disk refuses is of no interest: the comparison tells what it did.
        drop(objects.gc_now().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A running worker, its words taken into a ledger.
pub(crate) struct Worker {
    pub(crate) child: Child,
    reader: Option<JoinHandle<()>>,
    heard: Arc<(Mutex<u64>, Condvar)>,
}

/// How the worker is started.
pub(crate) struct Start<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) scratch: &'a Path,
    pub(crate) seed: u64,
    /// With none it collects what is garbage, once.
    pub(crate) lines: u64,
    /// All that it does; `None` goes on until it is killed.
    pub(crate) steps: Option<u64>,
    /// Put before the command, for example `strace` with its arguments.
    pub(crate) under: Vec<String>,
}

impl Worker {
    pub(crate) fn start(start: &Start<'_>, ledger: &Arc<Ledger>) -> Self {
        let this = std::env::current_exe().unwrap();
        let mut command = match start.under.split_first() {
            None => Command::new(&this),
            Some((program, arguments)) => {
                let mut command = Command::new(program);
                command.args(arguments).arg(&this);
                command
            }
        };
        command
            .args(["--exact", "worker::worker", "--nocapture", "--test-threads=1"])
            .env("OBJECTS_WORKER", start.dir)
            .env("OBJECTS_SCRATCH", start.scratch)
            .env("OBJECTS_SEED", start.seed.to_string())
            .env("OBJECTS_LINES", start.lines.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(steps) = start.steps {
            command.env("OBJECTS_STEPS", steps.to_string());
        }
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let heard = Arc::new((Mutex::new(0), Condvar::new()));
        let (ledger, told) = (Arc::clone(ledger), Arc::clone(&heard));
        let reader = std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                // The harness writes its own words in front of the first line.
                let Some(at) = line.find("@ ") else { continue };
                ledger.line(&line[at..]);
                *told.0.lock().unwrap() += 1;
                told.1.notify_all();
            }
        });
        Self { child, reader: Some(reader), heard }
    }

    /// Waits until it has said so many words.
    pub(crate) fn hear(&self, words: u64) {
        let (count, changed) = &*self.heard;
        let (count, late) = changed
            .wait_timeout_while(count.lock().unwrap(), DEADLINE, |count| *count < words)
            .unwrap();
        drop(count);
        assert!(!late.timed_out(), "the worker said too little within {DEADLINE:?}");
    }

    /// kill -9; what it said until then is in the ledger.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.end();
    }

    /// Waits for its own end.
    pub(crate) fn end(&mut self) {
        self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
    }
}
