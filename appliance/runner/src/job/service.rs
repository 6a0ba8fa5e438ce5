//! Service containers: the second and further images of `docker:`, each in a step of its own.
//!
//! Why a step: what a database says when it does not come up is what people look for first.
//! Invariants: a service runs from before the first step to the job's end; that it ends by itself
//! is not the job's failure, that it cannot be started is.
//! On failure: a program that is not there ends the job, and the log says what to set instead.

use super::{Job, StepEnd, StepError};
use crate::{
    control_plane::ControlPlane,
    environment::Environment,
    supervisor::wire::{End, Exec, How, Request, RunId},
};
use base::{plan::DockerImage, secret::Secret, state::TaskOutcome};
use sandbox::User;
use serde::{Deserialize, Serialize};

/// What it takes to start a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Service {
    /// Who runs it.
    pub user: User,
    /// Program and arguments; not empty.
    pub program: Vec<String>,
    /// The image's own, and that of its entry in the configuration. Nothing of the job's.
    pub environment: Environment,
    /// Absolute, inside.
    pub working_directory: String,
}

impl Service {
    /// Run by `user`, whose home it knows unless it was told another.
    pub(crate) fn of(mut self, user: User) -> Self {
        self.environment.entry("HOME".into()).or_insert_with(|| user.home.clone());
        Self { user, ..self }
    }
}

impl<C: ControlPlane> Job<C> {
    /// Starts the service `nth`, from 0; it goes on in the background.
    pub(super) async fn start_service(
        &self,
        step: u32,
        nth: usize,
        image: &DockerImage,
    ) -> Result<Option<StepEnd>, StepError> {
        let run = RunId { step, nth: 0 };
        // A runner before us may have started it.
        if self.latest_run(step).is_none() {
            let service = self.stands()?.services.into_iter().nth(nth);
            let service = service.ok_or_else(|| {
                StepError::Infrastructure("the service has no place in the sandbox".into())
            })?;
            let exec = exec(run, nth + 1, service);
            self.supervised.ask(&Request::Exec(Box::new(exec))).await?;
        }
        match self.supervised.until(|view| view.runs.get(&run).cloned()).await? {
            Some(End { how: How::NotStarted { message }, .. }) => {
                Ok(Some(self.fail_service(step, image, &message)))
            }
            _ => Ok(None),
        }
    }

    fn fail_service(&self, step: u32, image: &DockerImage, message: &str) -> StepEnd {
        let told = format!(
            "the service container {} could not be started: {message}. Set `entrypoint:` or `command:` of the image in `docker:` to a program that it has",
            image.image
        );
        self.outbox.say(step, &format!("{told}\n"));
        let mut state = self.state();
        state.beside.retain(|other| *other != step);
        state.message = Some(told);
        state.cut = Some(TaskOutcome::Failed);
        StepEnd::failed()
    }
}

fn exec(run: RunId, container: usize, service: Service) -> Exec {
    let mut words = service.program.into_iter();
    Exec {
        run,
        container,
        program: words.next().unwrap_or_default(),
        otherwise: None,
        args: words.collect(),
        env: service
            .environment
            .into_iter()
            .map(|(name, value)| (name, Secret::new(value)))
            .collect(),
        cwd: service.working_directory,
        create_file: None,
        user: service.user,
        stdin: None,
        stdout: None,
        idle_ms: None,
    }
}
