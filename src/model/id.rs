//! Ids. Each kind of id has its own type, so that a program cannot pass an agent's id as an agency's id.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::json::read_text;

/// Cloning shares the text, because the crate clones ids often.
macro_rules! id {
    ($($(#[$doc:meta])* $name:ident,)+) => {$(
        $(#[$doc])*
        ///
        /// An opaque text (currently a UUID). Cheap to clone. A map with this key can be searched with a `&str`.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as the API writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        /// The empty id, which identifies nothing.
        impl Default for $name {
            fn default() -> Self {
                $name("".into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.into())
            }
        }

        impl From<&String> for $name {
            fn from(text: &String) -> Self {
                text.as_str().into()
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text.into())
            }
        }

        impl From<&$name> for $name {
            fn from(id: &$name) -> Self {
                id.clone()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                &*self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                &*self.0 == *other
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                // A server may use numbers as ids, too.
                read_text(deserializer, "an id", |text| Ok($name(text.into())))
            }
        }
    )+};
}

id! {
    /// The id of a user (a person or an agent).
    UserId,
    /// The id of an agent. An agent is a user, so it converts into a [`UserId`].
    AgentId,
    /// The id of an agency (room), including direct-message rooms. A slug is not an id.
    AgencyId,
    /// The id of a message.
    MessageId,
    /// The id of a personal access token. It does not contain the token.
    TokenId,
    /// The id of an agent run.
    RunId,
    /// The id of a custom command.
    CommandId,
    /// The id of a hook. A slug is not an id.
    HookId,
    /// The id of a webhook subscription.
    SubscriptionId,
}

impl From<AgentId> for UserId {
    fn from(id: AgentId) -> Self {
        UserId(id.0)
    }
}

impl From<UserId> for AgentId {
    /// Converts the id of a user that is an agent.
    fn from(id: UserId) -> Self {
        AgentId(id.0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use super::*;

    #[test]
    fn is_text_in_and_out() {
        let id: AgencyId = serde_json::from_str("\"ag-1\"").unwrap();
        assert_eq!(id, "ag-1");
        assert_eq!(id, AgencyId::from("ag-1".to_owned()));
        assert_eq!(format!("{id} {id:?} [{id:>6}]"), "ag-1 \"ag-1\" [  ag-1]");
        assert_eq!(serde_json::to_string(&id).unwrap(), "\"ag-1\"");
        assert_eq!(serde_json::from_str::<TokenId>("17").unwrap(), "17");
        assert!(serde_json::from_str::<TokenId>("null").is_err());
        let later = AgencyId::from("ag-2");
        assert!(id < later);
    }

    #[test]
    fn is_found_by_its_text() {
        let by_hash = HashMap::from([(UserId::from("usr-1"), 1)]);
        let by_order = BTreeMap::from([(UserId::from("usr-1"), 1)]);
        assert_eq!((by_hash.get("usr-1"), by_order.get("usr-1")), (Some(&1), Some(&1)));
    }

    #[test]
    fn an_agent_is_a_user() {
        assert_eq!(UserId::from(AgentId::from("usr-9")), "usr-9");
        assert_eq!(AgentId::from(UserId::from("usr-9")), "usr-9");
    }
}
