//! Errors as answers, in OpenAI's form.

use crate::engine::{Refused, TextError};
use adamole_core::SettingError;
use adamole_data::DataError;
use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

/// Seconds after which a client may try again.
const RETRY_AFTER: &str = "2";

/// An error that a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
    param: Option<String>,
    code: Option<&'static str>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), param: None, code: None }
    }

    /// The request is not what it has to be.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", message)
    }

    /// A field of the request is not what it has to be.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self { param: Some(field.to_owned()), ..Self::invalid(message) }
    }

    /// A text is longer than the server allows.
    pub(crate) fn too_long(field: &str, message: impl Into<String>) -> Self {
        Self { code: Some("context_length_exceeded"), ..Self::field(field, message) }
    }

    /// No model has this name.
    pub(crate) fn no_model(name: &str, known: &[&str]) -> Self {
        let message = format!("there is no model {name:?}; there are: {}", known.join(", "));
        let error = Self::new(StatusCode::NOT_FOUND, "not_found_error", message);
        Self { param: Some("model".into()), code: Some("model_not_found"), ..error }
    }

    /// There is nothing at this path.
    pub(crate) fn no_path(path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found_error", format!("there is nothing at {path}"))
    }

    /// A path is not asked in this way.
    pub(crate) fn method(path: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", format!("{path} takes another method"))
    }

    /// The key is missing or wrong.
    pub(crate) fn unauthorised() -> Self {
        let message = "the header Authorization: Bearer KEY with the server's key is needed";
        let error = Self::new(StatusCode::UNAUTHORIZED, "authentication_error", message);
        Self { code: Some("invalid_api_key"), ..error }
    }

    /// The request came by another name than the server's.
    pub(crate) fn host(host: &str) -> Self {
        let message = format!("the host {host:?} is not this machine's; start the server with --host to serve others");
        Self::new(StatusCode::FORBIDDEN, "invalid_request_error", message)
    }

    /// The body is no JSON by its header.
    pub(crate) fn media_type() -> Self {
        let message = "the header Content-Type: application/json is needed";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "invalid_request_error", message)
    }

    /// The body is too large.
    pub(crate) fn body(limit: usize) -> Self {
        let message = format!("the body of a request may have {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", message)
    }

    /// Something went wrong that is not the client's doing.
    pub(crate) fn server(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "server_error", message)
    }

    /// The status of the answer.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The body of the answer.
    pub(crate) fn body_json(&self) -> Value {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}})
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Busy => Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", refused.to_string()),
            Refused::Stopped => Self::server(refused.to_string()),
        }
    }
}

impl From<TextError> for ApiError {
    fn from(error: TextError) -> Self {
        let message = error.to_string();
        match error {
            TextError::TimedOut => Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout_error", message),
            TextError::ShuttingDown => Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", message),
            TextError::Model(_) | TextError::Generate(_) | TextError::Step(_) => Self::server(message),
        }
    }
}

/// The tokenizer fails.
impl From<DataError> for ApiError {
    fn from(error: DataError) -> Self {
        Self::server(error.to_string())
    }
}

impl From<SettingError> for ApiError {
    fn from(error: SettingError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body_json())).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
