//! Roots made of image layers from the local store.

use super::Prepared;
use crate::{
    control_plane::ControlPlane,
    job::{Job, Program, StepError},
    supervisor::wire::RunId,
};
use base::plan::DockerImage;

impl<C: ControlPlane> Job<C> {
    /// Starts what the image insists on running beside the steps.
    pub(super) async fn start_entry(&self, entry: Vec<String>) -> Result<(), StepError> {
        let stands = self.stands()?;
        let env = self.step_environment(&stands);
        let cwd = stands.working_directory.clone();
        let args = [vec!["internal-entry".to_owned()], entry].concat();
        let program = Program { args, env, cwd, stdin: None, stdout: None, idle: None };
        Ok(self.start(RunId { step: 0, nth: 0 }, program, &stands).await?)
    }

    pub(super) async fn unpack_image(&self, image: &DockerImage) -> Result<Prepared, StepError> {
        let source = self.persist_in_asking(|| self.control.image(self.outbox.held(), &image.image)).await?;
        Err(StepError::Failed(format!("image {}", source.digest)))
    }
}
