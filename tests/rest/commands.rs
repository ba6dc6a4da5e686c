//! Contract: custom commands and webhook subscriptions.

use crate::rest_support::Api;
use crustocean::{
    AgencyId, CommandId, SubscriptionId,
    model::{ExploreMetadata, InvokePermission},
    webhook::WebhookEvent,
};

const COMMAND: &str = r#"{"id":"c-1","name":"roll","webhook_url":"https://w"}"#;
const COMMANDS: &str = "/api/custom-commands/ag-1/commands";
const SUBSCRIPTION: &str = r#"{"id":"s-1","url":"https://w","events":["message.created"]}"#;
const EVENTS: [WebhookEvent; 14] = [
    WebhookEvent::MessageCreated,
    WebhookEvent::MessageUpdated,
    WebhookEvent::MessageDeleted,
    WebhookEvent::MemberJoined,
    WebhookEvent::MemberLeft,
    WebhookEvent::MemberKicked,
    WebhookEvent::MemberBanned,
    WebhookEvent::MemberUnbanned,
    WebhookEvent::MemberPromoted,
    WebhookEvent::MemberDemoted,
    WebhookEvent::AgencyCreated,
    WebhookEvent::AgencyUpdated,
    WebhookEvent::InviteCreated,
    WebhookEvent::InviteRedeemed,
];
/// The event types in the order of the reference.
const NAMES: &str = r#"["message.created","message.updated","message.deleted","member.joined","member.left","member.kicked","member.banned","member.unbanned","member.promoted","member.demoted","agency.created","agency.updated","invite.created","invite.redeemed"]"#;

fn agency() -> AgencyId {
    "ag-1".into()
}

#[test]
fn commands_are_created_and_changed() {
    let api = Api::new();
    let (agency, id) = (agency(), CommandId::from("c-1"));
    api.sends(&format!("GET {COMMANDS}"), "", "[]", |client| client.commands(&agency).list());
    let made = api.sends(
        &format!("POST {COMMANDS}"),
        r#"{"name":"roll","webhook_url":"https://w"}"#,
        COMMAND,
        |client| client.commands(&agency).create("roll", "https://w").send(),
    );
    assert!(made.hook_key.is_none() && made.command.id == id);
    let full = concat!(
        r#"{"creator":"alice","description":"Rolls","explore_metadata":{"at_name":"dice","creator":"@alice","#,
        r#""default_invoke_permission":"open","description":"d","display_name":"Dice","slug":"dice"},"#,
        r#""invoke_permission":"whitelist","invoke_whitelist":["alice","bob"],"name":"roll","webhook_url":"https://w"}"#
    );
    let metadata = ExploreMetadata::new("dice", "dice", "alice").display_name("Dice").description("d");
    let metadata = metadata.default_invoke_permission(InvokePermission::Open);
    let with_key = r#"{"id":"c-1","name":"roll","webhook_url":"https://w","hookKey":"6b657932"}"#;
    let made = api.sends(&format!("POST {COMMANDS}"), full, with_key, |client| {
        let command = client.commands(&agency).create("roll", "https://w").description("Rolls");
        let command = command.explore_metadata(metadata.clone()).creator("alice");
        command.invoke_permission(InvokePermission::Whitelist).invoke_whitelist(["alice", "bob"]).send()
    });
    assert_eq!(made.hook_key.as_ref().unwrap().expose(), "6b657932");
    assert!(!format!("{made:?}").contains("6b657932"));

    let line = format!("PATCH {COMMANDS}/c-1");
    api.sends(&line, r#"{"name":"flip","webhook_url":"https://v"}"#, COMMAND, |client| {
        client.commands(&agency).update(&id).name("flip").webhook_url("https://v").send()
    });
    // A field that is left out, one that is set and one that is cleared make three different requests.
    api.sends(&line, r#"{"description":"d"}"#, COMMAND, |client| {
        client.commands(&agency).update(&id).description("d").send()
    });
    api.sends(&line, r#"{"explore_metadata":null}"#, COMMAND, |client| {
        client
            .commands(&agency)
            .update(&id)
            .explore_metadata(metadata.clone())
            .clear_explore_metadata()
            .send()
    });
    api.sends(&line, r#"{"explore_metadata":{"slug":"x"}}"#, COMMAND, |client| {
        let mut only_slug = ExploreMetadata::default();
        only_slug.slug = Some("x".to_owned());
        client.commands(&agency).update(&id).clear_explore_metadata().explore_metadata(only_slug).send()
    });
    api.sends(&format!("DELETE {COMMANDS}/c-1"), "", "", |client| client.commands(&agency).delete(&id));
    api.refuses("without the slash", |client| client.commands(&agency).create("/roll", "https://w").send());
    api.refuses("letters and digits", |client| client.commands(&agency).update(&id).name("--").send());
}

#[test]
fn hook_keys_of_commands() {
    let api = Api::new();
    let (agency, id) = (agency(), CommandId::from("c-1"));
    for answer in [r#"{"hookKey":"6b657932"}"#, r#"{"hook_key":"6b657932"}"#] {
        let key = api.sends(&format!("POST {COMMANDS}/c-1/hook-key"), "", answer, |client| {
            client.commands(&agency).hook_key(&id)
        });
        assert_eq!(key.expose(), "6b657932");
    }
    api.sends(&format!("DELETE {COMMANDS}/c-1/hook-key"), "", "", |client| {
        client.commands(&agency).revoke_hook_key(&id)
    });
}

