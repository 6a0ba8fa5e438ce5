//! Which step of a job comes next, and how the job ends: pure.
//!
//! Why: a runner that was killed finds its journal and has to know where it stood. Walking the
//! plan is deterministic, so the journal needs no "current step": replaying the reports that
//! were made leads to the same place.
//! Invariants: items come in the order of the plan; after a failure only steps that ask for it
//! run; after a halt, none.

use base::{
    plan::{Action, DockerImage, Executor, JobSpec, Step, When},
    protocol::Progress,
    state::{StepState, TaskOutcome},
};
use std::borrow::Cow;

/// Something that a job does and that its log shows as a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Item<'a> {
    /// Makes the sandbox.
    SpinUp,
    /// Starts what the image of the steps insists on running beside them.
    Entry(&'a DockerImage),
    /// Starts the service of that number, from 0.
    Service(usize, &'a DockerImage),
    /// Lists the variables.
    Environment,
    /// A step of the plan.
    Step(&'a Step),
}

impl Item<'_> {
    /// The name shown for it.
    #[must_use]
    pub(crate) fn name(&self) -> Cow<'_, str> {
        match self {
            Self::SpinUp => "Spin up environment".into(),
            Self::Entry(image) | Self::Service(_, image) => match &image.name {
                Some(name) => format!("Container {} ({name})", image.image).into(),
                None => format!("Container {}", image.image).into(),
            },
            Self::Environment => "Preparing environment variables".into(),
            Self::Step(step) => step.name.as_str().into(),
        }
    }

    /// It runs beside later items, and what becomes of it is ignored.
    #[must_use]
    pub(crate) fn is_background(&self) -> bool {
        match self {
            Self::Entry(_) | Self::Service(..) => true,
            Self::Step(Step { action: Action::Run(run), .. }) => run.background,
            _ => false,
        }
    }
}

/// What a job goes through.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way<'a> {
    /// The image of the steps, if it runs a program of its own; known once the sandbox stands.
    pub(crate) entry: Option<&'a DockerImage>,
    /// Images that run beside the steps.
    pub(crate) services: &'a [DockerImage],
    /// The plan's steps.
    pub(crate) steps: &'a [Step],
}

impl<'a> Way<'a> {
    pub(crate) fn of(spec: &'a JobSpec, has_entry: bool) -> Self {
        let images = match &spec.executor {
            Executor::Docker { images } => images.as_slice(),
            _ => &[],
        };
        let services = images.get(1..).unwrap_or_default();
        Self { entry: images.first().filter(|_| has_entry), services, steps: &spec.steps }
    }

    fn item(self, number: usize) -> Option<Item<'a>> {
        let first = 1 + usize::from(self.entry.is_some());
        let after = self.services.len() + first;
        match number {
            0 => Some(Item::SpinUp),
            n if n < first => self.entry.map(Item::Entry),
            n if n < after => Some(Item::Service(n - first, &self.services[n - first])),
            n if n == after => Some(Item::Environment),
            n => self.steps.get(n - after - 1).map(Item::Step),
        }
    }
}

/// A place in a job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Walk {
    /// Items passed, run or not.
    passed: usize,
    /// Items begun: the next item's step number.
    begun: u32,
    /// Step numbers of items in the background.
    beside: Vec<u32>,
    failed: bool,
    halted: bool,
    broken: bool,
}

