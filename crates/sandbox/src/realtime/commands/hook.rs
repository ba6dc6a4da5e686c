//! `/hook install`: installs the commands of a public hook in an agency.

use serde_json::Value;

use crate::app::App;
use crate::error::{ApiError, ApiResult};
use crate::realtime::commands::Outcome;
use crate::realtime::commands::list::name_of;

/// Runs `/hook install <slug>`, which installs the commands of a public hook in an agency. `None` for other commands.
pub(crate) fn run(app: &App, agency: &str, caller: &str, call: (&str, &str)) -> Option<Outcome> {
    if call.0 != "hook" {
        return None;
    }
    let outcome = |ok, content| Outcome { ok, command: "hook".to_owned(), content, ..Outcome::default() };
    let slug = match call.1.split_once(' ') {
        Some(("install", slug)) if !slug.trim().is_empty() => slug.trim(),
        _ => return Some(outcome(false, "Usage: /hook install <slug>".to_owned())),
    };
    Some(match install_public(app, agency, caller, slug) {
        Ok(names) => outcome(true, format!("Installed {slug}: {names}")),
        Err(refusal) => outcome(false, refusal.message),
    })
}

pub(crate) fn install_public(app: &App, agency: &str, caller: &str, slug: &str) -> ApiResult<String> {
    let mut data = app.data();
    data.agencies.managed(agency, caller)?;
    let hook = data.hooks.0.iter().find(|hook| hook.enabled && hook.slug.as_deref() == Some(slug));
    let hook = hook.ok_or_else(|| ApiError::not_found("Hook not found"))?;
    let (url, commands) = (hook.webhook_url.clone(), hook.commands(&data.commands));
    let text = |entry: &Value, key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let commands: Vec<_> = commands
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|entry| Some((name_of(&text(entry, "name")?).ok()?, text(entry, "description"))))
        .collect();
    data.commands.install(agency, &url, &commands);
    Ok(commands.iter().map(|(name, _)| format!("/{name}")).collect::<Vec<_>>().join(", "))
}
