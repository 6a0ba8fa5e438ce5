//! Live streams to browsers: what happened, and what a step prints.
//!
//! Why server-sent events: they pass every proxy, resume by themselves with `Last-Event-ID`, and
//! are readable with curl. An event's id is its cursor; a line's id is its number.
//! Invariants: who would not be let in any more loses the stream within [`KEEP_ALIVE`]; each ends after
//! [`STREAM_LIFE`]; at most a fixed number of streams at once ([`crate::streams`]); a slow reader holds
//! one page of events.
//! On failure: the stream ends, the browser comes again where it was.

use crate::{
    State,
    access::{Routes, User, Viewer, session},
    ansi::Terminal,
    error::Failure,
    found,
    streams::StreamRoom,
};
use axum::{
    extract::{Path, Query},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use base::{
    event::Recorded,
    ids::{Cursor, ProjectId, TaskId},
};
use engine::logs::Follower;
use futures_util::{Stream, StreamExt, future, stream};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use std::{collections::VecDeque, convert::Infallible, time::Duration};
use store::runs::family;
use tokio::sync::watch;

/// After this a stream ends and the browser connects again.
const STREAM_LIFE: Duration = Duration::from_secs(900);

/// Between two messages of a log: the eye sees no finer, and a busy log fills larger messages.
const LOG_PAUSE: Duration = Duration::from_millis(16);

/// A browser that is further behind than this is shown the newest lines and not all between: nobody
/// reads at such a speed, and it could not draw them either.
const BEHIND_MAX: u64 = 256 << 10;

/// Lines shown after such a jump, and in one message at most: the last ones.
const MESSAGE_LINES: usize = 1000;

/// Events read at once.
const PAGE: u32 = 200;

/// Keeps proxies from ending an idle stream; so often a follower is asked for again as well.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

pub(crate) fn routes() -> Routes {
    Routes::new().get("/events", events).get("/tasks/{task}/steps/{step}/stream", log)
}

#[derive(Debug, Deserialize)]
struct After {
    after: Option<u64>,
    project: Option<ProjectId>,
}

fn last_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// The stream ends with the service: an open page must not hold up its stop. It ends with the session
/// or token of `user` as well.
pub(crate) fn answer<S>(events: S, user: User, state: &State) -> Response
where
    S: Stream<Item = Result<Event, Infallible>> + Send + 'static,
{
    let over = future::select(Box::pin(state.closing()), Box::pin(distrusted(user, state.clone())));
    let mut response = Sse::new(mortal(events, over))
        .keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
        .into_response();
    // Proxies that buffer would hold events back.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// The stream until its life is over, however much news there is, or until it is `over` before.
fn mortal<S: Stream>(
    events: S,
    over: impl Future<Output: Send> + Send + Unpin + 'static,
) -> impl Stream<Item = S::Item> {
    let life = Box::pin(tokio::time::sleep(STREAM_LIFE));
    events.take_until(future::select(over, life))
}

/// Completes when who follows would not be let in any more, or when nobody can tell.
async fn distrusted(user: User, state: State) {
    loop {
        tokio::time::sleep(KEEP_ALIVE).await;
        match session::stands(&user, &state).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return tracing::warn!(%error, "a stream ended: its follower is unknown"),
        }
    }
}

/// A reader of the event log at its place.
struct EventTail {
    state: State,
    user: User,
    project: Option<ProjectId>,
    place: Cursor,
    news: watch::Receiver<Cursor>,
    ready: VecDeque<Recorded>,
    _room: StreamRoom,
}

async fn events(
    Viewer(user): Viewer,
    state: State,
    headers: HeaderMap,
    Query(asked): Query<After>,
) -> Result<Response, Failure> {
    if let Some(project) = asked.project {
        user.reach(project)?;
    }
    let room = state.stream_room(&user)?;
    let mut news = state.store.events();
    let newest = *news.borrow_and_update();
    let place = last_id(&headers).or(asked.after).map_or(newest, Cursor);
    let tail = EventTail {
        project: asked.project,
        place,
        news,
        ready: VecDeque::new(),
        _room: room,
        state: state.clone(),
        user: user.clone(),
    };
    let events = stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await?;
        Some((Ok(event), tail))
    });
    Ok(answer(events, user, &state))
}

