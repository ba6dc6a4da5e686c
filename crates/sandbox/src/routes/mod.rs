//! The REST API, one file per resource.

pub(crate) mod access;
pub(crate) mod agencies;
pub(crate) mod agents;
pub(crate) mod auth;
pub(crate) mod caller;
pub(crate) mod claims;
pub(crate) mod commands;
pub(crate) mod custom_commands;
pub(crate) mod deploy;
pub(crate) mod dms;
pub(crate) mod explore;
pub(crate) mod guard;
pub(crate) mod hook_api;
pub(crate) mod hooks;
pub(crate) mod members;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod onboarding;
pub(crate) mod runs;
pub(crate) mod skills;
pub(crate) mod subscriptions;
pub(crate) mod tokens;
pub(crate) mod users;
pub(crate) mod wallet;

use axum::Router;

use crate::app::App;
use crate::error::ApiError;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .merge(auth::routes())
        .merge(tokens::routes())
        .merge(agents::routes())
        .merge(agencies::routes())
        .merge(members::routes())
        .merge(messages::routes())
        .merge(skills::routes())
        .merge(runs::routes())
        .merge(dms::routes())
        .merge(users::routes())
        .merge(explore::routes())
        .merge(commands::routes())
        .merge(custom_commands::routes())
        .merge(hooks::routes())
        .merge(subscriptions::routes())
        .merge(deploy::routes())
        .merge(wallet::routes())
        .merge(onboarding::routes())
        .merge(claims::routes())
        .merge(hook_api::routes())
        .merge(metrics::routes())
        .fallback(async || ApiError::not_found("Not found"))
        .method_not_allowed_fallback(async || ApiError::not_found("Not found"))
}
