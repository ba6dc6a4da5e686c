//! Deploys a native hook. The sandbox stores and shows the code, but never runs it.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::app::App;
use crate::body::Body;
use crate::error::{ApiError, ApiResult};
use crate::ids;
use crate::realtime::commands::list::name_of;
use crate::routes::caller::Caller;
use crate::store::Data;
use crate::store::hooks::Hook;

const MAX_CODE: usize = 64 * 1024;

pub(crate) fn routes() -> Router<App> {
    Router::new().route("/api/hooks/deploy", post(deploy))
}

/// The checked names and descriptions of the commands.
fn commands_of(body: &Body) -> ApiResult<Vec<(String, Option<String>)>> {
    let list = body.0.get("commands").and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| ApiError::bad_request("commands must have at least one entry"))?;
    let command = |entry: &Value| {
        let name = entry.get("name").and_then(Value::as_str);
        let name = name.ok_or_else(|| ApiError::bad_request("every command needs a name"))?;
        let description = entry.get("description").and_then(Value::as_str).map(str::to_owned);
        Ok((name_of(name)?, description))
    };
    list.iter().map(command).collect()
}

async fn deploy(State(app): State<App>, caller: Caller, body: Body) -> ApiResult<Json<Value>> {
    let slug = body.required("slug")?;
    if !slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Err(ApiError::bad_request("slug must be lowercase letters, digits and -"));
    }
    let code = body.required("code")?;
    // The platform also runs the code once. The sandbox only checks that it contains the word `handler`.
    if code.len() > MAX_CODE || !code.contains("handler") {
        return Err(ApiError::bad_request("code must be at most 64 KB and have a top-level handler"));
    }
    let commands = commands_of(&body)?;
    let mut data = app.data();
    let agency = match body.text(&["agency_id", "agencyId"]) {
        Some(id) => Some(data.agencies.managed(id, &caller.id)?.id.clone()),
        None => None,
    };
    let (url, key) = store(&mut data, &caller, slug, &body)?;
    let names: Vec<String> = commands.iter().map(|(name, _)| name.clone()).collect();
    // Update the installed copies, too.
    let mut rooms: Vec<String> = data
        .commands
        .0
        .iter()
        .filter(|command| command.webhook_url == url)
        .map(|c| c.agency.clone())
        .collect();
    rooms.extend(agency.clone());
    rooms.sort();
    rooms.dedup();
    for room in &rooms {
        data.commands.install(room, &url, &commands);
    }
    let hook = data.hooks.by_url(&url).ok_or_else(|| ApiError::not_found("Hook not found"))?;
    let mut answer = json!({
        "hook_id": hook.id,
        "slug": slug,
        "source_type": "native",
        "source_hash": hook.fields.get("source_hash"),
        "verified": true,
        "commands": names,
    });
    if let Some(answer) = answer.as_object_mut() {
        if let Some(agency) = agency {
            answer.insert("installed_in".to_owned(), agency.into());
            answer.insert("installed_commands".to_owned(), names.into());
        }
        if let Some(key) = key {
            answer.insert("hook_key".to_owned(), key.into());
        }
    }
    Ok(Json(answer))
}

/// Creates or updates the hook. Returns its URL and, the first time, its key.
fn store(data: &mut Data, caller: &Caller, slug: &str, body: &Body) -> ApiResult<(String, Option<String>)> {
    let url = format!("native://{slug}");
    if body.text(&["at_name"]).is_some_and(|name| data.hooks.is_taken("at_name", name, &url)) {
        return Err(ApiError::conflict("This at_name belongs to another hook"));
    }
    let key = match data.hooks.by_slug(slug) {
        Some(hook) if hook.creator != caller.id || hook.webhook_url != url => {
            return Err(ApiError::conflict("This slug belongs to another hook"));
        }
        Some(_) => None,
        None => {
            let mut hook = Hook::new(&url, &caller.id);
            hook.slug = Some(slug.to_owned());
            let key = hook.new_key();
            data.hooks.0.push(hook);
            Some(key)
        }
    };
    if let Some(hook) = data.hooks.by_url(&url) {
        hook.set(body, &["name", "description", "at_name", "avatar_url", "commands"]);
        let code = body.text(&["code"]).unwrap_or_default();
        hook.fields.entry("at_name").or_insert_with(|| slug.into());
        hook.fields.insert("source_code".to_owned(), code.into());
        hook.fields.insert("source_hash".to_owned(), ids::sha256(code).into());
        hook.fields.insert("verified".to_owned(), true.into());
    }
    Ok((url, key))
}
