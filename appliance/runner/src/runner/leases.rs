//! Registering, claiming and renewing leases.

use super::Runner;
use crate::{control_plane::Trouble, job::Order, outbox::Patience};
use base::{
    ids::RunnerId,
    limits::{CLAIM_WAIT, HEARTBEAT},
    protocol::{Assignment, Claim, Heartbeat, Held, Refusal, Register, Verdict},
};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// However often the control plane calls for a heartbeat, it is not asked without pause.
const NEWS_SPACING: Duration = Duration::from_millis(20);

impl Runner {
    /// Introduces the runner, however long it takes.
    pub(super) async fn register(&self) -> RunnerId {
        let register = Register {
            name: self.config.name.clone(),
            hostname: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            version: self.config.host.version.clone(),
            slots: self.config.slots,
            resource_classes: self.config.resource_classes.clone(),
            serves_plain_classes: self.config.serves_plain_classes,
        };
        let mut patience = Patience::default();
        loop {
            match self.client.register(&register).await {
                Ok(registered) => return registered.runner,
                Err(trouble) => patience.wait(&trouble).await,
            }
        }
    }

    /// Waits for work; `None` when the runner must register again.
    pub(super) async fn claim(&self, id: RunnerId) -> Option<Vec<Assignment>> {
        let mut patience = Patience::default();
        loop {
            let free = self.slots.available_permits();
            let free_slots = u32::try_from(free).unwrap_or(u32::MAX);
            let claim = Claim { runner: id, free_slots, wait: CLAIM_WAIT };
            let asked = Instant::now();
            let answer = tokio::select! {
                answer = self.client.claim(&claim) => answer,
                // Without a free slot the question is only for news of what is held, and is
                // asked anew as soon as there is a slot.
                _ = self.slots.acquire(), if free == 0 => continue,
            };
            match answer {
                Ok(claimed) if claimed.assignments.is_empty() => self.hear_news(asked).await,
                Ok(claimed) => return Some(claimed.assignments),
                Err(Trouble::Refused(Refusal::UnknownRunner)) => return None,
                Err(trouble) => patience.wait(&trouble).await,
            }
        }
    }

    /// An empty answer before its time means that a heartbeat will bring news.
    async fn hear_news(&self, asked: Instant) {
        if asked.elapsed() < CLAIM_WAIT {
            self.beat.notify_one();
            tokio::time::sleep(NEWS_SPACING).await;
        }
    }

    /// Renews leases for as long as the control plane knows the runner.
    pub(super) async fn keep_leases(&self, id: RunnerId) {
        loop {
            let held: Vec<Held> = self
                .held()
                .iter()
                .map(|(task, hold)| Held { task: *task, fence: hold.fence })
                .collect();
            // Whoever holds nothing is heard by its claims.
            if !held.is_empty() && !self.renew(id, held).await {
                return;
            }
            // Sooner only when somebody asks for it.
            let _ = timeout(HEARTBEAT, self.beat.notified()).await;
        }
    }

    /// `false` when the control plane does not know the runner.
    async fn renew(&self, id: RunnerId, held: Vec<Held>) -> bool {
        match self.client.heartbeat(&Heartbeat { runner: id, held }).await {
            Ok(verdicts) => {
                let told = verdicts.verdicts.into_iter();
                told.for_each(|(task, verdict)| self.obey(task, verdict));
            }
            Err(Trouble::Refused(Refusal::UnknownRunner)) => return false,
            Err(trouble) => {
                tracing::warn!(error = trouble.told(), "leases could not be renewed");
            }
        }
        true
    }

    fn obey(&self, task: base::ids::TaskId, verdict: Verdict) {
        let order = match verdict {
            Verdict::Keep => return,
            Verdict::Cancel => Order::Cancel,
            Verdict::Lost => Order::Forget,
        };
        if let Some(hold) = self.held().get(&task) {
            hold.orders.send_if_modified(|now| std::mem::replace(now, order) != order);
        }
    }
}
