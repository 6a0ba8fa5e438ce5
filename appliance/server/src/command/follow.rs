//! The log of a job, read or followed to its end.
//!
//! The way: a service that restarts is waited for, because its jobs go on; the log is then asked for again,
//! and what stands here already is passed over. A log that is another from there on, that of a new attempt,
//! say, is printed from its start, and that is said.
//! On failure: a service that is not back within a minute ends the command.

use super::{Code, field, watch};
use crate::{
    client::{Client, Failure},
    output,
};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;
use std::{
    hash::{DefaultHasher, Hasher},
    time::Duration,
};
use tokio::time::{Instant, sleep, timeout};

/// A log that says nothing for so long: is the service still there?
const SILENCE: Duration = Duration::from_secs(60);

/// Between two tries to reach it.
const AGAIN: Duration = Duration::from_secs(1);

/// What was printed of a log.
#[derive(Clone, Default)]
struct Printed {
    bytes: u64,
    sum: DefaultHasher,
}

impl Printed {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.sum.write(bytes);
    }

    fn is(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.sum.finish() == other.sum.finish()
    }
}

/// Where it is printed.
type Print<'a> = &'a mut dyn FnMut(&[u8]);

/// Prints a log, or why there is none, and who canceled the job.
pub(crate) async fn log(client: &Client, job: &str, follow: bool) -> anyhow::Result<Code> {
    let mut printed = Printed::default();
    let now = whole(client, job, follow, &mut printed, &mut output::raw).await?;
    tell(&now, printed.bytes == 0);
    Ok(0)
}

fn tell(job: &Value, is_empty: bool) {
    let tells = is_empty || job["status"] == "canceled";
    messages(job).filter(|_| tells).for_each(|message| output::error(&message));
    if is_empty && messages(job).next().is_none() {
        let held = job["held"].as_str().map_or_else(String::new, |why| format!(" ({why})"));
        output::error(&format!("nothing is printed: the job is {}{held}", field(job, "status")));
    }
}

/// Why it ended or may not run.
pub(super) fn messages(job: &Value) -> impl Iterator<Item = String> {
    job["messages"].as_array().into_iter().flatten().map(|told| field(told, "message"))
}

fn goes_on(job: &Value) -> bool {
    matches!(job["status"].as_str(), Some("running" | "queued" | "on_hold" | "blocked"))
}

/// The log to its end, over as many connections as it takes; the job as it is then.
async fn whole(
    client: &Client,
    job: &str,
    follow: bool,
    printed: &mut Printed,
    print: Print<'_>,
) -> Result<Value, Failure> {
    let (mut met, mut gone_since) = (false, None);
    loop {
        let begun = (Instant::now(), printed.bytes);
        match round(client, job, follow, printed, print, &mut met).await {
            Ok((now, true)) if !(follow && goes_on(&now)) => return Ok(now),
            Ok((_, false)) => output::note("the log is another now; it follows from its start:"),
            Ok(_) => {}
            Err(error) if follow && met && watch::is_gone(&error) => {}
            Err(error) => return Err(error),
        }
        if printed.bytes != begun.1 || begun.0.elapsed() >= SILENCE {
            gone_since = None;
        }
        if gone_since.get_or_insert_with(Instant::now).elapsed() > watch::RESTART {
            return Err(client.wrong("the log broke off while the job goes on: follow it again"));
        }
        sleep(AGAIN).await;
    }
}

/// One connection: prints what is new. The job then, and whether this was the same log as before.
async fn round(
    client: &Client,
    job: &str,
    follow: bool,
    printed: &mut Printed,
    print: Print<'_>,
    met: &mut bool,
) -> Result<(Value, bool), Failure> {
    let mut body = client.stream(&format!("{job}/log?follow={follow}")).await?;
    *met = true;
    let (before, mut again) = (printed.clone(), Printed::default());
    while let Some(data) = next(client, job, &mut body).await? {
        let left = usize::try_from(before.bytes - again.bytes).unwrap_or(usize::MAX);
        let (old, new) = data.split_at(left.min(data.len()));
        again.add(old);
        if !new.is_empty() {
            if !again.is(&before) {
                break;
            }
            print(new);
            printed.add(new);
        }
    }
    let is_same = again.is(&before);
    if !is_same {
        *printed = Printed::default();
    }
    Ok((client.get(job).await?, is_same))
}

/// The next piece, as long as somebody is there who may send one.
async fn next(client: &Client, job: &str, body: &mut Incoming) -> Result<Option<Bytes>, Failure> {
    loop {
        match timeout(SILENCE, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(frame)) => {
                let frame = frame.map_err(|error| client.unreachable(&error))?;
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
            // It answers, or this fails.
            Err(_) => drop(client.get::<Value>(job).await?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    const RUNNING: &str = r#"{"status":"running"}"#;
    const ENDED: &str = r#"{"status":"success"}"#;

    /// A service that answers one connection after the other so; a length beyond the text breaks off.
    async fn serve(listener: UnixListener, answers: Vec<(&'static str, usize)>) {
        for (text, length) in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 4096];
            assert!(stream.read(&mut asked).await.unwrap() > 0);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{text}");
            stream.write_all(head.as_bytes()).await.unwrap();
        }
    }

    async fn check(answers: &[(&'static str, usize)], expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("control.sock")).unwrap();
        let serving = tokio::spawn(serve(listener, answers.to_vec()));
        let client = Client::local(folder.path());
        let (mut text, mut printed) = (Vec::new(), Printed::default());
        let mut print = |bytes: &[u8]| text.extend_from_slice(bytes);
        let now = whole(&client, "/job", true, &mut printed, &mut print).await.unwrap();
        assert_eq!(now["status"], "success");
        assert_eq!(String::from_utf8(text).unwrap(), expected);
        serving.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_followed_log_goes_on_where_it_broke_off() {
        let job = |text: &'static str| (text, text.len());
        check(&[("one\ntwo\n", 8), job(ENDED)], "one\ntwo\n").await;
        // Cut in the middle, and closed as a service does that stops.
        let rows = [("one\nt", 99), ("one\ntwo\n", 8), job(RUNNING), ("one\ntwo\nthree\n", 14)];
        check(&[&rows[..], &[job(ENDED)]].concat(), "one\ntwo\nthree\n").await;
        // A new attempt, and one that said less.
        let rows = [("one\ntwo\n", 99), ("one\nTWO\n+", 9), job(ENDED), ("one\nTWO\n+", 9)];
        check(&[&rows[..], &[job(ENDED)]].concat(), "one\ntwo\none\nTWO\n+").await;
        let rows = [("one\ntwo\n", 99), ("1\n", 2), job(ENDED), ("1\n", 2), job(ENDED)];
        check(&rows, "one\ntwo\n1\n").await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_does_not_come_back_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join("control.sock")).unwrap();
        let serving = tokio::spawn(serve(listener, vec![("one\n", 99)]));
        let client = Client::local(folder.path());
        let mut printed = Printed::default();
        let failed = whole(&client, "/job", true, &mut printed, &mut |_| {}).await.unwrap_err();
        assert_eq!(failed.exit_code(), 7, "{failed}");
        serving.await.unwrap();
    }
}
