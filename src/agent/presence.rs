//! The presence of the members of a room. The platform does not document these events.

use std::ops::Range;

use serde_json::value::RawValue;

use crate::json;
use crate::model::{AgencyId, UserId};
use crate::socket::RawEvent;

/// The payload of `members-updated`, `member-presence` and `agent-status`. The platform documents none of these events.
/// Each field is set if the server sent the field under one of its usual names; [`raw`](Presence::raw) has the whole
/// event.
///
/// ```no_run
/// use crustocean::Event;
///
/// # fn demo(agent: &crustocean::Agent) -> crustocean::Result<()> {
/// for event in agent.events() {
///     if let Event::MemberPresence(presence) = event? {
///         println!("{:?} is {:?}", presence.username, presence.status);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Presence {
    /// The room.
    pub agency_id: Option<AgencyId>,
    /// The user that the event is about.
    pub user_id: Option<UserId>,
    /// The user's name for mentions, without `@`.
    pub username: Option<String>,
    /// The status, as the server wrote it.
    pub status: Option<String>,
    raw: RawEvent,
}

/// The usual names of the fields.
const KEYS: [&str; 9] =
    ["agencyId", "agency_id", "userId", "user_id", "agentId", "agent_id", "id", "username", "status"];
/// The places in `KEYS` of the names of each field. The preferred name comes first.
const ROOM: Range<usize> = 0..2;
const USER: Range<usize> = 2..7;
const USERNAME: Range<usize> = 7..8;
const STATUS: Range<usize> = 8..9;

impl Presence {
    pub(crate) fn of(raw: RawEvent) -> Self {
        let payload = raw.first::<&RawValue>().map_or("", RawValue::get);
        let found = json::pick(payload, KEYS).unwrap_or_default();
        let first = |of: Range<usize>| found.get(of)?.iter().find_map(|value| read((*value)?));
        let (agency_id, user_id) = (first(ROOM).map(AgencyId::from), first(USER).map(UserId::from));
        let (username, status) = (first(USERNAME), first(STATUS));
        Presence { agency_id, user_id, username, status, raw }
    }

    /// The event as the server sent it.
    pub fn raw(&self) -> &RawEvent {
        &self.raw
    }
}

/// Reads a text, or the digits of a number.
fn read(value: &RawValue) -> Option<String> {
    let text = value.get();
    match text.as_bytes().first()? {
        b'"' => json::from_str(text).ok(),
        b'0'..=b'9' => Some(text.to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tungstenite::Utf8Bytes;

    fn presence(payload: &str) -> Presence {
        let frame = Utf8Bytes::from(format!(r#"["member-presence",{payload}]"#));
        Presence::of(RawEvent::new(&frame, frame.as_str(), None, Vec::new()).unwrap())
    }

    #[test]
    fn reads_what_it_knows() {
        for json in [
            r#"{"agencyId":"ag-1","userId":"u-1","username":"alice","status":"online"}"#,
            r#"{"agency_id":"ag-1","user_id":"u-1","username":"alice","status":"online","id":"other","new":[]}"#,
            r#"{"agencyId":null,"agency_id":"ag-1","id":"u-1","username":"alice","status":"online","x":{"\ud800":1}}"#,
        ] {
            let read = presence(json);
            let ids = (read.agency_id.as_ref().unwrap().as_str(), read.user_id.as_ref().unwrap().as_str());
            assert_eq!(ids, ("ag-1", "u-1"), "{json}");
            assert_eq!((read.username.as_deref(), read.status.as_deref()), (Some("alice"), Some("online")));
            assert!(read.raw().args().contains("alice"));
        }
    }

    #[test]
    fn whatever_else_comes_is_kept_as_it_is() {
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        for json in ["{}", "null", "7", "[]", r#"{"agencyId":{},"status":["typing"],"username":true}"#, &deep]
        {
            let read = presence(json);
            let Presence { agency_id, user_id, username, status, raw } = read;
            assert_eq!((agency_id, user_id, username, status), (None, None, None, None), "{json}");
            assert_eq!(raw.args(), json);
        }
        assert_eq!(presence(r#"{"userId":7,"agencyId":{}}"#).user_id, Some("7".into()));
    }
}