impl EventTail {
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(recorded) = self.ready.pop_front() {
                self.place = recorded.cursor;
                if self.concerns(&recorded) {
                    return message(&recorded);
                }
            }
            self.read().await?;
            if self.ready.is_empty() {
                self.news.changed().await.ok()?;
            }
        }
    }

    async fn read(&mut self) -> Option<()> {
        self.news.borrow_and_update();
        let place = self.place;
        let found = self.state.store.read(move |reader| reader.event_list(place, PAGE)).await;
        match found {
            Ok(found) => self.ready.extend(found),
            Err::<_, store::Error>(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "an event stream ended");
                return None;
            }
        }
        Some(())
    }

    fn concerns(&self, recorded: &Recorded) -> bool {
        let in_reach = match recorded.project {
            Some(project) => self.user.reach(project).is_ok(),
            None => self.user.unbound().is_ok(),
        };
        in_reach && (self.project.is_none() || self.project == recorded.project)
    }
}

fn message(recorded: &Recorded) -> Option<Event> {
    Event::default().id(recorded.cursor.to_string()).json_data(recorded).ok()
}

#[derive(Debug, Deserialize)]
struct FromLine {
    /// Lines that are shown already and have their end.
    #[serde(default)]
    line: u64,
}

/// A reader of a step's output at its place.
struct LogTail {
    state: State,
    task: TaskId,
    step: u32,
    follower: Follower,
    terminal: Terminal,
    /// Complete lines sent.
    line: u64,
    /// The next output is sent however much follows it.
    jumped: bool,
    _room: StreamRoom,
    over: bool,
}

async fn log(
    Viewer(user): Viewer,
    state: State,
    headers: HeaderMap,
    Path((task, step)): Path<(TaskId, u32)>,
    Query(asked): Query<FromLine>,
) -> Result<Response, Failure> {
    let job = family::job_of(task);
    let job = state.store.read(move |reader| found::job(reader, job)).await?;
    user.reach(job.ok_or_else(|| Failure::missing("Step"))?.project)?;
    let room = state.stream_room(&user)?;
    let line = last_id(&headers).unwrap_or(asked.line);
    let start = state.logs.read_lines(task, step, line, 0).await?;
    let follower = state.logs.follow(task, step, start.chunk.offset);
    let tail = LogTail {
        follower,
        state: state.clone(),
        task,
        step,
        terminal: Terminal::default(),
        line: start.first,
        jumped: false,
        _room: room,
        over: false,
    };
    let events = stream::unfold(tail, |mut tail| async move {
        let event = tail.next().await?;
        Some((Ok(event), tail))
    });
    Ok(answer(events, user, &state))
}

impl LogTail {
    async fn next(&mut self) -> Option<Event> {
        if self.over {
            return None;
        }
        match self.follower.next().await {
            Ok(Some(chunk)) => {
                let is_behind = chunk.size - chunk.offset > BEHIND_MAX;
                if is_behind && !self.jumped && self.jump(chunk.offset).await? {
                    return Box::pin(self.next()).await;
                }
                self.jumped = false;
                self.lines(&chunk.bytes).await
            }
            Ok(None) => {
                self.over = true;
                Some(Event::default().event("end").data(self.line.to_string()))
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "a log stream ended");
                None
            }
        }
    }

    /// Goes on at the newest lines, if they are further than `offset`.
    async fn jump(&mut self, offset: u64) -> Option<bool> {
        let logs = &self.state.logs;
        let read = async |first| logs.read_lines(self.task, self.step, first, 0).await.ok();
        let total = read(0).await?.total;
        let start = read(total.saturating_sub(MESSAGE_LINES as u64)).await?;
        if start.chunk.offset <= offset {
            return Some(false);
        }
        self.follower = logs.follow(self.task, self.step, start.chunk.offset);
        (self.terminal, self.line) = (Terminal::default(), start.first);
        self.jumped = true;
        Some(true)
    }

    /// The last of the lines that these bytes complete, and the line that goes on.
    async fn lines(&mut self, bytes: &[u8]) -> Option<Event> {
        let mut lines = self.terminal.feed(bytes);
        self.line += lines.len() as u64;
        lines.drain(..lines.len().saturating_sub(MESSAGE_LINES));
        let first = self.line - lines.len() as u64;
        let data =
            serde_json::json!({ "first": first, "lines": lines, "rest": self.terminal.rest() });
        let event = Event::default().id(self.line.to_string()).json_data(data).ok();
        tokio::time::sleep(LOG_PAUSE).await;
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_stream_with_news_without_end_ends_all_the_same() {
        let news = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some(((), ()))
        });
        let told = mortal(news, future::pending::<()>()).count().await;
        assert!((898..=900).contains(&told), "{told}");
    }
}
