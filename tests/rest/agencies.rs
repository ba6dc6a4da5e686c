//! Contract: agencies with their invites, skills and members; direct messages; users.

use std::time::Duration;

use crate::rest_support::Api;
use crustocean::{
    AgencyId,
    model::{Role, SenderType, Timestamp},
};

const ID: &str = "ag-1";

fn id() -> AgencyId {
    ID.into()
}

#[test]
fn lists_and_single_agencies() {
    let api = Api::new();
    api.sends("GET /api/agencies", "", "[]", |client| client.agencies().list());
    api.sends("GET /api/agencies/lookup/my%2Fteam", "", r#"{"id":"ag-1"}"#, |client| {
        client.agencies().lookup("my/team")
    });
    let full = r#"{"id":"ag-1","name":"My Team","slug":"my-team","charter":"c","is_private":true,
        "isMember":true,"member_count":3,"ownerId":"usr-1","createdAt":"2025-02-27T12:34:56.789Z"}"#;
    let other = r#"{"agency":{"id":"ag-1","name":"My Team","slug":"my-team","charter":"c","isPrivate":true,
        "is_member":true,"memberCount":3,"owner_id":"usr-1","created_at":"2025-02-27T12:34:56.789Z"}}"#;
    api.reads(
        &[full, other],
        |client| client.agencies().lookup("my-team"),
        |agency| {
            assert_eq!(
                (agency.id.as_str(), agency.name.as_str(), agency.slug.as_str()),
                (ID, "My Team", "my-team")
            );
            assert_eq!((agency.charter.as_deref(), agency.member_count), (Some("c"), Some(3)));
            assert_eq!((agency.is_private, agency.is_member), (Some(true), Some(true)));
            assert_eq!(agency.owner_id.unwrap(), "usr-1");
            assert_eq!(agency.created_at.unwrap().as_str(), "2025-02-27T12:34:56.789Z");
        },
    );
}

#[test]
fn creating_changing_and_deleting() {
    let api = Api::new();
    let answer = r#"{"id":"ag-1","slug":"my-team"}"#;
    api.sends("POST /api/agencies", r#"{"name":"My Team"}"#, answer, |client| {
        client.agencies().create("My Team").send()
    });
    api.sends(
        "POST /api/agencies",
        r#"{"charter":"We \"try\"","isPrivate":true,"name":"My Team","password":"sesame"}"#,
        answer,
        |client| {
            client.agencies().create("My Team").charter("We \"try\"").private(true).password("sesame").send()
        },
    );
    api.sends("PATCH /api/agencies/ag-1", r#"{"charter":"","isPrivate":false}"#, answer, |client| {
        client.agencies().update(&id()).charter("").private(false).send()
    });
    for answer in ["", "{}", r#"{"ok":true}"#] {
        api.sends("DELETE /api/agencies/ag-1", "", answer, |client| client.agencies().delete(&id()));
    }
}

#[test]
fn joining_leaving_and_listing_members() {
    let api = Api::new();
    api.sends("POST /api/agencies/ag-1/join", "{}", "{}", |client| client.agencies().join(&id()));
    api.sends("POST /api/agencies/ag-1/join", r#"{"password":"sesame"}"#, "", |client| {
        client.agencies().join_with_password(&id(), "sesame")
    });
    api.sends("POST /api/agencies/ag-1/leave", "", "{}", |client| client.agencies().leave(&id()));
    api.sends("POST /api/agencies/ag-1/agents", r#"{"agentId":"usr-9"}"#, "{}", |client| {
        client.agencies().add_agent(&id(), &crustocean::AgentId::from("usr-9"))
    });
    api.sends("POST /api/agencies/ag-1/agents", r#"{"username":"mybot"}"#, "{}", |client| {
        client.agencies().add_agent(&id(), "@mybot")
    });
    api.sends("GET /api/agencies/ag-1/members", "", "[]", |client| client.agencies().members(&id()));
    api.reads(
        &[
            r#"[{"id":"usr-9","username":"mybot","displayName":"My Bot","type":"agent","role":"member"}]"#,
            r#"{"members":[{"id":"usr-9","username":"mybot","display_name":"My Bot","is_agent":true,"role":"member"}]}"#,
        ],
        |client| client.agencies().members(&id()),
        |members| {
            assert_eq!(members.len(), 1);
            assert_eq!((members[0].username.as_str(), members[0].display_name.as_str()), ("mybot", "My Bot"));
            assert_eq!((&members[0].kind, &members[0].role), (&SenderType::Agent, &Some(Role::Member)));
        },
    );
}

#[test]
fn messages() {
    let api = Api::new();
    api.sends("GET /api/agencies/ag-1/messages", "", "[]", |client| client.agencies().messages(&id()).send());
    let before = Timestamp::from("2026-03-05T10:00:00.000Z");
    api.sends(
        "GET /api/agencies/ag-1/messages?limit=100&before=2026-03-05T10%3A00%3A00.000Z&mentions=mybot",
        "",
        r#"{"messages":[]}"#,
        |client| client.agencies().messages(&id()).limit(900).before(&before).mentions("@mybot").send(),
    );
    api.sends("GET /api/dm/ag-1/messages?limit=20", "", "[]", |client| {
        client.dms().messages(&id()).limit(20).send()
    });
}

