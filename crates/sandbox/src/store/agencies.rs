//! Agencies: rooms with members and a history. Direct messages are hidden agencies with two members.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value, json};

use crate::clock;
use crate::error::{ApiError, ApiResult};
use crate::ids::{self, PasswordHash};
use crate::store::invites::Invite;
use crate::store::messages::Message;
use crate::store::transcript::Transcript;

/// The roles, from the highest to the lowest.
pub(crate) const ROLES: [&str; 4] = ["owner", "admin", "moderator", "member"];

type Role = &'static str;

fn known_role<'de, D: Deserializer<'de>>(from: D) -> Result<&'static str, D::Error> {
    let role = String::deserialize(from)?;
    Ok(ROLES.into_iter().find(|known| *known == role).unwrap_or("member"))
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Member {
    pub(crate) account: String,
    #[serde(deserialize_with = "known_role")]
    pub(crate) role: Role,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Agency {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) slug: String,
    pub(crate) charter: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) private: bool,
    pub(crate) password: Option<PasswordHash>,
    pub(crate) created_at: u64,
    pub(crate) members: Vec<Member>,
    #[serde(skip)]
    pub(crate) messages: Transcript,
    pub(crate) skills: Vec<String>,
    /// The notes of `/save`.
    #[serde(default)]
    pub(crate) notes: BTreeMap<String, String>,
    pub(crate) dm: bool,
    /// The accounts that have hidden this conversation. Only for direct conversations.
    pub(crate) hidden_for: HashSet<String>,
    pub(crate) banned: HashSet<String>,
    pub(crate) order: u64,
}

impl Agency {
    pub(crate) fn is_member(&self, account: &str) -> bool {
        self.members.iter().any(|member| member.account == account)
    }

    pub(crate) fn role_of(&self, account: &str) -> Option<&'static str> {
        self.members.iter().find(|member| member.account == account).map(|member| member.role)
    }

    pub(crate) fn require_member(&self, account: &str) -> ApiResult<()> {
        if self.is_member(account) {
            return Ok(());
        }
        Err(ApiError::forbidden("Not a member of this agency"))
    }

    /// Checks that the account may read: members may read every agency, everyone may read public ones.
    pub(crate) fn require_reader(&self, account: &str) -> ApiResult<()> {
        if self.private || self.dm { self.require_member(account) } else { Ok(()) }
    }

    /// Adds a member. Returns true if the account was not a member before.
    pub(crate) fn add_member(&mut self, account: &str, role: &'static str) -> bool {
        if self.is_member(account) {
            return false;
        }
        self.members.push(Member { account: account.to_owned(), role });
        true
    }

    /// Adds a member who joins or is invited. Refuses banned accounts.
    pub(crate) fn admit(&mut self, account: &str) -> ApiResult<bool> {
        if self.banned.contains(account) {
            return Err(ApiError::forbidden("Banned from this agency"));
        }
        Ok(self.add_member(account, "member"))
    }

    pub(crate) fn remove_member(&mut self, account: &str) -> bool {
        let before = self.members.len();
        self.members.retain(|member| member.account != account);
        self.members.len() < before
    }

    /// Adds a message. Keeps at most `most` messages.
    pub(crate) fn add_message(&mut self, message: Message, most: usize) {
        // A new message shows a hidden conversation again.
        self.hidden_for.clear();
        self.messages.push(message, most);
    }

    pub(crate) fn json(&self, account: Option<&str>) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "slug": self.slug,
            "charter": self.charter,
            "is_private": self.private,
            "owner_id": self.owner,
            "member_count": self.members.len(),
            "isMember": account.is_some_and(|account| self.is_member(account)),
            "created_at": clock::iso(self.created_at),
        })
    }

    /// The fields of `agency-invited`.
    pub(crate) fn short_json(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "slug": self.slug })
    }
}

/// All agencies and the invites to them.
#[derive(Debug)]
pub(crate) struct Agencies {
    pub(crate) by_id: HashMap<String, Agency>,
    pub(crate) lobby: String,
    pub(crate) created: u64,
    tracked: bool,
    pub(crate) invites: HashMap<String, Invite>,
}

impl Default for Agencies {
    fn default() -> Self {
        Agencies {
            by_id: HashMap::new(),
            lobby: ids::uuid(),
            created: 0,
            tracked: false,
            invites: HashMap::new(),
        }
    }
}

