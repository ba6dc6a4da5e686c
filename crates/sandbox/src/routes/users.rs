//! Public profiles and following.

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::routes::caller::Caller;

pub(crate) fn routes() -> Router<App> {
    Router::new()
        .route("/api/users/{username}", get(profile))
        .route("/api/users/{username}/follow", post(follow).delete(unfollow))
}

async fn profile(
    State(app): State<App>,
    // The documentation requires a token, but the CLI sends one only if it has one.
    _caller: Option<Caller>,
    Path(username): Path<String>,
) -> ApiResult<Json<Value>> {
    let data = app.data();
    let account = data.accounts.find(&username);
    let account = account.ok_or_else(|| ApiError::not_found("User not found"))?;
    let followers = data.accounts.all().iter().filter(|other| other.following.contains(&account.id)).count();
    let mut user = account.json();
    if let Some(user) = user.as_object_mut() {
        user.insert("follower_count".to_owned(), followers.into());
        user.insert("following_count".to_owned(), account.following.len().into());
    }
    Ok(Json(user))
}

async fn follow(
    State(app): State<App>,
    caller: Caller,
    Path(username): Path<String>,
) -> ApiResult<Json<Value>> {
    set(&app, &caller, &username, true)
}

async fn unfollow(
    State(app): State<App>,
    caller: Caller,
    Path(username): Path<String>,
) -> ApiResult<Json<Value>> {
    set(&app, &caller, &username, false)
}

fn set(app: &App, caller: &Caller, username: &str, on: bool) -> ApiResult<Json<Value>> {
    let mut data = app.data();
    let target = data.accounts.find(username);
    let target = target.ok_or_else(|| ApiError::not_found("User not found"))?.id.clone();
    if target == caller.id {
        return Err(ApiError::bad_request("You cannot follow yourself"));
    }
    let following = &mut data.accounts.get_mut(&caller.id)?.following;
    if on {
        following.insert(target);
    } else {
        following.remove(&target);
    }
    Ok(Json(json!({ "ok": true, "following": on })))
}
