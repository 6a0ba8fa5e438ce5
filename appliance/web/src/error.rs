//! The one way in which a request fails, told to programs as JSON and to people as a page.
//!
//! Why: a handler says what went wrong; how it looks depends on who asked. The JSON form is that
//! of API v2: `{"message": "…"}`. [`crate::shell`] turns it into a page for browsers.
//! Invariants: the message never carries a cause from within; causes go to the log, once, with
//! the request's id.

use axum::{
    Json,
    extract::rejection::{
        BytesRejection, FormRejection, JsonRejection, PathRejection, QueryRejection,
    },
    response::{IntoResponse, Response},
};
use engine::logs::LogError;
use http::{HeaderValue, StatusCode, header};
use std::time::Duration;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request makes no sense; says what would.
    #[error("{0}")]
    Invalid(String),
    /// Nobody is logged in.
    #[error("You must log in first.")]
    Anonymous,
    /// What was shown does not prove anything.
    #[error("the login or token is not valid")]
    Unproven,
    /// The token stands in the address.
    #[error(
        "send the token in the Circle-Token header: one in the address is not taken, because addresses end up in logs"
    )]
    TokenInAddress,
    /// The one-time password must be changed before anything else.
    #[error("change your one-time password first: log in at the dashboard")]
    PasswordIsOneTime,
    /// Logged in, but may not; says who may.
    #[error("{0}")]
    Forbidden(String),
    /// Another site made the browser ask.
    #[error("this request came from another site and was refused")]
    Forged,
    /// For example `Project not found.`
    #[error("{0}")]
    Missing(String),
    /// Not possible in the present state.
    #[error("{0}")]
    Conflict(String),
    /// Known to the original's clients, and not done here.
    #[error("{0}")]
    NotOffered(String),
    /// More than may be sent.
    #[error("{0}")]
    TooLarge(String),
    /// Too often.
    #[error("too many attempts: try again in {} s", .after.as_secs().max(1))]
    TooOften {
        /// When to come back.
        after: Duration,
    },
    /// The answer took too long.
    #[error("the answer took longer than {} s and was given up", .after.as_secs())]
    Slow {
        /// The bound.
        after: Duration,
    },
    /// Not now; says why and when.
    #[error("{0}")]
    Unavailable(String),
    /// Something inside failed.
    #[error("something inside failed; the log has the cause under this request's id")]
    Inside(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Left in the response for [`crate::shell`], which may turn it into a page.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    /// Where a browser is sent instead, for it can do something about it there.
    pub(crate) remedy: Option<&'static str>,
}

impl Failure {
    /// Wraps a cause from within.
    pub fn inside(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Inside(Box::new(cause))
    }

    /// `Project not found.` and the like.
    #[must_use]
    pub fn missing(what: &str) -> Self {
        Self::Missing(format!("{what} not found."))
    }

    /// The status code of the answer.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Anonymous | Self::Unproven | Self::TokenInAddress => StatusCode::UNAUTHORIZED,
            Self::PasswordIsOneTime | Self::Forbidden(_) | Self::Forged => StatusCode::FORBIDDEN,
            Self::Missing(_) => StatusCode::NOT_FOUND,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::NotOffered(_) => StatusCode::NOT_IMPLEMENTED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooOften { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Slow { .. } | Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Inside(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Inside(cause) = &self {
            tracing::error!(error = &**cause as &dyn std::error::Error, "a request failed inside");
        }
        let remedy = match self {
            Self::Anonymous => Some("/login"),
            Self::PasswordIsOneTime => Some("/account"),
            _ => None,
        };
        let told = Told { status: self.status(), message: self.to_string(), remedy };
        let body = Json(serde_json::json!({ "message": told.message }));
        let mut response = (told.status, body).into_response();
        if let Self::TooOften { after } = self {
            let seconds = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(told);
        response
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Conflict(message) => Self::Conflict(message),
            store::Error::Missing(what) => Self::missing(&what),
            store::Error::Full | store::Error::Broken | store::Error::Closed => {
                Self::Unavailable(error.to_string())
            }
            other => Self::inside(other),
        }
    }
}

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        match error {
            engine::Error::Missing(what) => Self::missing(what),
            engine::Error::Store(cause) => cause.into(),
            engine::Error::Busy | engine::Error::Stopping => Self::Unavailable(error.to_string()),
            other => Self::Conflict(other.to_string()),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Store(cause) => cause.into(),
            other => Self::inside(other),
        }
    }
}

macro_rules! rejections {
    ($($rejection:ident)*) => {$(
        impl From<$rejection> for Failure {
            fn from(rejection: $rejection) -> Self {
                match rejection.status() {
                    StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge(rejection.body_text()),
                    _ => Self::Invalid(rejection.body_text()),
                }
            }
        }
    )*};
}
rejections!(BytesRejection FormRejection JsonRejection PathRejection QueryRejection);

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn check(failure: Failure, status: u16, body: &str) {
        let response = failure.into_response();
        assert_eq!(response.status(), status);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(String::from_utf8_lossy(&bytes), body);
    }

    #[tokio::test]
    async fn programs_get_the_messages_of_api_v2() {
        check(Failure::Anonymous, 401, r#"{"message":"You must log in first."}"#).await;
        check(Failure::missing("Project"), 404, r#"{"message":"Project not found."}"#).await;
    }

    #[tokio::test]
    async fn causes_from_within_are_not_told() {
        let cause = std::io::Error::other("/secret/path");
        let text = r#"{"message":"something inside failed; the log has the cause under this request's id"}"#;
        check(Failure::inside(cause), 500, text).await;
    }
}