#[test]
fn invites() {
    let api = Api::new();
    api.sends("POST /api/agencies/ag-1/invites", "{}", r#"{"code":"abc"}"#, |client| {
        client.agencies().invite(&id()).send()
    });
    for (time, spelled) in [(30 * 60, "30m"), (24 * 3600, "24h"), (7 * 24 * 3600, "7d")] {
        let body = format!(r#"{{"expires":"{spelled}","maxUses":5}}"#);
        api.sends("POST /api/agencies/ag-1/invites", &body, r#"{"code":"abc"}"#, |client| {
            client.agencies().invite(&id()).max_uses(5).expires_in(Duration::from_secs(time)).send()
        });
    }
    api.refuses("whole number of minutes", |client| {
        client.agencies().invite(&id()).expires_in(Duration::from_secs(90)).send()
    });
    api.reads(
        &[
            r#"{"code":"abc","maxUses":5,"expiresAt":"2026-01-01T00:00:00Z"}"#,
            r#"{"invite":{"invite_code":"abc","max_uses":"5","expires_at":"2026-01-01T00:00:00Z"}}"#,
        ],
        |client| client.agencies().invite(&id()).send(),
        |invite| {
            assert_eq!((invite.code.as_str(), invite.max_uses), ("abc", Some(5)));
            assert!(invite.expires_at.is_some());
        },
    );
    for answer in [r#"{"agencyId":"ag-2"}"#, r#"{"agency_id":"ag-2"}"#] {
        let joined = api.sends("POST /api/agencies/invite/redeem", r#"{"code":"abc"}"#, answer, |client| {
            client.agencies().redeem_invite("abc")
        });
        assert_eq!(joined, "ag-2");
    }
}

#[test]
fn skills() {
    let api = Api::new();
    let skills = api.sends(
        "GET /api/agencies/ag-1/skills",
        "",
        r#"{"installed":[{"name":"dice","description":"Rolls"}],"available":[{"name":"echo"}]}"#,
        |client| client.agencies().skills(&id()),
    );
    assert_eq!(
        (skills.installed[0].name.as_str(), skills.installed[0].description.as_deref()),
        ("dice", Some("Rolls"))
    );
    assert_eq!((skills.available[0].name.as_str(), &skills.available[0].description), ("echo", &None));
    api.reads(
        &["{}"],
        |client| client.agencies().skills(&id()),
        |skills| assert!(skills.installed.is_empty()),
    );
    api.sends("POST /api/agencies/ag-1/skills", r#"{"skillName":"dice"}"#, "", |client| {
        client.agencies().install_skill(&id(), "dice")
    });
}

#[test]
fn direct_messages() {
    let api = Api::new();
    api.sends("GET /api/dm", "", "[]", |client| client.dms().list());
    api.reads(
        &[
            r#"[{"agencyId":"dm-1","participant":{"username":"bob"}}]"#,
            r#"{"conversations":[{"agency_id":"dm-1","participant_username":"bob","last_message":{}}]}"#,
            r#"[{"id":"dm-1","username":"bob"}]"#,
        ],
        |client| client.dms().list(),
        |list| {
            assert_eq!((list[0].agency_id.as_str(), list[0].participant.username.as_str()), ("dm-1", "bob"))
        },
    );
    for answer in [r#"{"agencyId":"dm-1"}"#, r#"{"agency_id":"dm-1","created":true}"#] {
        let room = api.sends("POST /api/dm/usr%2F2", "", answer, |client| client.dms().open(&"usr/2".into()));
        assert_eq!(room, "dm-1");
    }
    api.sends("DELETE /api/dm/dm-1", "", "", |client| client.dms().hide(&"dm-1".into()));
    api.sends("POST /api/dm/dm-1/purge", "", "", |client| client.dms().purge_for_good(&"dm-1".into()));
}

#[test]
fn users() {
    let api = Api::new();
    let bare = r#"{"id":"usr-2","username":"bob","displayName":"Bob","type":"user","followerCount":2}"#;
    api.sends("GET /api/users/b%20b", "", bare, |client| client.users().profile("b b"));
    let wrapped =
        r#"{"user":{"id":"usr-2","username":"bob","display_name":"Bob","type":"user","follower_count":"2"}}"#;
    api.reads(
        &[bare, wrapped],
        |client| client.users().profile("bob"),
        |user| {
            assert_eq!(
                (user.id.as_str(), user.display_name.as_str(), user.follower_count),
                ("usr-2", "Bob", Some(2))
            );
        },
    );
    api.sends("POST /api/users/bob/follow", "", "", |client| client.users().follow("bob"));
    api.sends("DELETE /api/users/bob/follow", "", "{}", |client| client.users().unfollow("bob"));
    api.refuses("not an id, slug or username", |client| client.users().follow(".."));
}
