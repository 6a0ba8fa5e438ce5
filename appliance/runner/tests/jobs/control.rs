//! A control side in memory that speaks the runner protocol, and keeps it strictly.

use super::task::Task;
use base::{
    ids::{Fence, RunnerId, TaskId},
    protocol::{
        Assignment, CacheHit, Claimed, Heartbeat, Presigned, Progress, Refusal, Registered, Report,
        Reported, StoreConfirm, StoreRequest, StoreTarget, Verdict, Verdicts, WorkspaceLayer,
    },
    secret::Secret,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use std::{
    collections::{HashMap, VecDeque},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::UnixListener, sync::watch};
use uuid::Uuid;

/// As the server has it.
const REPORT_MAX: usize = 16 << 20;

#[derive(Default)]
pub(crate) struct State {
    pub(crate) queue: VecDeque<Assignment>,
    pub(crate) tasks: HashMap<TaskId, Task>,
    pub(crate) objects: HashMap<String, Bytes>,
    pub(crate) caches: Vec<(String, StoreConfirm)>,
    pub(crate) layers: Vec<(String, String, Vec<String>)>,
    pub(crate) checkout: Vec<u8>,
    /// How often a runner has registered; what an earlier one asked is void.
    pub(crate) registrations: u32,
    /// How fast jobs may go.
    pub(crate) pace: base::protocol::Pace,
    /// The runner is to send a heartbeat.
    pub(crate) news: Option<()>,
    /// Every request is answered with 503.
    pub(crate) down: bool,
    /// Answers to requests whose path contains the word wait so long.
    pub(crate) slow: Option<(&'static str, Duration)>,
    /// How a checkout is answered in place of the archive.
    pub(crate) no_checkout: Option<(StatusCode, &'static str)>,
    /// Test results are rejected.
    pub(crate) rejects_tests: bool,
    /// Tasks that were given in the answer to another's end.
    pub(crate) handed_over: u32,
}

/// The control side and where it listens.
pub(crate) struct Control {
    pub(crate) socket: PathBuf,
    pub(crate) state: Arc<Mutex<State>>,
    changed: watch::Sender<()>,
}

impl Control {
    pub(crate) fn listen(folder: &Path) -> Arc<Self> {
        let socket = folder.join("control.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let control =
            Arc::new(Self { socket, state: Arc::default(), changed: watch::Sender::new(()) });
        let serving = control.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let control = serving.clone();
                tokio::spawn(async move {
                    let service = service_fn(|request| answer(control.clone(), request));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        control
    }

    pub(crate) fn assign(&self, assignment: Assignment) -> TaskId {
        let task = assignment.task;
        let mut state = self.state.lock().unwrap();
        state.tasks.insert(task, Task { fence: Some(assignment.fence), ..Task::default() });
        state.queue.push_back(assignment);
        drop(state);
        self.changed.send_replace(());
        task
    }

    /// Asks the runner to stop a task.
    pub(crate) fn cancel(&self, task: TaskId) {
        let mut state = self.state.lock().unwrap();
        state.tasks.get_mut(&task).unwrap().verdict = Some(Verdict::Cancel);
        state.news = Some(());
        drop(state);
        self.changed.send_replace(());
    }

    /// Sets how fast jobs may go.
    pub(crate) fn set_pace(&self, quota: u32, pause: bool, why: &str) {
        let mut state = self.state.lock().unwrap();
        let number = state.pace.number + 1;
        state.pace = base::protocol::Pace { number, quota, pause, why: why.into() };
        drop(state);
        self.changed.send_replace(());
    }

    pub(crate) fn task(&self, task: TaskId) -> Task {
        self.state.lock().unwrap().tasks[&task].clone()
    }

    /// Waits until the task satisfies `done`; fails the test after `limit`.
    pub(crate) async fn until(
        &self,
        task: TaskId,
        limit: Duration,
        done: impl Fn(&Task) -> bool,
    ) -> Task {
        let mut changes = self.changed.subscribe();
        let wait = async {
            loop {
                changes.borrow_and_update();
                let now = self.task(task);
                if done(&now) {
                    return now;
                }
                changes.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(limit, wait).await {
            Ok(task) => task,
            Err(_) => {
                let now = self.task(task);
                panic!(
                    "not within {limit:?}: {:#?}\noutput {:?}",
                    now.progress,
                    now.output.keys().map(|step| now.text(*step)).collect::<Vec<_>>()
                )
            }
        }
    }

    pub(crate) async fn finished(&self, task: TaskId) -> Task {
        self.until(task, Duration::from_secs(30), |task| task.outcome().is_some()).await
    }
}

type Answer = Result<Vec<u8>, (StatusCode, Vec<u8>)>;

async fn answer(
    control: Arc<Control>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let path = head.uri.path().to_owned();
    let query: HashMap<String, String> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let answer = if control.state.lock().unwrap().down {
        Err((StatusCode::SERVICE_UNAVAILABLE, b"down".to_vec()))
    } else if path == "/runner/v1/claim" {
        Ok(claim(&control, &body).await)
    } else if path == "/runner/v1/pace" {
        Ok(pace(&control, &body).await)
    } else {
        carry_out(&control, head.method.as_str(), &path, &query, &body)
    };
    control.changed.send_replace(());
    let slow = control.state.lock().unwrap().slow.filter(|(word, _)| path.contains(word));
    tokio::time::sleep(slow.map_or(Duration::ZERO, |(_, wait)| wait)).await;
    let (status, content) = match answer {
        Ok(content) => (StatusCode::OK, content),
        Err(refused) => refused,
    };
    Ok(Response::builder().status(status).body(Full::new(content.into())).unwrap())
}

async fn claim(control: &Control, body: &[u8]) -> Vec<u8> {
    let claim: base::protocol::Claim = serde_json::from_slice(body).unwrap();
    let mut changes = control.changed.subscribe();
    let deadline = tokio::time::Instant::now() + claim.wait;
    let runner = control.state.lock().unwrap().registrations;
    loop {
        changes.borrow_and_update();
        let assignments: Vec<Assignment> = {
            let mut state = control.state.lock().unwrap();
            if state.registrations != runner {
                return json(&Claimed::default());
            }
            let count = state.queue.len().min(claim.free_slots as usize);
            state.queue.drain(..count).collect()
        };
        if !assignments.is_empty() {
            return json(&Claimed { assignments });
        }
        let news = control.state.lock().unwrap().news.take().is_some();
        if news || tokio::time::timeout_at(deadline, changes.changed()).await.is_err() {
            return json(&Claimed::default());
        }
    }
}

async fn pace(control: &Control, body: &[u8]) -> Vec<u8> {
    let ask: base::protocol::PaceAsk = serde_json::from_slice(body).unwrap();
    let mut changes = control.changed.subscribe();
    let deadline = tokio::time::Instant::now() + ask.wait;
    loop {
        changes.borrow_and_update();
        let pace = control.state.lock().unwrap().pace.clone();
        if pace.number != ask.seen
            || tokio::time::timeout_at(deadline, changes.changed()).await.is_err()
        {
            return json(&pace);
        }
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

fn refuse(refusal: &Refusal) -> (StatusCode, Vec<u8>) {
    (StatusCode::CONFLICT, json(refusal))
}

fn carry_out(
    control: &Control,
    method: &str,
    path: &str,
    query: &HashMap<String, String>,
    body: &Bytes,
) -> Answer {
    let mut state = control.state.lock().unwrap();
    let state = &mut *state;
    if let Some(key) = path.strip_prefix("/objects/") {
        return object(state, method, key, body);
    }
    match path {
        "/runner/v1/register" => {
            state.registrations += 1;
            return Ok(json(&Registered { runner: RunnerId(Uuid::nil()) }));
        }
        "/runner/v1/heartbeat" => return Ok(heartbeat(state, body)),
        "/runner/v1/report" if body.len() > REPORT_MAX => {
            return Err((StatusCode::PAYLOAD_TOO_LARGE, Vec::new()));
        }
        "/runner/v1/report" => return report(state, body),
        _ => {}
    }
    let task = query.get("task").map(String::as_str).or_else(|| path.split('/').nth(4));
    let task: TaskId = task.unwrap().parse().unwrap();
    let fence = Fence(query["fence"].parse().unwrap());
    if state.tasks[&task].fence != Some(fence) {
        return Err(refuse(&Refusal::Fenced));
    }
    match path.rsplit('/').next().unwrap() {
        "output" => output(state.tasks.get_mut(&task).unwrap(), query, body),
        "store" => Ok(json(&store(state, &serde_json::from_slice(body).unwrap()))),
        "confirm" => Ok(confirm(state, serde_json::from_slice(body).unwrap())),
        "cache" => Ok(json(&cache(state, body))),
        "workspace" => Ok(json(&workspace(state))),
        "checkout" => match state.no_checkout {
            None => Ok(state.checkout.clone()),
            Some((status, message)) => Err((status, message.into())),
        },
        "timings" => Ok(br#"[{"file":"slow","time":9},{"file":"a","time":1},{"file":"b","time":1},{"file":"c","time":1}]"#.to_vec()),
        "image" => Err((
            StatusCode::NOT_FOUND,
            br#"{"message":"image not here: appliance registry import it"}"#.to_vec(),
        )),
        other => panic!("{other}"),
    }
}

fn heartbeat(state: &State, body: &[u8]) -> Vec<u8> {
    let heartbeat: Heartbeat = serde_json::from_slice(body).unwrap();
    assert!(!heartbeat.held.is_empty(), "whoever holds nothing is heard by its claims");
    let verdict = |held: &base::protocol::Held| {
        let known = state.tasks.get(&held.task).filter(|task| task.fence == Some(held.fence));
        (held.task, known.map_or(Verdict::Lost, |task| task.verdict.unwrap_or(Verdict::Keep)))
    };
    json(&Verdicts { verdicts: heartbeat.held.iter().map(verdict).collect() })
}

fn report(state: &mut State, body: &[u8]) -> Answer {
    let report: Report = serde_json::from_slice(body).unwrap();
    let has_tests =
        |progress: &Progress| matches!(progress, Progress::Tests { tests } if !tests.is_empty());
    if state.rejects_tests && report.progress.iter().any(has_tests) {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, Vec::new()));
    }
    let task = state.tasks.get_mut(&report.task).unwrap();
    if task.fence != Some(report.fence) {
        return Err(refuse(&Refusal::Fenced));
    }
    let expected = task.progress.len() as u64;
    if report.first > expected {
        return Err(refuse(&Refusal::Gap { expected }));
    }
    for (number, mut progress) in (report.first..).zip(report.progress) {
        if let Progress::StepEnded { step, output_bytes, rest, .. } = &mut progress {
            let offset = usize::try_from(*output_bytes).unwrap() - rest.len();
            task.take(*step, offset, &std::mem::take(rest))
                .map_err(|expected| refuse(&Refusal::OutputMissing { step: *step, expected }))?;
        }
        if number < expected {
            assert_eq!(
                task.progress[usize::try_from(number).unwrap()],
                progress,
                "a number names one report for ever"
            );
            continue;
        }
        if let Progress::StepEnded { step, output_bytes, .. } = &progress {
            let length = task.output.get(step).map_or(0, |output| output.len() as u64);
            assert_eq!(length, *output_bytes, "no output comes after the end of its step");
        }
        assert!(task.outcome().is_none(), "nothing follows the end");
        task.progress.push(progress);
    }
    let verdict = task.verdict.unwrap_or(Verdict::Keep);
    let wants = report.wants_next && task.outcome().is_some();
    let next = wants.then(|| state.queue.pop_front()).flatten().map(Box::new);
    state.handed_over += u32::from(next.is_some());
    Ok(json(&Reported { verdict, next }))
}

fn output(task: &mut Task, query: &HashMap<String, String>, body: &[u8]) -> Answer {
    let (step, offset): (u32, usize) =
        (query["step"].parse().unwrap(), query["offset"].parse().unwrap());
    assert!(body.len() <= base::limits::OUTPUT_FRAME_MAX && !body.is_empty());
    task.sent.insert(step);
    task.take(step, offset, body).map_err(|expected| refuse(&Refusal::Gap { expected }))?;
    Ok(Vec::new())
}

fn object(state: &mut State, method: &str, key: &str, body: &Bytes) -> Answer {
    if method == "PUT" {
        state.objects.insert(key.to_owned(), body.clone());
        return Ok(Vec::new());
    }
    state.objects.get(key).map(|bytes| bytes.to_vec()).ok_or((StatusCode::NOT_FOUND, Vec::new()))
}

fn presigned(key: &str) -> Presigned {
    Presigned { url: Secret::new(format!("/objects/{key}")) }
}

fn store(state: &State, request: &StoreRequest) -> StoreTarget {
    if let StoreRequest::Cache { key } = request
        && state.caches.iter().any(|cache| cache.0 == *key)
    {
        return StoreTarget::Exists;
    }
    let key = Uuid::new_v4().to_string();
    StoreTarget::Put { to: presigned(&key), key }
}

fn confirm(state: &mut State, confirm: StoreConfirm) -> Vec<u8> {
    assert_eq!(state.objects[&confirm.key].len() as u64, confirm.size);
    match &confirm.request {
        StoreRequest::Cache { key } => state.caches.push((key.clone(), confirm)),
        StoreRequest::Workspace => {
            let job = format!("job-{}", state.layers.len());
            state.layers.push((job, confirm.key, confirm.paths));
        }
        StoreRequest::Artifact { .. } => {}
    }
    Vec::new()
}

fn cache(state: &State, body: &[u8]) -> Option<CacheHit> {
    let question: serde_json::Value = serde_json::from_slice(body).unwrap();
    let keys = question["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap());
    let hit = keys
        .flat_map(|key| state.caches.iter().rev().find(|cache| cache.0.starts_with(key)))
        .next()?;
    let build = base::ids::JobNumber(43);
    let (key, StoreConfirm { key: object, size, paths, .. }) = hit.clone();
    Some(CacheHit { key, build, size, paths, from: presigned(&object) })
}

fn workspace(state: &State) -> Vec<WorkspaceLayer> {
    let layer = |(number, (job, key, paths)): (u32, &(String, String, Vec<String>))| {
        let (job_name, paths) = (job.clone(), paths.clone());
        WorkspaceLayer { job_name, paths, job: number, upstream: vec![], from: presigned(key) }
    };
    (0..).zip(&state.layers).map(layer).collect()
}
