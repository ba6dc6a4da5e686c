//! Hooks: bundles of slash commands behind one webhook, or behind code that the platform runs itself.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::command::InvokePermission;
use super::{AgencyId, HookId, List, Timestamp};

/// A hook.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct Hook {
    /// The hook's id. Explore may leave it out.
    #[serde(rename(deserialize = "id|hook_id"), skip_serializing_if = "Option::is_none")]
    pub id: Option<HookId>,
    /// What it is installed by: `/hook install <slug>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its name after the `@` of `/command@name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_name: Option<String>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who made it: `@alice`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creator: Option<String>,
    /// Its commands.
    #[serde(default)]
    pub commands: List<HookCommand>,
    /// Where the platform sends what people type. A native hook has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_url: Option<String>,
    /// Who may use it where it is installed, unless the agency says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_invoke_permission: Option<InvokePermission>,
    /// Whether it can be used. `None` if the server did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Where its source can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// The SHA-256 of its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_hash: Option<String>,
    /// Whether the platform vouches for the source. `None` if the server did not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// What its commands take and give, in its maker's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
    /// The source of a native hook.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_code: Option<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When it was last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<Timestamp>,
}

lenient!(Hook);

/// One command of a hook.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct HookCommand {
    /// Its name, without `/`.
    pub name: String,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

lenient!(HookCommand, or_text | name | HookCommand { name, description: None });

/// What is known about the source of a hook.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct HookSource {
    /// The hook's webhook.
    pub webhook_url: String,
    /// Where its source can be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_url: Option<String>,
    /// The SHA-256 of its source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_hash: Option<String>,
    /// Whether the platform vouches for it.
    #[serde(default)]
    pub verified: bool,
    /// What its commands take and give, in its maker's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

lenient!(HookSource);

/// A native hook that was just deployed.
#[derive(Debug, Clone, Deserialize)]
#[serde(remote = "Self")]
#[non_exhaustive]
pub struct DeployedHook {
    /// The hook's id.
    #[serde(rename(deserialize = "hook_id|id"))]
    pub id: HookId,
    /// What it is installed by.
    pub slug: String,
    /// `native`.
    pub source_type: Option<String>,
    /// The SHA-256 of the code.
    pub source_hash: Option<String>,
    /// Whether the platform vouches for the code: it does, having seen it.
    #[serde(default)]
    pub verified: bool,
    /// The names of its commands.
    #[serde(default)]
    pub commands: List<String>,
    /// The agency it was installed in, if that was asked for.
    pub installed_in: Option<AgencyId>,
    /// The commands that were installed there.
    #[serde(default)]
    pub installed_commands: List<String>,
    /// The hook's key, the first time only: store it now.
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
