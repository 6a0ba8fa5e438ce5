//! What is told to webhooks.
//!
//! Invariants: a delivery is written in the transaction that moves `seen` of the webhooks past its
//! event, and is over when it was told or given up, so that it is told at least once.
//! Bounds: [`WAITING_MAX`] that wait for a webhook, of which what follows is noted as not told; the last
//! [`KEPT`] that are over.

use super::WebhookEvent;
use crate::{Reader, Txn, error::Error};
use base::{ids::WebhookId, time::Timestamp};
use rusqlite::{Row, params};
use std::time::Duration;

/// Deliveries that wait for one webhook: some megabytes.
const WAITING_MAX: u32 = 1000;

/// Deliveries of one webhook that are over and still shown.
const KEPT: u32 = 50;

/// No delivery waits longer; one that seems to was put off by a clock that was ahead.
const WAIT_MAX: Duration = Duration::from_secs(2 * 3600);

/// Something that a webhook is, or was, told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Grows with each.
    pub id: i64,
    /// To which webhook.
    pub webhook: WebhookId,
    /// The event's name.
    pub event: String,
    /// JSON.
    pub body: String,
    /// When it happened.
    pub made: Timestamp,
    /// When it is told next; `None` when it is over.
    pub due: Option<Timestamp>,
    /// Times that it was sent.
    pub attempts: u32,
    /// The last of them.
    pub at: Option<Timestamp>,
    /// The answer to it, or why there was none.
    pub answer: Option<String>,
}

/// How an attempt went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Went {
    /// It is over: told, or given up.
    Over,
    /// Nothing is told to that webhook before then.
    Again(Timestamp),
}

const DELIVERY: &str =
    "SELECT id, webhook, event, body, made, due, attempts, at, answer FROM deliveries";

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    let time = |column| row.get::<_, Option<_>>(column).map(|at| at.map(Timestamp));
    Ok(Delivery {
        id: row.get(0)?,
        webhook: WebhookId(row.get(1)?),
        event: row.get(2)?,
        body: row.get(3)?,
        made: Timestamp(row.get(4)?),
        due: time(5)?,
        attempts: row.get(6)?,
        at: time(7)?,
        answer: row.get(8)?,
    })
}

