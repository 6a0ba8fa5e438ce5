//! The two ways in which a runner is told no.

use crate::error::Failure;
use axum::{
    Json,
    extract::rejection::JsonRejection,
    response::{IntoResponse, Response},
};
use base::protocol::Refusal;
use engine::logs::{LogError, ReportError};
use http::StatusCode;

/// Why a runner's request was not carried out.
#[derive(Debug)]
pub(super) enum Denied {
    /// The protocol knows why; 409.
    Refused(Refusal),
    /// Told as to everybody.
    Failed(Failure),
}

impl IntoResponse for Denied {
    fn into_response(self) -> Response {
        match self {
            Self::Refused(refusal) => (StatusCode::CONFLICT, Json(refusal)).into_response(),
            // 409 is kept for refusals: anything else that conflicts is an invalid request.
            Self::Failed(Failure::Conflict(message)) => Failure::Invalid(message).into_response(),
            Self::Failed(failure) => failure.into_response(),
        }
    }
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<JsonRejection> for Denied {
    fn from(rejection: JsonRejection) -> Self {
        Self::Failed(rejection.into())
    }
}

impl From<store::Error> for Denied {
    fn from(error: store::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<objects::Error> for Denied {
    fn from(error: objects::Error) -> Self {
        match &error {
            objects::Error::NoObject { .. } => {
                Self::Failed(Failure::Invalid("the object was not stored yet".to_owned()))
            }
            _ => Self::Failed(Failure::inside(error)),
        }
    }
}

impl From<engine::Error> for Denied {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Refused(refusal) => Self::Refused(refusal),
            other => Self::Failed(other.into()),
        }
    }
}

impl From<LogError> for Denied {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Refused(refusal) => Self::Refused(refusal),
            LogError::TooLong { .. } => Self::Failed(Failure::Invalid(error.to_string())),
            other => Self::Failed(other.into()),
        }
    }
}

impl From<ReportError> for Denied {
    fn from(error: ReportError) -> Self {
        match error {
            ReportError::Log(error) => error.into(),
            ReportError::Engine(error) => error.into(),
        }
    }
}
