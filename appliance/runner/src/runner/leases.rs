//! Registering, claiming and renewing leases.

use super::Runner;
use crate::{control_plane::Trouble, job::Order, outbox::Patience};
use base::{
    ids::RunnerId,
    limits::{CLAIM_WAIT, HEARTBEAT},
    protocol::{Assignment, Claim, Heartbeat, Held, Refusal, Register, Verdict},
};
use tokio::time::timeout;

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

    /// Waits for a free slot and for work; `None` when the runner must register again.
    pub(super) async fn claim(&self, id: RunnerId) -> Option<Vec<Assignment>> {
        let mut patience = Patience::default();
        loop {
            // Only a look: the slot is taken by the job that comes.
            let Ok(free) = self.slots.acquire().await else { return None };
            drop(free);
            let free_slots = u32::try_from(self.slots.available_permits()).unwrap_or(u32::MAX);
            let claim = Claim { runner: id, free_slots, wait: CLAIM_WAIT };
            match self.client.claim(&claim).await {
                Ok(claimed) => return Some(claimed.assignments),
                Err(Trouble::Refused(Refusal::UnknownRunner)) => return None,
                Err(trouble) => patience.wait(&trouble).await,
            }
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
            match self.client.heartbeat(&Heartbeat { runner: id, held }).await {
                Ok(verdicts) => verdicts
                    .verdicts
                    .into_iter()
                    .for_each(|(task, verdict)| self.obey(task, verdict)),
                Err(Trouble::Refused(Refusal::UnknownRunner)) => return,
                Err(trouble) => {
                    tracing::warn!(error = trouble.told(), "leases could not be renewed")
                }
            }
            // Sooner only when somebody asks for it.
            let _ = timeout(HEARTBEAT, self.beat.notified()).await;
        }
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
