//! What an identifier leads to, as long as its project is there.
//!
//! Why: the rows of a deleted project go in the background; nobody may see them meanwhile. What is
//! looked for by its project's name is gone with the name.

use base::ids::JobId;
use store::{Error, Reader, runs::Job};

/// The job, unless its project was deleted.
pub(crate) fn job(reader: &Reader<'_>, id: JobId) -> Result<Option<Job>, Error> {
    let Some(job) = reader.job_get(id)? else { return Ok(None) };
    Ok(reader.project_get(job.project)?.map(|_| job))
}
