//! Outbound webhooks: tells addresses outside which workflows and jobs of a project ended.
//!
//! Source: CircleCI's outbound webhooks: events, payloads, headers and signature.
//! The way: the loop follows the event cursor. What a webhook wants to hear becomes a delivery, with its
//! body as things stood then, in the transaction that moves the webhook past the event; then what is due
//! is sent, and noted with its answer. So a cut loses nothing, and what was sent while it came is sent
//! again with the same `id`.
//! Limits: [`AT_ONCE`] requests, one look in [`PAUSE`]; how long and how often is for
//! [`objects::telling`], how much waits for the store.
//! On failure: what cannot be read or written is logged and tried again.

mod payload;

use crate::State;
use base::{
    event::{Event, Recorded},
    ids::{Cursor, ProjectId},
    secret::Secret,
    time::Timestamp,
};
use futures_util::{StreamExt, stream};
use http::{HeaderName, header};
use objects::telling::{self, Message, Teller};
use std::{collections::HashSet, sync::atomic::Ordering, time::Duration};
use store::{
    Reader, Txn,
    projects::{Delivery, Went},
};

/// Requests at once.
const AT_ONCE: usize = 8;

/// Deliveries taken at once.
const BATCH: u32 = 32;

/// Events looked at in one go.
const EVENTS: u32 = 500;

/// Between two looks, however much happens.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two looks when nothing happens and nothing waits.
const IDLE: Duration = Duration::from_secs(60);

/// After a failure within.
const AGAIN: Duration = Duration::from_secs(10);

/// Receivers know requests by it.
const AGENT: &str = "CircleCI-Webhook/1.0";

/// Tells for ever; end it by dropping.
pub async fn keep(state: State) {
    let teller = state.objects.teller();
    let mut events = state.store.events();
    let mut place = Cursor(0);
    loop {
        events.borrow_and_update();
        let wait = match look(&state, &teller, &mut place).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "could not look at what webhooks are to be told");
                AGAIN
            }
        };
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            () = tokio::time::sleep(wait.saturating_sub(PAUSE)) => {}
            // Nobody writes events any more: the store is closed.
            changed = events.changed() => if changed.is_err() { return },
        }
    }
}

/// One look: gathers what happened, tells what is due; how long there is nothing to do unless something
/// happens. `place` is the last event that was looked at, which the store is told now and then.
async fn look(
    state: &State,
    teller: &Teller,
    place: &mut Cursor,
) -> Result<Duration, store::Error> {
    while gather(state, place).await? {}
    while tell(state, teller).await? > 0 {}
    let next = state.store.look(|reader| reader.delivery_next())?;
    Ok(next.map_or(IDLE, |due| due.since(state.now()).min(IDLE)))
}

/// Makes deliveries of the next events; whether there may be more.
async fn gather(state: &State, place: &mut Cursor) -> Result<bool, store::Error> {
    let Some(seen) = state.store.look(|reader| reader.webhook_seen())? else {
        return Ok(false);
    };
    let after = seen.max(*place);
    let read = move |reader: &Reader<'_>| {
        let told: HashSet<ProjectId> = reader.webhook_projects()?.into_iter().collect();
        let mut events = reader.event_list(after, EVENTS)?;
        let (count, last) = (events.len(), events.last().map(|event| event.cursor));
        events.retain(|event| event.project.is_some_and(|id| told.contains(&id)) && ends(event));
        Ok::<_, store::Error>((events, count, last))
    };
    let (events, count, last) = state.store.read(read).await?;
    let Some(last) = last else { return Ok(false) };
    let is_full = count == EVENTS as usize;
    // Without deliveries the place is of little worth: it is written for each full page alone.
    if is_full || !events.is_empty() {
        let (base_url, now) = (state.config.base_url.clone(), state.now());
        let write = move |txn: &mut Txn<'_>| {
            let mut lost = 0;
            for event in &events {
                lost += deliver(txn, event, &base_url, now)?;
            }
            txn.webhook_seen_set(last)?;
            Ok(lost)
        };
        let lost = state.store.write::<_, store::Error, _>(write).await?;
        state.deliveries_lost().fetch_add(lost, Ordering::Relaxed);
    }
    *place = last;
    Ok(is_full)
}

/// A workflow or a job ended.
fn ends(event: &Recorded) -> bool {
    match &event.event {
        Event::WorkflowChanged { state, .. } => state.is_terminal(),
        Event::JobChanged { state, .. } => state.is_terminal(),
        _ => false,
    }
}

/// Writes what the project's webhooks are to be told of an event; for how many of them there is no room.
fn deliver(
    txn: &Txn<'_>,
    event: &Recorded,
    base_url: &str,
    now: Timestamp,
) -> Result<u64, store::Error> {
    let Some(project) = event.project else { return Ok(0) };
    let hooks = txn.webhook_list(project)?;
    // One that was made later is not told of what was before.
    let hooks: Vec<_> = hooks.into_iter().filter(|hook| hook.seen < event.cursor).collect();
    if hooks.is_empty() {
        return Ok(0);
    }
    let Some((kind, body)) = payload::payload(txn, event, base_url)? else { return Ok(0) };
    let mut lost = 0;
    for hook in hooks.iter().filter(|hook| hook.events.contains(&kind)) {
        let body = payload::to(hook, body.clone()).to_string();
        lost += u64::from(!txn.delivery_insert(hook.id, kind, &body, now)?);
    }
    Ok(lost)
}

/// Tells a batch of what is due; returns how many were told.
async fn tell(state: &State, teller: &Teller) -> Result<usize, store::Error> {
    let now = state.now();
    let due = state.store.read(move |reader| reader.delivery_due(now, BATCH)).await?;
    let told = stream::iter(due).map(|delivery| tell_one(state, teller, delivery));
    let told: Vec<Result<bool, store::Error>> = told.buffer_unordered(AT_ONCE).collect().await;
    told.into_iter().try_fold(0, |count, told| Ok(count + usize::from(told?)))
}

async fn tell_one(
    state: &State,
    teller: &Teller,
    delivery: Delivery,
) -> Result<bool, store::Error> {
    let id = delivery.webhook;
    let read = |reader: &Reader<'_>| Ok((reader.webhook_get(id)?, reader.webhook_secret(id)?));
    // It was removed meanwhile, and what waited for it as well.
    let (Some(hook), Some(secret)) = state.store.look::<_, store::Error>(read)? else {
        return Ok(false);
    };
    let sent = teller.tell(message(&hook.url, &delivery, &secret)).await;
    let (good, now) = (sent.is_ok(), state.now());
    let again = || telling::again(delivery.attempts, delivery.made, now);
    let (went, answer) = match sent {
        Ok(status) => (Went::Over, status.to_string()),
        Err(why) => match again() {
            Some(due) => (Went::Again(due), why),
            None => {
                state.deliveries_lost().fetch_add(1, Ordering::Relaxed);
                (Went::Over, format!("given up: {why}"))
            }
        },
    };
    state.store.write(move |txn| txn.delivery_tried(&delivery, went, &answer, now)).await?;
    Ok(good)
}

fn message<'a>(url: &'a str, delivery: &Delivery, secret: &Secret) -> Message<'a> {
    let body = delivery.body.clone();
    let mut headers = vec![
        (header::USER_AGENT, AGENT.to_owned()),
        (HeaderName::from_static("circleci-event-type"), delivery.event.clone()),
    ];
    if !secret.expose().is_empty() {
        let sign = format!("v1={}", telling::signature(secret, &body));
        headers.push((HeaderName::from_static("circleci-signature"), sign));
    }
    Message { target: url, headers, body }
}
