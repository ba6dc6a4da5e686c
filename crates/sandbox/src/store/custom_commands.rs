//! The custom commands of all agencies.

use crate::body::Body;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids;

/// Who may use a command.
pub(crate) const PERMISSIONS: [&str; 3] = ["open", "closed", "whitelist"];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CustomCommand {
    pub(crate) id: String,
    pub(crate) agency: String,
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) webhook_url: String,
    pub(crate) explore_metadata: Value,
    pub(crate) invoke_permission: String,
    pub(crate) invoke_whitelist: Vec<String>,
    pub(crate) created_at: u64,
}

impl CustomCommand {
    pub(crate) fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "description": self.description,
            "webhook_url": self.webhook_url,
            "explore_metadata": self.explore_metadata,
            "invoke_permission": self.invoke_permission,
            "invoke_whitelist": self.invoke_whitelist,
            "created_at": clock::iso(self.created_at),
        })
    }

    /// Sets the fields in a body, except the name and the URL.
    pub(crate) fn set(&mut self, body: &Body) -> ApiResult<()> {
        if let Some(description) = body.0.get("description") {
            self.description = description.as_str().map(str::to_owned);
        }
        if let Some(metadata) = body.0.get("explore_metadata") {
            if !matches!(metadata, Value::Null | Value::Object(_) | Value::String(_)) {
                return Err(ApiError::bad_request("explore_metadata must be an object or null"));
            }
            self.explore_metadata = metadata.clone();
        }
        if let Some(permission) = body.text(&["invoke_permission"]) {
            if !PERMISSIONS.contains(&permission) {
                return Err(ApiError::bad_request("invoke_permission must be open, closed or whitelist"));
            }
            self.invoke_permission = permission.to_owned();
        }
        if let Some(list) = body.0.get("invoke_whitelist").filter(|list| !list.is_null()) {
            let list = list.as_array();
            let list =
                list.ok_or_else(|| ApiError::bad_request("invoke_whitelist must be a list of usernames"))?;
            let names = list.iter().filter_map(Value::as_str);
            self.invoke_whitelist = names.map(|name| name.trim_start_matches('@').to_lowercase()).collect();
        }
        Ok(())
    }
}

/// The custom commands of all agencies.
#[derive(Debug, Default)]
pub(crate) struct CustomCommands(pub(crate) Vec<CustomCommand>);

impl CustomCommands {
    pub(crate) fn is_installed(&self, webhook_url: &str, agency: &str) -> bool {
        self.0.iter().any(|command| command.webhook_url == webhook_url && command.agency == agency)
    }

    /// The names and descriptions of a hook's commands, each once.
    pub(crate) fn of_hook(&self, webhook_url: &str) -> Value {
        let mut seen: Vec<&str> = Vec::new();
        let mine = self.0.iter().filter(|command| command.webhook_url == webhook_url);
        mine.filter(|command| {
            let new = !seen.contains(&command.name.as_str());
            seen.push(&command.name);
            new
        })
        .map(|command| json!({ "name": command.name, "description": command.description }))
        .collect()
    }

    pub(crate) fn find(&mut self, agency: &str, id: &str) -> ApiResult<&mut CustomCommand> {
        let found = self.0.iter_mut().find(|command| command.id == id && command.agency == agency);
        found.ok_or_else(|| ApiError::not_found("Command not found"))
    }
}

impl CustomCommands {
    /// Installs the commands of a hook in an agency. Replaces those that the agency has.
    pub(crate) fn install(&mut self, agency: &str, url: &str, commands: &[(String, Option<String>)]) {
        self.0.retain(|command| command.agency != agency || command.webhook_url != url);
        for (name, description) in commands {
            self.0.push(CustomCommand {
                id: ids::uuid(),
                agency: agency.to_owned(),
                name: name.clone(),
                description: description.clone(),
                webhook_url: url.to_owned(),
                explore_metadata: Value::Null,
                invoke_permission: "open".to_owned(),
                invoke_whitelist: Vec::new(),
                created_at: clock::now_ms(),
            });
        }
    }
}
