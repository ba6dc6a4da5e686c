//! Hooks: sets of slash commands with one webhook, or with code that the platform runs.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::InvokePermission;
use super::{AgencyId, HookId, List, Timestamp};

/// A hook.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Hook {
    /// The id. Explore may omit it.
    #[serde(rename(deserialize = "id|hook_id"), skip_serializing_if = "Option::is_none")]
    pub id: Option<HookId>,
    /// The slug, for `/hook install <slug>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// The name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name after the `@` in `/command@name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_name: Option<String>,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The creator, such as `@alice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// The commands.
    #[serde(default)]
    pub commands: List<HookCommand>,
    /// The URL that receives the users' calls. A native hook has no URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// Who may use the installed hook. The setting of an agency has priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_invoke_permission: Option<InvokePermission>,
    /// Whether the hook is enabled. `None` if the server did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The URL of the source code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// The SHA-256 of the source code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_hash: Option<String>,
    /// Whether the platform has verified the source code. `None` if the server did not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// The schema of the commands' inputs and outputs, in the creator's own form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The source code of a native hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_code: Option<String>,
    /// The time of creation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// The time of the last change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

lenient!(Hook);

/// A command of a hook.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct HookCommand {
    /// The name, without `/`.
    pub name: String,
    /// The description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

lenient!(HookCommand, or_text | name | HookCommand { name, description: None });

/// Information about the source code of a hook.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct HookSource {
    /// The hook's webhook URL.
    pub webhook_url: String,
    /// The URL of the source code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// The SHA-256 of the source code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_hash: Option<String>,
    /// Whether the platform has verified the source code.
    #[serde(default)]
    pub verified: bool,
    /// The schema of the commands' inputs and outputs, in the creator's own form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

lenient!(HookSource);

/// A native hook that was deployed.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct DeployedHook {
    /// The hook's id.
    #[serde(rename(deserialize = "hook_id|id"))]
    pub id: HookId,
    /// The slug, for `/hook install <slug>`.
    pub slug: String,
    /// `native`.
    pub source_type: Option<String>,
    /// The SHA-256 of the code.
    pub source_hash: Option<String>,
    /// Whether the platform has verified the code. Always true here, because the platform has the code.
    #[serde(default)]
    pub verified: bool,
    /// The names of the commands.
    #[serde(default)]
    pub commands: List<String>,
    /// The agency in which the hook was installed, if the request asked for an installation.
    pub installed_in: Option<AgencyId>,
    /// The commands that were installed in this agency.
    #[serde(default)]
    pub installed_commands: List<String>,
    /// The hook's key. The server sends the key only for the first deployment: store it now.
    pub hook_key: Option<crate::token::HookKey>,
}

lenient!(read DeployedHook);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_objects_or_names() {
        for json in
            [r#"[{"name":"roll","description":"Rolls"},"flip"]"#, r#""[\"roll\",{\"name\":\"flip\"}]""#]
        {
            let hook: Hook =
                serde_json::from_str(&format!(r#"{{"hook_id":"h","commands":{json}}}"#)).unwrap();
            let names: Vec<&str> = hook.commands.iter().map(|command| command.name.as_str()).collect();
            assert_eq!((names, hook.id.unwrap().as_str()), (vec!["roll", "flip"], "h"));
        }
    }

    #[test]
    fn commands_are_written_as_objects() {
        let json = r#"["roll",{"name":"flip","description":"Flips","more":1}]"#;
        let commands: Vec<HookCommand> = serde_json::from_str(json).unwrap();
        let written = r#"[{"name":"roll"},{"name":"flip","description":"Flips"}]"#;
        assert_eq!(serde_json::to_string(&commands).unwrap(), written);
        for bad in ["7", "{}", "null"] {
            assert!(serde_json::from_str::<HookCommand>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_of_a_deployed_hook_is_not_printed() {
        let json = r#"{"hook_id":"h","slug":"dice","commands":["roll"],"hook_key":"do_not_print_me"}"#;
        let hook: DeployedHook = serde_json::from_str(json).unwrap();
        assert!(!format!("{hook:?}").contains("do_not"), "{hook:?}");
        assert_eq!(hook.hook_key.unwrap().expose(), "do_not_print_me");
    }
}
