//! The stored form of events: a third of their JSON.
//!
//! Why: a job leaves some ten events, and every page that they fill is written twice to flash.
//! Form: version byte, kind byte, then the fields in order: identifiers as 16 bytes, numbers as
//! LEB128, texts and states as their length and bytes.
//! Invariants: a kind's number and fields never change; a new variant gets a new number.

use base::{
    event::Event,
    ids::{Attempt, Fence, JobId, PipelineId, PipelineNumber, RunnerId, TaskId, WorkflowId},
};
use std::str::FromStr;
use uuid::Uuid;

const VERSION: u8 = 1;

/// Collects fields.
struct Out(Vec<u8>);

impl Out {
    fn new(kind: u8) -> Self {
        Self(vec![VERSION, kind])
    }

    fn id(mut self, id: Uuid) -> Self {
        self.0.extend_from_slice(id.as_bytes());
        self
    }

    fn number(mut self, mut number: u64) -> Self {
        while number >= 0x80 {
            self.0.push((number & 0x7F) as u8 | 0x80);
            number >>= 7;
        }
        self.0.push((number & 0x7F) as u8);
        self
    }

    fn text(self, text: &str) -> Self {
        let mut out = self.number(text.len() as u64);
        out.0.extend_from_slice(text.as_bytes());
        out
    }
}

/// The bytes to be stored.
pub(super) fn write(event: &Event) -> Vec<u8> {
    let out = match event {
        Event::PipelineCreated { pipeline, number, state } => {
            Out::new(1).id(pipeline.0).number(number.0).text(state.as_str())
        }
        Event::PipelineChanged { pipeline, state } => {
            Out::new(2).id(pipeline.0).text(state.as_str())
        }
        Event::WorkflowCreated { workflow, pipeline, name } => {
            Out::new(3).id(workflow.0).id(pipeline.0).text(name)
        }
        Event::WorkflowChanged { workflow, state } => {
            Out::new(4).id(workflow.0).text(state.as_str())
        }
        Event::JobChanged { job, workflow, state } => {
            Out::new(5).id(job.0).id(workflow.0).text(state.as_str())
        }
        Event::TaskLeased { task, job, attempt, runner, fence } => {
            let out = Out::new(6).id(task.0).id(job.0).number(attempt.0.into());
            out.id(runner.0).number(fence.0)
        }
        Event::TaskEnded { task, job, attempt, outcome } => {
            let out = Out::new(7).id(task.0).id(job.0);
            out.number(attempt.0.into()).text(outcome.as_str())
        }
        Event::StepChanged { task, job, step, state } => {
            let out = Out::new(8).id(task.0).id(job.0);
            out.number((*step).into()).text(state.as_str())
        }
        Event::Approved { job, by } => Out::new(9).id(job.0).text(by),
        Event::Governed { slots, pool, paused, why } => {
            let out = Out::new(10).number((*slots).into()).number((*pool).into());
            out.number((*paused).into()).text(why)
        }
    };
    out.0
}

/// Takes fields in order; `None` when they are not there.
struct In<'a>(&'a [u8]);

impl<'a> In<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn id(&mut self) -> Option<Uuid> {
        let (id, rest) = self.0.split_first_chunk::<16>()?;
        self.0 = rest;
        Some(Uuid::from_bytes(*id))
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn small(&mut self) -> Option<u32> {
        self.number()?.try_into().ok()
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    fn state<T: FromStr>(&mut self) -> Option<T> {
        self.text()?.parse().ok()
    }
}

/// The event that was stored; `None` when the bytes make no sense.
pub(super) fn read(bytes: &[u8]) -> Option<Event> {
    let mut from = In(bytes);
    if from.byte()? != VERSION {
        return None;
    }
    let kind = from.byte()?;
    let event = fields(kind, &mut from)?;
    from.0.is_empty().then_some(event)
}

fn fields(kind: u8, from: &mut In<'_>) -> Option<Event> {
    Some(match kind {
        1 => Event::PipelineCreated {
            pipeline: PipelineId(from.id()?),
            number: PipelineNumber(from.number()?),
            state: from.state()?,
        },
        2 => Event::PipelineChanged { pipeline: PipelineId(from.id()?), state: from.state()? },
        3 => Event::WorkflowCreated {
            workflow: WorkflowId(from.id()?),
            pipeline: PipelineId(from.id()?),
            name: from.text()?.to_owned(),
        },
        4 => Event::WorkflowChanged { workflow: WorkflowId(from.id()?), state: from.state()? },
        5 => Event::JobChanged {
            job: JobId(from.id()?),
            workflow: WorkflowId(from.id()?),
            state: from.state()?,
        },
        6 => Event::TaskLeased {
            task: TaskId(from.id()?),
            job: JobId(from.id()?),
            attempt: Attempt(from.small()?),
            runner: RunnerId(from.id()?),
            fence: Fence(from.number()?),
        },
        7 => Event::TaskEnded {
            task: TaskId(from.id()?),
            job: JobId(from.id()?),
            attempt: Attempt(from.small()?),
            outcome: from.state()?,
        },
        8 => Event::StepChanged {
            task: TaskId(from.id()?),
            job: JobId(from.id()?),
            step: from.small()?,
            state: from.state()?,
        },
        9 => Event::Approved { job: JobId(from.id()?), by: from.text()?.to_owned() },
        10 => Event::Governed {
            slots: from.small()?,
            pool: from.small()?,
            paused: from.number()? != 0,
            why: from.text()?.to_owned(),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::state::{JobState, PipelineState, StepState, TaskOutcome, WorkflowState};
    use proptest::prelude::{any, proptest};

    fn check(event: &Event) {
        let bytes = write(event);
        assert_eq!(read(&bytes).as_ref(), Some(event));
        let json = serde_json::to_vec(event).unwrap();
        assert!(bytes.len() * 2 <= json.len(), "{} of {}", bytes.len(), json.len());
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut]), None, "cut at {cut}");
        }
    }

    #[test]
    fn every_event_is_read_back() {
        let id = Uuid::from_u128(u128::MAX / 3);
        let (pipeline, workflow) = (PipelineId(id), WorkflowId(id));
        let (job, task, runner) = (JobId(id), TaskId(id), RunnerId(id));
        let (attempt, fence) = (Attempt(u32::MAX), Fence(1 << 40));
        let (number, name) = (PipelineNumber(300), "build and test".to_owned());
        check(&Event::PipelineCreated { pipeline, number, state: PipelineState::Errored });
        check(&Event::PipelineChanged { pipeline, state: PipelineState::Created });
        check(&Event::WorkflowCreated { workflow, pipeline, name });
        check(&Event::WorkflowChanged { workflow, state: WorkflowState::OnHold });
        check(&Event::TaskLeased { task, job, attempt, runner, fence });
        check(&Event::Approved { job, by: "mira".to_owned() });
        let why = "cpu 81 °C".to_owned();
        check(&Event::Governed { slots: 3, pool: 8, paused: true, why });
        for state in JobState::ALL {
            check(&Event::JobChanged { job, workflow, state: *state });
        }
        for outcome in TaskOutcome::ALL {
            check(&Event::TaskEnded { task, job, attempt, outcome: *outcome });
        }
        for state in StepState::ALL {
            check(&Event::StepChanged { task, job, step: 70_000, state: *state });
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..80),
        ) {
            let kinds = (0..12).map(|kind| [&[VERSION, kind], &bytes[..]].concat());
            for bytes in kinds {
                if let Some(event) = read(&bytes) {
                    assert_eq!(read(&write(&event)), Some(event));
                }
            }
        }
    }
}