impl Reader<'_> {
    /// Deliveries that are due at `now`, the longest due first, at most `limit`.
    pub fn delivery_due(&self, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, Error> {
        let mut list = self.statement(&format!(
            "{DELIVERY} WHERE due IS NOT NULL AND (due <= ?1 OR due > ?2) ORDER BY due, id LIMIT ?3"
        ))?;
        let rows = list.query_map(params![now.0, now.plus(WAIT_MAX).0, limit], delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next delivery is due, if one waits.
    pub fn delivery_next(&self) -> Result<Option<Timestamp>, Error> {
        let mut get = self.statement("SELECT MIN(due) FROM deliveries WHERE due IS NOT NULL")?;
        Ok(get.query_row([], |row| row.get::<_, Option<_>>(0))?.map(Timestamp))
    }

    /// The last deliveries of a webhook, newest first.
    pub fn delivery_list(&self, webhook: WebhookId, limit: u32) -> Result<Vec<Delivery>, Error> {
        let mut list =
            self.statement(&format!("{DELIVERY} WHERE webhook = ?1 ORDER BY id DESC LIMIT ?2"))?;
        let rows = list.query_map(params![webhook.0, limit], delivery)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Deliveries that wait, of all webhooks.
    pub fn deliveries_waiting(&self) -> Result<u64, Error> {
        let mut get = self.statement("SELECT COUNT(*) FROM deliveries WHERE due IS NOT NULL")?;
        Ok(get.query_row([], |row| row.get(0))?)
    }

    /// Deliveries that wait for a webhook.
    pub fn delivery_waiting(&self, webhook: WebhookId) -> Result<u32, Error> {
        let mut get = self
            .statement("SELECT COUNT(*) FROM deliveries WHERE webhook = ?1 AND due IS NOT NULL")?;
        Ok(get.query_row([webhook.0], |row| row.get(0))?)
    }
}

impl Txn<'_> {
    /// Writes a delivery; whether it waits, as one too many is over at once.
    pub fn delivery_insert(
        &self,
        webhook: WebhookId,
        event: WebhookEvent,
        body: &str,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let has_room = self.delivery_waiting(webhook)? < WAITING_MAX;
        let due = has_room.then_some(now.0);
        let why = (!has_room).then(|| format!("not sent: {WAITING_MAX} deliveries wait already"));
        self.statement(
            "INSERT INTO deliveries (webhook, event, body, made, due, answer) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![webhook.0, event.as_str(), body, now.0, due, why])?;
        if !has_room {
            self.deliveries_trim(webhook)?;
        }
        Ok(has_room)
    }

    /// Notes an attempt to tell.
    pub fn delivery_tried(
        &self,
        tried: &Delivery,
        went: Went,
        answer: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let due = match went {
            Went::Over => None,
            Went::Again(at) => Some(at.0),
        };
        self.statement(
            "UPDATE deliveries SET due = ?2, attempts = attempts + 1, at = ?3, answer = ?4 \
             WHERE id = ?1 AND due IS NOT NULL",
        )?
        .execute(params![tried.id, due, now.0, answer])?;
        let Some(due) = due else { return self.deliveries_trim(tried.webhook) };
        self.statement("UPDATE deliveries SET due = ?2 WHERE webhook = ?1 AND due < ?2")?
            .execute(params![tried.webhook.0, due])?;
        Ok(())
    }

    fn deliveries_trim(&self, webhook: WebhookId) -> Result<(), Error> {
        self.statement(
            "DELETE FROM deliveries WHERE webhook = ?1 AND due IS NULL AND id <= \
             (SELECT id FROM deliveries WHERE webhook = ?1 AND due IS NULL \
              ORDER BY id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![webhook.0, KEPT])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{NOW, check, new},
        *,
    };

    #[test]
    fn a_delivery_waits_until_it_is_over_and_those_behind_it_with_it() {
        check(|txn, project| {
            let id = txn.webhook_create(project, &new(None), NOW)?;
            for at in [1, 2] {
                txn.delivery_insert(id, WebhookEvent::JobCompleted, "{}", Timestamp(at))?;
            }
            let due = txn.delivery_due(Timestamp(2), 9)?;
            assert_eq!(due.len(), 2);
            txn.delivery_tried(&due[0], Went::Again(Timestamp(50)), "500", Timestamp(3))?;
            assert_eq!(txn.delivery_due(Timestamp(49), 9)?, [], "the address is left alone");
            assert_eq!(txn.delivery_next()?, Some(Timestamp(50)));
            txn.delivery_tried(&due[0], Went::Over, "200 OK", Timestamp(51))?;
            txn.delivery_tried(&due[0], Went::Over, "late", Timestamp(52))?;
            let listed = txn.delivery_list(id, 9)?;
            assert_eq!((listed[1].attempts, listed[1].answer.as_deref()), (2, Some("200 OK")));
            assert_eq!(txn.delivery_waiting(id)?, 1);
            let ahead = Went::Again(Timestamp(1 << 50));
            txn.delivery_tried(&due[1], ahead, "the clock was ahead", Timestamp(60))?;
            assert_eq!(txn.delivery_due(Timestamp(60), 9)?.len(), 1, "it was set back");
            Ok(())
        });
    }

    #[test]
    fn what_waits_and_what_is_kept_is_bounded() {
        check(|txn, project| {
            let id = txn.webhook_create(project, &new(None), NOW)?;
            for _ in 0..WAITING_MAX + KEPT + 10 {
                txn.delivery_insert(id, WebhookEvent::JobCompleted, "{}", NOW)?;
            }
            assert_eq!(txn.delivery_waiting(id)?, WAITING_MAX);
            assert_eq!(txn.deliveries_waiting()?, u64::from(WAITING_MAX));
            let all = txn.delivery_list(id, u32::MAX)?;
            assert_eq!(all.len(), (WAITING_MAX + KEPT) as usize);
            assert!(all[0].answer.as_deref().is_some_and(|why| why.contains("not sent")));
            Ok(())
        });
    }
}