impl Walk {
    /// The next item that runs and its step number.
    pub(crate) fn next<'a>(&mut self, way: Way<'a>) -> Option<(u32, Item<'a>)> {
        while !self.halted && !self.broken {
            let item = way.item(self.passed)?;
            self.passed += 1;
            if self.runs(&item) {
                let number = self.begun;
                self.begun += 1;
                if item.is_background() {
                    self.beside.push(number);
                }
                return Some((number, item));
            }
        }
        None
    }

    fn runs(&self, item: &Item<'_>) -> bool {
        let Item::Step(step) = item else { return true };
        match step.when {
            When::Always => true,
            When::OnFail => self.failed,
            // Results are kept of failed jobs above all.
            When::OnSuccess => {
                !self.failed
                    || matches!(
                        step.action,
                        Action::StoreArtifacts { .. } | Action::StoreTestResults { .. }
                    )
            }
        }
    }

    /// A step ended in `state`.
    pub(crate) fn ended(&mut self, number: u32, state: StepState) {
        let counts = !self.beside.contains(&number);
        let bad = matches!(state, StepState::Failed | StepState::TimedOut);
        self.failed |= counts && bad;
        // Without a sandbox nothing else can run.
        self.broken |= number == 0 && bad;
    }

    /// The job asked to go no further; what failed before stays failed.
    pub(crate) fn halt(&mut self) {
        self.halted = true;
    }

    /// How the job ends, if nobody stops it.
    #[must_use]
    pub(crate) fn outcome(&self) -> TaskOutcome {
        if self.failed { TaskOutcome::Failed } else { TaskOutcome::Success }
    }

    /// Walks again past everything that was reported. Returns the items that were begun and not
    /// ended; all but the last are in the background.
    pub(crate) fn replay<'a>(
        &mut self,
        way: Way<'a>,
        reported: &[Progress],
    ) -> Vec<(u32, Item<'a>)> {
        let mut open = Vec::new();
        for progress in reported {
            match progress {
                Progress::StepStarted { .. } => open.extend(self.next(way)),
                Progress::StepEnded { step, state, .. } => {
                    self.ended(*step, *state);
                    open.retain(|(number, _)| number != step);
                }
                _ => {}
            }
        }
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::{command_of, run};
    use base::time::Timestamp;
    use proptest::prelude::*;

    fn service() -> DockerImage {
        serde_json::from_value(serde_json::json!({ "image": "redis:7", "name": "cache" }))
            .expect("an image")
    }

    /// Names of what runs when the named steps fail.
    fn trace(steps: &[Step], failing: &[&str]) -> (Vec<String>, TaskOutcome) {
        let mut walk = Walk::default();
        let mut names = Vec::new();
        while let Some((number, item)) = walk.next(Way { entry: None, services: &[], steps }) {
            names.push(item.name().into_owned());
            let failed = failing.contains(&&*item.name());
            walk.ended(number, if failed { StepState::Failed } else { StepState::Success });
        }
        (names.split_off(2.min(names.len())), walk.outcome())
    }

    fn check(steps: &[Step], failing: &[&str], expected: &[&str], outcome: TaskOutcome) {
        assert_eq!(
            trace(steps, failing),
            (expected.iter().map(|s| (*s).to_owned()).collect(), outcome)
        );
    }

    fn artifacts() -> Step {
        let action = Action::StoreArtifacts { path: "x".into(), destination: None };
        Step { name: "artifacts".into(), when: When::OnSuccess, action }
    }

    #[test]
    fn a_failure_passes_over_what_needs_success() {
        let steps = [
            run("a", When::OnSuccess),
            run("b", When::OnSuccess),
            run("f", When::OnFail),
            run("z", When::Always),
            artifacts(),
        ];
        check(&steps, &[], &["a", "b", "z", "artifacts"], TaskOutcome::Success);
        check(&steps, &["a"], &["a", "f", "z", "artifacts"], TaskOutcome::Failed);
        check(&steps, &["z"], &["a", "b", "z", "artifacts"], TaskOutcome::Failed);
    }

    #[test]
    fn without_a_sandbox_nothing_runs() {
        check(&[run("z", When::Always)], &["Spin up environment"], &[], TaskOutcome::Failed);
    }

    #[test]
    fn a_halt_ends_the_job_without_failing_it() {
        let steps = [run("a", When::OnSuccess), run("z", When::Always)];
        let mut walk = Walk::default();
        for _ in 0..3 {
            walk.next(Way { entry: None, services: &[], steps: &steps });
        }
        walk.halt();
        assert_eq!(walk.next(Way { entry: None, services: &[], steps: &steps }), None);
        assert_eq!(walk.outcome(), TaskOutcome::Success);
    }

    #[test]
    fn what_fails_in_the_background_does_not_count() {
        let mut beside = command_of("server");
        beside.background = true;
        let step =
            Step { name: "server".into(), when: When::OnSuccess, action: Action::Run(beside) };
        check(
            &[step, run("a", When::OnSuccess)],
            &["server"],
            &["server", "a"],
            TaskOutcome::Success,
        );
    }

    #[test]
    fn services_begin_between_the_sandbox_and_the_steps() {
        let (services, steps) = ([service()], [run("a", When::OnSuccess)]);
        let mut walk = Walk::default();
        let primary = DockerImage { image: "app:1".into(), name: None, ..service() };
        let way = Way { entry: Some(&primary), services: &services, steps: &steps };
        let mut names = Vec::new();
        while let Some((number, item)) = walk.next(way) {
            names.push(item.name().into_owned());
            // What runs beside the steps and ends badly is not the job's failure.
            walk.ended(
                number,
                if matches!(number, 1 | 2) { StepState::Failed } else { StepState::Success },
            );
        }
        let expected = [
            "Spin up environment",
            "Container app:1",
            "Container redis:7 (cache)",
            "Preparing environment variables",
            "a",
        ];
        assert_eq!(
            (names.as_slice(), walk.outcome()),
            (&expected.map(str::to_owned)[..], TaskOutcome::Success)
        );
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let when = prop_oneof![Just(When::OnSuccess), Just(When::OnFail), Just(When::Always)];
        (when, any::<bool>()).prop_map(|(when, background)| {
            let mut command = command_of("x");
            command.background = background;
            Step { name: "x".into(), when, action: Action::Run(command) }
        })
    }

    proptest! {
        #[test]
        fn a_replay_leads_to_the_same_place(
            steps in prop::collection::vec(any_step(), 0..8),
            services in 0usize..3,
            has_entry in any::<bool>(),
            fails in prop::collection::vec(any::<bool>(), 10),
            cut in 0usize..24,
        ) {
            let at = Timestamp(0);
            let services = vec![service(); services];
            let primary = service();
            let entry = has_entry.then_some(&primary);
            let way = Way { entry, services: &services, steps: &steps };
            let (mut walk, mut reports, mut snapshots) = (Walk::default(), Vec::new(), Vec::new());
            while let Some((step, item)) = walk.next(way) {
                let background = item.is_background();
                reports.push(Progress::StepStarted { step, name: item.name().into_owned(), at, background });
                snapshots.push((walk.clone(), vec![step]));
                let bad = step > 0 && fails[usize::try_from(step).unwrap() % fails.len()];
                let state = if bad { StepState::Failed } else { StepState::Success };
                walk.ended(step, state);
                reports.push(Progress::StepEnded { step, state, exit_code: None, at, output_bytes: 0, rest: Vec::new() });
                snapshots.push((walk.clone(), Vec::new()));
            }
            let cut = cut.min(reports.len());
            let mut again = Walk::default();
            let open = again.replay(way, &reports[..cut]);
            let open: Vec<u32> = open.into_iter().map(|(number, _)| number).collect();
            let expected = if cut == 0 { (Walk::default(), Vec::new()) } else { snapshots[cut - 1].clone() };
            prop_assert_eq!((again, open), expected);
        }
    }
}