#[test]
fn commands_are_read_in_every_form() {
    let api = Api::new();
    let agency = agency();
    api.reads(
        &[
            r#"[{"id":"c-1","name":"roll","description":"Rolls","webhook_url":"https://w",
                "explore_metadata":{"slug":"dice","at_name":"dice","creator":"@alice"},"invoke_permission":"closed",
                "invoke_whitelist":["bob"],"created_at":"2026-01-01T00:00:00Z"}]"#,
            r#"{"commands":[{"id":"c-1","name":"roll","description":"Rolls","webhookUrl":"https://w","agencyId":"ag-1",
                "exploreMetadata":"{\"slug\":\"dice\",\"at_name\":\"dice\",\"creator\":\"@alice\"}",
                "invokePermission":"closed","invokeWhitelist":"[\"bob\"]","createdAt":"2026-01-01T00:00:00Z"}]}"#,
        ],
        |client| client.commands(&agency).list(),
        |list| {
            assert_eq!(list[0].webhook_url.as_deref(), Some("https://w"));
            assert_eq!(list[0].explore_metadata, Some(ExploreMetadata::new("dice", "dice", "@alice")));
            assert_eq!(list[0].invoke_permission, Some(InvokePermission::Closed));
            assert_eq!((list[0].invoke_whitelist.as_slice(), list[0].created_at.is_some()), (["bob".to_owned()].as_slice(), true));
        },
    );
    api.reads(
        &[
            r#"[{"id":"c-1","name":"roll"}]"#,
            r#"[{"id":"c-1","name":"roll","explore_metadata":"","invoke_whitelist":null}]"#,
            r#"[{"id":"c-1","name":"roll","explore_metadata":"not json","invoke_whitelist":{"bob":1}}]"#,
        ],
        |client| client.commands(&agency).list(),
        |list| assert_eq!((&list[0].explore_metadata, list[0].invoke_whitelist.len()), (&None, 0)),
    );
}

#[test]
fn event_types() {
    let api = Api::new();
    let answer = format!(r#"{{"events":{NAMES},"description":"d"}}"#);
    let types = api.sends("GET /api/webhook-subscriptions/meta/events", "", &answer, |client| {
        client.webhook_event_types()
    });
    assert_eq!(types.iter().map(|known| known.event.clone()).collect::<Vec<_>>(), EVENTS);
    api.reads(
        &[
            r#"[{"name":"poll.opened","description":"A poll"}]"#,
            r#"{"eventTypes":[{"type":"poll.opened","description":"A poll"}]}"#,
        ],
        |client| client.webhook_event_types(),
        |types| {
            assert_eq!(types[0].event, WebhookEvent::Unknown("poll.opened".to_owned()));
            assert_eq!(types[0].description.as_deref(), Some("A poll"));
        },
    );
}

#[test]
fn subscriptions() {
    let api = Api::new();
    let (agency, id) = (agency(), SubscriptionId::from("s-1"));
    let all = "/api/webhook-subscriptions/ag-1";
    api.sends(&format!("GET {all}"), "", "[]", |client| client.webhooks(&agency).list());
    let body = format!(r#"{{"events":{NAMES},"url":"https://w"}}"#);
    api.sends(&format!("POST {all}"), &body, SUBSCRIPTION, |client| {
        client.webhooks(&agency).create("https://w", EVENTS).send()
    });
    let body = r#"{"description":"d","enabled":false,"events":["member.left"],"secret":"only we know","url":"https://w"}"#;
    let full = r#"{"id":"s-1","agencyId":"ag-1","url":"https://w","events":["member.left"],"secret":"only we know","active":false}"#;
    let made = api.sends(&format!("POST {all}"), body, full, |client| {
        let create = client.webhooks(&agency).create("https://w", [WebhookEvent::MemberLeft]);
        let create = create.secret("only we know".parse().unwrap()).description("d").enabled(false);
        assert!(!format!("{create:?}").contains("only we know"));
        create.send()
    });
    assert_eq!((made.enabled, made.secret.as_ref().unwrap().expose()), (Some(false), "only we know"));
    assert!(!format!("{made:?}").contains("only we know"), "{made:?}");

    let body =
        r#"{"description":"d","enabled":true,"events":["poll.opened"],"secret":"s","url":"https://v"}"#;
    api.sends(&format!("PATCH {all}/s-1"), body, SUBSCRIPTION, |client| {
        let update = client.webhooks(&agency).update(&id).url("https://v").events(["poll.opened".into()]);
        update.secret("s".parse().unwrap()).description("d").enabled(true).send()
    });
    api.sends(&format!("PATCH {all}/s-1"), r#"{"enabled":false}"#, SUBSCRIPTION, |client| {
        client.webhooks(&agency).update(&id).enabled(false).send()
    });
    api.sends(&format!("DELETE {all}/s-1"), "", "", |client| client.webhooks(&agency).delete(&id));
    api.reads(
        &[
            r#"[{"id":"s-1","url":"https://w","events":["member.left"],"description":"d","enabled":true,
                "created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-02T00:00:00Z"}]"#,
            r#"{"subscriptions":[{"id":"s-1","url":"https://w","events":"[\"member.left\"]","description":"d",
                "active":1,"createdAt":"2026-01-01T00:00:00Z","updatedAt":"2026-01-02T00:00:00Z"}]}"#,
        ],
        |client| client.webhooks(&agency).list(),
        |list| {
            assert_eq!(
                (list[0].events.as_slice(), list[0].enabled),
                ([WebhookEvent::MemberLeft].as_slice(), Some(true))
            );
            assert!(list[0].created_at < list[0].updated_at && list[0].secret.is_none());
        },
    );
}
