//! The caller of a request.

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::store::Data;
use crate::store::accounts::Account;

/// The account behind the bearer token of a request.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) id: String,
    pub(crate) token_hash: String,
}

impl Caller {
    /// The caller, if it is a user. Some endpoints refuse agents.
    pub(crate) fn user<'d>(&self, data: &'d Data) -> ApiResult<&'d Account> {
        let account = data.accounts.get(&self.id)?;
        if account.agent.is_some() {
            return Err(ApiError::forbidden("Agents cannot do this: use a user's token"));
        }
        Ok(account)
    }
}

/// The token of a request, from the bearer header or the browser's cookie.
fn bearer(parts: &Parts) -> Option<&str> {
    let token = match parts.headers.get(AUTHORIZATION) {
        Some(value) => {
            let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token)?
        }
        None => {
            let cookies = parts.headers.get(COOKIE)?.to_str().ok()?;
            cookies.split(';').find_map(|cookie| cookie.trim().strip_prefix("crustocean_token="))?
        }
    };
    Some(token.trim()).filter(|token| !token.is_empty())
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let token = bearer(parts).ok_or_else(|| ApiError::unauthorized("Authentication required"))?;
        let token_hash = ids::sha256(token);
        match app.account_of(&token_hash) {
            Some(id) => Ok(Caller { id, token_hash }),
            None => Err(ApiError::unauthorized("Invalid or expired token")),
        }
    }
}

impl OptionalFromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Option<Self>, ApiError> {
        if bearer(parts).is_none() {
            return Ok(None);
        }
        <Caller as FromRequestParts<App>>::from_request_parts(parts, app).await.map(Some)
    }
}
