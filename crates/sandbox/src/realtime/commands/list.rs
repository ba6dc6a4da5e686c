//! The names of the server's own commands, and the rules for the names of custom commands.

use crate::error::{ApiError, ApiResult};

const PLATFORM: [(&str, &str); 7] = [
    ("help", "Lists the commands; only the caller sees it"),
    ("echo", "/echo <text>: says the text"),
    ("roll", "/roll [2d6]: rolls dice"),
    ("who", "Lists the members of the room"),
    ("hook", "/hook install <slug>: installs a public hook; for the owner and admins"),
    ("slow", "/slow <milliseconds> <text>: first a placeholder, later the text as an edit (sandbox only)"),
    ("hang", "Never answers (sandbox only)"),
];

pub(crate) const NOTES: [(&str, &str); 4] = [
    ("save", "/save <name> <text>: keeps a note in this room"),
    ("get", "/get <name>: shows a note"),
    ("notes", "Lists the notes of this room"),
    ("clearnote", "/clearnote <name>: deletes a note"),
];

pub(crate) const MANAGE: [(&str, &str); 7] = [
    (
        "agent",
        "/agent create <name> [role] | verify <name> | details <name> | add <name> | customize <name> <key> <value> [--agency]",
    ),
    ("agency", "/agency create <name>: creates an agency that you own"),
    ("install", "/install <slug>: installs a public hook; for the owner and admins"),
    ("custom", "Lists the custom commands of this agency"),
    ("balance", "Shows your wallet; there is no chain in the sandbox"),
    ("boot", "Not in the sandbox"),
    ("setup", "Not in the sandbox: it has no language models"),
];

pub(crate) const MODERATION: [(&str, &str); 5] = [
    ("kick", "/kick @user: removes a member; for moderators and up"),
    ("ban", "/ban @user: removes and bans a user; for moderators and up"),
    ("unban", "/unban @user: ends a ban; for moderators and up"),
    ("promote", "/promote @user [admin|moderator]: only for the owner"),
    ("demote", "/demote @user: back to member; only for the owner"),
];

/// The name and description of each command.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = PLATFORM.into_iter().chain(MODERATION);
    own.chain(NOTES).chain(MANAGE)
}

pub(crate) fn is_built_in(name: &str) -> bool {
    all().any(|(known, _)| known == name)
}

/// Checks a name: only lowercase letters and digits, and not the name of a platform command.
pub(crate) fn name_of(text: &str) -> ApiResult<String> {
    let name: String =
        text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    if name.is_empty() {
        return Err(ApiError::bad_request("name must have letters or digits"));
    }
    if is_built_in(&name) {
        return Err(ApiError::bad_request(format!("/{name} is a built-in command")));
    }
    Ok(name)
}