/// The slug of a name: `My Team` becomes `my-team`.
fn slug_of(name: &str) -> String {
    let parts: Vec<String> = name
        .split(|letter: char| !letter.is_ascii_alphanumeric())
        .filter(|part| !part.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    if parts.is_empty() { "agency".to_owned() } else { parts.join("-") }
}

impl Agencies {
    /// The default public agency, whose members are all accounts.
    pub(crate) fn lobby_mut(&mut self) -> &mut Agency {
        self.by_id.entry(self.lobby.clone()).or_insert_with(|| Agency {
            id: self.lobby.clone(),
            name: "Lobby".to_owned(),
            slug: "lobby".to_owned(),
            charter: Some("The default public agency: everybody is here.".to_owned()),
            created_at: clock::now_ms(),
            ..Agency::default()
        })
    }

    pub(crate) fn lobby_id(&self) -> &str {
        &self.lobby
    }

    /// Finds an agency by id or slug, because the CLI's documentation also uses slugs in paths.
    pub(crate) fn find(&self, id_or_slug: &str) -> ApiResult<&Agency> {
        self.by_id
            .get(id_or_slug)
            .or_else(|| self.by_slug(id_or_slug))
            .ok_or_else(|| ApiError::not_found("Agency not found"))
    }

    pub(crate) fn find_mut(&mut self, id_or_slug: &str) -> ApiResult<&mut Agency> {
        let id = self.find(id_or_slug)?.id.clone();
        self.by_id.get_mut(&id).ok_or_else(|| ApiError::not_found("Agency not found"))
    }

    pub(crate) fn by_slug(&self, slug: &str) -> Option<&Agency> {
        self.by_id.values().find(|agency| !agency.dm && agency.slug == slug)
    }

    /// Finds an agency by id only, as real-time events and direct messages do.
    pub(crate) fn get(&self, id: &str) -> Option<&Agency> {
        self.by_id.get(id)
    }

    pub(crate) fn get_mut(&mut self, id: &str) -> Option<&mut Agency> {
        self.by_id.get_mut(id)
    }

    /// Adds a room, and sets its id, slug, order and time.
    pub(crate) fn add(&mut self, mut agency: Agency) -> &mut Agency {
        self.created += 1;
        agency.order = self.created;
        agency.id = ids::uuid();
        agency.created_at = clock::now_ms();
        if self.tracked {
            agency.messages.track();
        }
        let base = slug_of(&agency.name);
        agency.slug = base.clone();
        let mut number = 2;
        while !agency.dm && self.by_slug(&agency.slug).is_some() {
            agency.slug = format!("{base}-{number}");
            number += 1;
        }
        self.by_id.entry(agency.id.clone()).or_insert(agency)
    }

    /// Restores a saved agency.
    pub(crate) fn restore(&mut self, agency: Agency) {
        self.created = self.created.max(agency.order);
        self.by_id.insert(agency.id.clone(), agency);
    }

    /// Starts to record changes of messages.
    pub(crate) fn track(&mut self) {
        self.tracked = true;
        self.by_id.values_mut().for_each(|agency| agency.messages.track());
    }

    pub(crate) fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
        self.invites.retain(|_, invite| invite.agency != id);
    }

    /// All agencies in the order of creation, the Lobby first.
    pub(crate) fn all(&self) -> Vec<&Agency> {
        let mut all: Vec<&Agency> = self.by_id.values().collect();
        all.sort_by_key(|agency| agency.order);
        all
    }

    /// Removes an account from every room, and deletes its direct conversations.
    pub(crate) fn forget(&mut self, account: &str) {
        self.by_id.retain(|_, agency| !(agency.dm && agency.is_member(account)));
        for agency in self.by_id.values_mut() {
            agency.remove_member(account);
        }
    }

    /// Transfers the agencies of a claimed agent to its owner.
    pub(crate) fn inherit(&mut self, agent: &str, owner: &str) {
        for agency in self.by_id.values_mut().filter(|agency| agency.owner.as_deref() == Some(agent)) {
            agency.owner = Some(owner.to_owned());
            agency.remove_member(owner);
            agency.add_member(owner, "owner");
            for member in agency.members.iter_mut().filter(|member| member.account == agent) {
                member.role = "member";
            }
        }
    }

    /// An agency that the account owns. An error for the Lobby.
    pub(crate) fn owned(&mut self, id_or_slug: &str, account: &str) -> ApiResult<&mut Agency> {
        let agency = self.changeable(id_or_slug)?;
        if agency.owner.as_deref() == Some(account) {
            return Ok(agency);
        }
        Err(ApiError::forbidden("Only the agency's owner can do this"))
    }

    /// An agency that the account may manage as owner or admin. An error for the Lobby.
    pub(crate) fn managed(&mut self, id_or_slug: &str, account: &str) -> ApiResult<&mut Agency> {
        let agency = self.changeable(id_or_slug)?;
        if agency.owner.as_deref() == Some(account) || agency.role_of(account) == Some("admin") {
            return Ok(agency);
        }
        Err(ApiError::forbidden("Only the agency's owner and admins can do this"))
    }

    pub(crate) fn changeable(&mut self, id_or_slug: &str) -> ApiResult<&mut Agency> {
        let lobby = self.lobby.clone();
        let agency = self.find_mut(id_or_slug)?;
        if agency.id == lobby {
            return Err(ApiError::forbidden("The Lobby cannot be changed or deleted"));
        }
        if agency.dm {
            return Err(ApiError::not_found("Agency not found"));
        }
        Ok(agency)
    }
}
