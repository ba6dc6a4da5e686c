//! Creates users and agents.

use std::collections::HashMap;

use serde_json::Map;

use crate::error::ApiResult;
use crate::ids;
use crate::store::accounts::{Agent, check_password};
use crate::store::data::Data;

/// Creates a user, and adds it to the Lobby.
pub(crate) fn create_user(
    data: &mut Data,
    username: &str,
    password: &str,
    display_name: &str,
) -> ApiResult<String> {
    check_password(password)?;
    let id = data.accounts.add(username, display_name, Some(password), None)?.id.clone();
    data.agencies.lobby_mut().add_member(&id, "member");
    Ok(id)
}

/// The username for a name: lowercase, with `-` for blanks. The reference documents only the length of a name.
pub(crate) fn username_of(name: &str) -> String {
    name.trim().to_lowercase().replace(' ', "-")
}

/// Creates an agent, and adds it to the Lobby. Returns its id and its token, which is not stored.
pub(crate) fn create_agent(
    data: &mut Data,
    name: &str,
    owner: Option<&str>,
    role: Option<&str>,
    verified: bool,
) -> ApiResult<(String, String)> {
    let username = username_of(name);
    let token = format!("sk_{}", ids::hex(&ids::random::<24>()));
    let mut config = Map::new();
    if let Some(role) = role {
        config.insert("role".to_owned(), role.into());
    }
    let agent = Agent {
        owner: owner.map(str::to_owned),
        verified,
        token_hash: ids::sha256(&token),
        config,
        agency_config: HashMap::new(),
    };
    let id = data.accounts.add(&username, name.trim(), None, Some(agent))?.id.clone();
    data.agencies.lobby_mut().add_member(&id, "member");
    Ok((id, token))
}
