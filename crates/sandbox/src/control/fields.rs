//! The fields of a control request, from JSON or a form.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde_json::{Map, Value};

use crate::error::{ApiError, ApiResult};

const MAX_BODY: usize = 1_000_000;

/// The fields of the body and of the query. `curl -d room=lobby` and `curl --json '{"room":"lobby"}'` have the same
/// effect.
#[derive(Debug)]
pub(crate) struct Fields(pub(crate) Map<String, Value>);

fn form(text: &str) -> Result<Map<String, Value>, String> {
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(text).map_err(|error| error.to_string())?;
    Ok(pairs.into_iter().map(|(key, value)| (key, Value::String(value))).collect())
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let mut fields = form(request.uri().query().unwrap_or_default()).map_err(ApiError::bad_request)?;
        let bytes: Bytes = to_bytes(request.into_body(), MAX_BODY)
            .await
            .map_err(|_| ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is larger than 1 MB"))?;
        let text = std::str::from_utf8(&bytes).map_err(|_| ApiError::bad_request("The body is not UTF-8"))?;
        if text.trim_start().starts_with('{') {
            let json = serde_json::from_str(text)
                .map_err(|error| ApiError::bad_request(format!("The body is not JSON: {error}")))?;
            if let Value::Object(json) = json {
                fields.extend(json);
            }
        } else {
            fields.extend(form(text.trim_end_matches(['\r', '\n'])).map_err(ApiError::bad_request)?);
        }
        Ok(Fields(fields))
    }
}

impl Fields {
    /// A field as text. Numbers and booleans become text.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.0.get(name)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            value @ (Value::Number(_) | Value::Bool(_)) => Some(value.to_string()),
            _ => None,
        }
    }

    pub(crate) fn required(&self, name: &str) -> ApiResult<String> {
        self.text(name).ok_or_else(|| ApiError::bad_request(format!("{name} is required")))
    }

    /// A field that contains JSON. In a form the field is JSON text.
    pub(crate) fn json(&self, name: &str) -> ApiResult<Value> {
        match self.0.get(name) {
            None => Ok(Value::Null),
            Some(Value::String(text)) => {
                serde_json::from_str(text).map_err(|error| ApiError::bad_request(format!("{name}: {error}")))
            }
            Some(value) => Ok(value.clone()),
        }
    }
}
