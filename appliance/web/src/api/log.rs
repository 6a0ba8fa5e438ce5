//! A job's whole output as plain text, to be read or followed in a terminal.
//!
//! The form: for each step a line `==> NAME`, then its output as it was printed; what has no line end
//! is given one before the next such line. With several nodes
//! the header names the node. With `follow=true` the answer goes on until the job has ended, or until
//! the follower's token or session has; that is looked at twice a minute.
//! Memory: one piece of output at a time.

use super::jobs::{Numbered, find};
use crate::{
    State,
    access::{Routes, User, Viewer, session},
    error::Failure,
    found,
    streams::StreamRoom,
};
use axum::{
    body::{Body, Bytes},
    extract::{Path, Query},
    response::{IntoResponse, Response},
};
use base::{
    ids::{JobId, TaskId},
    state::{JobState, StepState},
};
use http::header;
use serde::Deserialize;
use std::{collections::BTreeMap, time::Duration};
use store::runs::{Job, Step, Task};
use tokio::{
    sync::mpsc,
    time::{Interval, interval},
};

/// How long a follower may go on unasked.
const TRUST: Duration = Duration::from_secs(30);

/// Pieces that may wait for a slow reader.
const PIECES: usize = 4;

pub(super) fn routes() -> Routes {
    Routes::new().get("/api/v2/project/{vcs}/{org}/{repo}/job/{number}/log", get)
}

/// How to read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Wanted {
    follow: bool,
}

async fn get(
    Viewer(user): Viewer,
    state: State,
    Path(path): Path<Numbered>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Failure> {
    let (job, _) = find(&state, &user, path).await?;
    let room = if wanted.follow { Some(state.stream_room(&user)?) } else { None };
    let (to, mut from) = mpsc::channel::<Result<Bytes, Failure>>(PIECES);
    tokio::spawn(async move {
        let mut writer = Writer {
            state,
            user,
            to,
            asked: interval(TRUST),
            told: BTreeMap::new(),
            open: false,
            _room: room,
        };
        if let Err(Stop::Failed(error)) = writer.write(&job, wanted.follow).await {
            // A reader that left meanwhile is nobody to tell.
            let _ = writer.to.send(Err(error)).await;
        }
    });
    let stream = futures_util::stream::poll_fn(move |context| from.poll_recv(context));
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], Body::from_stream(stream))
        .into_response())
}

/// Why a stream ends before its job's log does.
enum Stop {
    /// Nobody reads any more.
    Left,
    Failed(Failure),
}

impl<E: Into<Failure>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Writes the steps of a job into one stream.
struct Writer {
    state: State,
    user: User,
    to: mpsc::Sender<Result<Bytes, Failure>>,
    /// Steps already written, by task.
    told: BTreeMap<TaskId, u32>,
    /// The last line that was sent has no end.
    open: bool,
    asked: Interval,
    /// Held as long as a follower reads.
    _room: Option<StreamRoom>,
}

impl Writer {
    async fn write(&mut self, job: &Job, follow: bool) -> Result<(), Stop> {
        let mut events = self.state.store.events();
        loop {
            // Looked at before the steps, so that an end seen here has all steps before it.
            let ended = self.state_of(job.id).await?.is_terminal();
            self.write_new_steps(job.source(), job.parallelism > 1, follow).await?;
            if ended || !follow {
                return Ok(());
            }
            tokio::select! {
                changed = events.changed() => if changed.is_err() { return Ok(()) },
                _ = self.asked.tick() => self.ask().await?,
                () = self.to.closed() => return Err(Stop::Left),
                () = self.state.closing() => return Err(Stop::Left),
            }
        }
    }

    /// Ends the answer of who would not be let in any more.
    async fn ask(&self) -> Result<(), Failure> {
        let stands = session::stands(&self.user, &self.state).await?;
        if stands { Ok(()) } else { Err(Failure::Unproven) }
    }

    async fn state_of(&self, id: JobId) -> Result<JobState, Failure> {
        let found = self.state.store.read(move |reader| found::job(reader, id)).await?;
        found.map(|job| job.state).ok_or_else(|| Failure::missing("Job"))
    }

    async fn write_new_steps(
        &mut self,
        job: JobId,
        several: bool,
        follow: bool,
    ) -> Result<(), Stop> {
        let tasks: Vec<(Task, Vec<Step>)> = self
            .state
            .store
            .read(move |reader| {
                let tasks = reader.task_list_newest(job)?.into_iter();
                tasks
                    .map(|task| reader.step_list(task.id).map(|steps| (task, steps)))
                    .collect::<Result<_, store::Error>>()
            })
            .await?;
        for (task, steps) in tasks {
            for step in steps {
                if self.told.get(&task.id).is_some_and(|last| step.step <= *last) {
                    continue;
                }
                self.write_step(&task, &step, several, follow).await?;
                self.told.insert(task.id, step.step);
            }
        }
        Ok(())
    }

    async fn write_step(
        &mut self,
        task: &Task,
        step: &Step,
        several: bool,
        follow: bool,
    ) -> Result<(), Stop> {
        let node = if several { format!(" (node {})", task.node) } else { String::new() };
        let end = if self.open { "\n" } else { "" };
        self.send(format!("{end}==> {}{node}\n", step.name).into_bytes()).await?;
        // A background step may outlive the steps after it; what it prints later is left out.
        if follow && step.state == StepState::Running && !step.background {
            let mut follower = self.state.logs.follow(task.id, step.step, 0);
            loop {
                let chunk = tokio::select! {
                    chunk = follower.next() => chunk?,
                    _ = self.asked.tick() => {
                        self.ask().await?;
                        continue;
                    }
                    () = self.to.closed() => return Err(Stop::Left),
                    () = self.state.closing() => return Err(Stop::Left),
                };
                let Some(chunk) = chunk else { return Ok(()) };
                self.send(chunk.bytes).await?;
            }
        }
        self.write_stored(task.id, step.step).await
    }

    async fn write_stored(&mut self, task: TaskId, step: u32) -> Result<(), Stop> {
        let mut offset = 0;
        loop {
            let chunk = self.state.logs.read(task, step, offset..u64::MAX).await?;
            if chunk.bytes.is_empty() {
                return Ok(());
            }
            offset = chunk.offset + chunk.bytes.len() as u64;
            self.send(chunk.bytes).await?;
        }
    }

    async fn send(&mut self, bytes: Vec<u8>) -> Result<(), Stop> {
        self.open = bytes.last().map_or(self.open, |last| *last != b'\n');
        self.to.send(Ok(Bytes::from(bytes))).await.map_err(|_| Stop::Left)
    }
}
