//! Hooks: bundles of slash commands behind one webhook, or behind code that the platform runs itself.

use serde_json::Value;

use super::command::InvokePermission;
use super::lenient::{Flag, MaybeText, Strings};
use super::{AgencyId, HookId, Timestamp};
use crate::json::{Json, Mistake, Read};

api_struct! {
    /// A hook.
    #[derive(Debug, Clone, PartialEq)]
    pub struct Hook {
        /// The hook's id. Explore may leave it out.
        id: Option<HookId> = optional("id" | "hook_id" | "hookId"),
        /// What it is installed by: `/hook install <slug>`.
        slug: Option<String> = optional("slug"),
        /// Its name.
        name: Option<String> = optional("name"),
        /// Its name after the `@` of `/command@name`.
        at_name: Option<String> = optional("at_name" | "atName"),
        /// What it does.
        description: Option<String> = optional("description"),
        /// Who made it: `@alice`.
        creator: Option<String> = optional("creator"),
        /// Its commands.
        commands: Vec<HookCommand> = default("commands" as MaybeText<Vec<HookCommand>>),
        /// Where the platform sends what people type. A native hook has none.
        webhook_url: Option<String> = optional("webhook_url" | "webhookUrl"),
        /// Who may use it where it is installed, unless the agency says otherwise.
        default_invoke_permission: Option<InvokePermission> =
            optional("default_invoke_permission" | "defaultInvokePermission"),
        /// Whether it can be used. `None` if the server did not say.
        enabled: Option<bool> = optional("enabled" as Flag),
        /// Where its source can be read.
        source_url: Option<String> = optional("source_url" | "sourceUrl"),
        /// The SHA-256 of its source.
        source_hash: Option<String> = optional("source_hash" | "sourceHash"),
        /// Whether the platform vouches for the source. `None` if the server did not say.
        verified: Option<bool> = optional("verified" as Flag),
        /// What its commands take and give, in its maker's words.
        schema: Option<Value> = optional("schema"),
        /// The source of a native hook.
        source_code: Option<String> = optional("source_code" | "sourceCode"),
        /// When it was made.
        created_at: Option<Timestamp> = optional("created_at" | "createdAt"),
        /// When it was last changed.
        updated_at: Option<Timestamp> = optional("updated_at" | "updatedAt"),
    }
}

payload! {
    /// One command of a hook.
    #[derive(Debug, Clone, PartialEq)]
    #[non_exhaustive]
    pub struct HookCommand {
        /// Its name, without `/`.
        pub name: String = always("name"),
        /// What it does.
        pub description: Option<String> = optional("description"),
    }
}

api_struct! {
    /// A command that is an object.
    secret struct WholeCommand {
        /// Its name.
        name: String = required("name"),
        /// What it does.
        description: Option<String> = optional("description"),
    }
}

/// An object, or the name alone.
impl Read for HookCommand {
    #[inline]
    fn read(json: Json<'_>) -> Result<Self, Mistake> {
        if let Json::Text(name) = json {
            return Ok(HookCommand { name: name.to_owned(), description: None });
        }
        let WholeCommand { name, description } = WholeCommand::read(json)?;
        Ok(HookCommand { name, description })
    }
}

deserialize!(HookCommand);

api_struct! {
    /// What is known about the source of a hook.
    #[derive(Debug, Clone, PartialEq)]
    pub struct HookSource {
        /// The hook's webhook.
        webhook_url: String = required("webhook_url" | "webhookUrl"),
        /// Where its source can be read.
        source_url: Option<String> = optional("source_url" | "sourceUrl"),
        /// The SHA-256 of its source.
        source_hash: Option<String> = optional("source_hash" | "sourceHash"),
        /// Whether the platform vouches for it.
        verified: bool = default("verified" as Flag),
        /// What its commands take and give, in its maker's words.
        schema: Option<Value> = optional("schema"),
    }
}

api_struct! {
    /// A native hook that was just deployed.
    #[derive(Debug, Clone)]
    pub secret struct DeployedHook {
        /// The hook's id.
        id: HookId = required("hook_id" | "hookId" | "id"),
        /// What it is installed by.
        slug: String = required("slug"),
        /// `native`.
        source_type: Option<String> = optional("source_type" | "sourceType"),
        /// The SHA-256 of the code.
        source_hash: Option<String> = optional("source_hash" | "sourceHash"),
        /// Whether the platform vouches for the code: it does, having seen it.
        verified: bool = default("verified" as Flag),
        /// The names of its commands.
        commands: Vec<String> = default("commands" as Strings),
        /// The agency it was installed in, if that was asked for.
        installed_in: Option<AgencyId> = optional("installed_in" | "installedIn"),
        /// The commands that were installed there.
        installed_commands: Vec<String> = default("installed_commands" | "installedCommands" as Strings),
        /// The hook's key, the first time only: store it now.
        hook_key: Option<crate::token::HookKey> = optional("hook_key" | "hookKey"),
    }
}

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
