//! Request bodies: a JSON object, or no bytes.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};

use crate::error::{ApiError, ApiResult};

const MAX_BODY: usize = 1_000_000;

/// The object in a request's body. An empty body counts as `{}`, because the CLI sends the JSON content type without a
/// body.
#[derive(Debug)]
pub(crate) struct Body(pub(crate) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let bytes: Bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| {
            ApiError::new(axum::http::StatusCode::PAYLOAD_TOO_LARGE, "request entity too large")
        })?;
        if bytes.is_empty() {
            return Ok(Body(Map::new()));
        }
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(map)) => Ok(Body(map)),
            _ => Err(ApiError::bad_request("The body must be a JSON object")),
        }
    }
}

impl Body {
    /// A text field under any of its spellings; empty and `null` count as absent.
    pub(crate) fn text(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.0.get(*name)?.as_str()).filter(|text| !text.is_empty())
    }

    pub(crate) fn required(&self, name: &str) -> ApiResult<&str> {
        self.text(&[name]).ok_or_else(|| ApiError::bad_request(format!("{name} is required")))
    }

    pub(crate) fn flag(&self, names: &[&str]) -> Option<bool> {
        names.iter().find_map(|name| self.0.get(*name)?.as_bool())
    }
}
