//! Which layers a job's image consists of, and where the runner gets them.

use super::{
    Answer, Asked,
    held::{Fenced, held, task_id},
    keep::TRANSFER,
};
use crate::{
    State,
    access::{Routes, Runner},
    error::Failure,
};
use axum::{
    Json,
    extract::{Path, Query},
};
use base::protocol::ImageSource;
use objects::oci::ImageError;
use serde::Deserialize;

pub(super) fn routes() -> Routes {
    Routes::new().post("/runner/v1/tasks/{task}/image", image)
}

/// An image, as the configuration names it.
#[derive(Debug, Deserialize)]
struct Named {
    reference: String,
}

async fn image(
    _: Runner,
    state: State,
    Path(task): Path<String>,
    Query(Fenced { fence }): Query<Fenced>,
    asked: Asked<Named>,
) -> Answer<ImageSource> {
    let Json(Named { reference }) = asked?;
    held(&state, task_id(&task)?, fence)?;
    let found = state.objects.image_source(&reference, TRANSFER).await;
    Ok(Json(found.map_err(Failure::from)?))
}

impl From<ImageError> for Failure {
    fn from(error: ImageError) -> Self {
        match error {
            ImageError::Missing(_) | ImageError::NoName(_) => Self::Missing(error.to_string()),
            ImageError::Quota(_) => Self::Conflict(error.to_string()),
            ImageError::Objects(cause) => cause.into(),
            ImageError::Read { ref source, .. } => Self::Conflict(format!("{error}: {source}")),
            // All others tell what to do with the file or the name.
            other => Self::Invalid(other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    fn check(error: ImageError, status: StatusCode, words: &str) {
        let failure = Failure::from(error);
        assert_eq!(failure.status(), status);
        assert!(failure.to_string().contains(words), "{failure}");
    }

    #[test]
    fn what_a_person_can_do_something_about_is_told() {
        let bound = ImageError::Quota("at most 4 KiB".into());
        check(bound, StatusCode::CONFLICT, "(at most 4 KiB): raise it with");
        check(ImageError::NoName("a".into()), StatusCode::NOT_FOUND, "`appliance registry list`");
        let full = ImageError::Objects(objects::Error::Full);
        check(full, StatusCode::SERVICE_UNAVAILABLE, "larger disk");
    }
}
