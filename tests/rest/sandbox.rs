//! The REST API against the sandbox, one resource after the other.

use std::time::Duration;

use crate::common::{SOON, TestSandbox, watchdog};
use crustocean::{
    Client, ErrorKind, Event, PersonalAccessToken,
    model::{ExploreMetadata, HostedConfig, InvokePermission, Network},
    rest::HookClient,
    webhook::WebhookEvent,
};

const URL: &str = "https://example.com/hook";

fn user(sandbox: &TestSandbox, name: &str) -> Client {
    let token: PersonalAccessToken = sandbox.add_user(name).unwrap().token.parse().unwrap();
    Client::builder().api_url(sandbox.url()).build(token).unwrap()
}

#[test]
fn an_invite_lets_a_user_join() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let (alice, bob, eve) = (sandbox.client(), user(&sandbox, "bob"), user(&sandbox, "eve"));
    let room = alice.agencies().create("Back Room").private(true).send().unwrap();
    assert_eq!(bob.agencies().join(&room.id).unwrap_err().kind(), ErrorKind::Forbidden);
    let day = Duration::from_secs(24 * 60 * 60);
    let invite = alice.agencies().invite(&room.id).max_uses(1).expires_in(day).send().unwrap();
    assert_eq!(bob.agencies().redeem_invite(&invite.code).unwrap(), room.id);
    assert!(eve.agencies().redeem_invite(&invite.code).is_err(), "it is used up");

    let skills = alice.agencies().skills(&room.id).unwrap();
    let wanted = &skills.available.first().unwrap().name;
    alice.agencies().install_skill(&room.id, wanted).unwrap();
    let installed = alice.agencies().skills(&room.id).unwrap().installed;
    assert!(installed.iter().any(|skill| &skill.name == wanted), "{installed:?}");
}

#[test]
fn commands_and_subscriptions_are_created_and_deleted() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let (alice, bob) = (sandbox.client(), user(&sandbox, "bob"));
    let room = alice.agencies().create("Shop").send().unwrap().id;
    bob.agencies().join(&room).unwrap();
    let refused = bob.commands(&room).create("price", URL).send().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);

    let explore = ExploreMetadata::new("prices", "prices", "alice").description("Knows prices");
    let made = alice.commands(&room).create("price", URL).explore_metadata(explore.clone()).send().unwrap();
    let id = made.command.id;
    assert_eq!(bob.commands(&room).list().unwrap()[0].explore_metadata, Some(explore));
    assert_eq!(bob.explore().matching("prices").webhooks().send().unwrap().len(), 1);
    let key = alice.commands(&room).hook_key(&id).unwrap();
    let hook = HookClient::builder().api_url(sandbox.url()).build(key).unwrap();
    assert_eq!(hook.members(&room).unwrap().len(), 2);
    alice.commands(&room).revoke_hook_key(&id).unwrap();
    assert_eq!(hook.agencies().unwrap_err().kind(), ErrorKind::Unauthorized);
    let update = alice.commands(&room).update(&id).clear_explore_metadata();
    let update = update.invoke_permission(InvokePermission::Whitelist).invoke_whitelist(["bob"]);
    let command = update.send().unwrap();
    assert_eq!(
        (command.explore_metadata, command.invoke_whitelist.into_vec()),
        (None, vec!["bob".to_owned()])
    );
    alice.commands(&room).delete(&id).unwrap();
    assert!(alice.commands(&room).list().unwrap().is_empty());

    assert_eq!(alice.webhook_event_types().unwrap().len(), 14);
    let subscription = alice.webhooks(&room).create(URL, [WebhookEvent::MemberJoined]).send().unwrap();
    assert_eq!(bob.webhooks(&room).list().unwrap_err().kind(), ErrorKind::Forbidden);
    let changed =
        alice.webhooks(&room).update(&subscription.id).enabled(false).description("off").send().unwrap();
    assert_eq!((changed.enabled, changed.description.as_deref()), (Some(false), Some("off")));
    alice.webhooks(&room).delete(&subscription.id).unwrap();
    assert!(alice.webhooks(&room).list().unwrap().is_empty());
}

#[test]
fn a_native_hook_is_deployed_and_managed() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let (alice, bob) = (sandbox.client(), user(&sandbox, "bob"));
    let room = alice.agencies().create("Shop").send().unwrap().id;
    let code = "function handler() { return { content: 'hi' }; }";
    let deploy = |client: &Client| {
        client.hooks().deploy("greeter", code).command("hail", "Says hi").install_in(&room).send()
    };
    let first = deploy(&alice).unwrap();
    assert_eq!(
        (first.commands.as_slice(), &first.installed_in),
        (["hail".to_owned()].as_slice(), &Some(room.clone()))
    );
    assert!(first.hook_key.is_some(), "the first time only");
    let second = deploy(&alice).unwrap();
    assert_eq!((second.id, second.hook_key.is_none()), (first.id.clone(), true));
    assert_eq!(deploy(&bob).unwrap_err().kind(), ErrorKind::Forbidden, "he may not install it there");
    let taken = bob.hooks().deploy("greeter", code).command("hail", "Says hi").send().unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::Conflict);

    let hook = bob.hooks().by_id(&first.id).unwrap();
    assert_eq!((hook.slug.as_deref(), hook.source_code.as_deref()), (Some("greeter"), Some(code)));
    let changed = alice.hooks().update(&first.id).name("Greeter").enabled(false).send().unwrap();
    assert_eq!((changed.name.as_deref(), changed.enabled), (Some("Greeter"), Some(false)));
    assert_eq!(bob.hooks().update(&first.id).name("Mine").send().unwrap_err().kind(), ErrorKind::Forbidden);
    let old = HookClient::builder().api_url(sandbox.url()).build(first.hook_key.unwrap()).unwrap();
    old.agencies().unwrap();
    let new = alice.hooks().rotate_key(&first.id).unwrap();
    assert_eq!(old.agencies().unwrap_err().kind(), ErrorKind::Unauthorized);
    HookClient::builder().api_url(sandbox.url()).build(new).unwrap().agencies().unwrap();
    alice.hooks().revoke_key_for_good(&first.id).unwrap();
}

#[test]
fn sources_of_hooks_are_shown() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let alice = sandbox.client();
    let room = alice.agencies().create("Shop").send().unwrap().id;
    alice.commands(&room).create("price", URL).send().unwrap();
    let set = alice.hooks().update_source(URL).source_url("https://example.com/src").source_hash("00");
    set.send().unwrap();
    let shown = Client::builder().api_url(sandbox.url()).anonymous().unwrap().hooks().source(URL).unwrap();
    assert_eq!(
        (shown.source_url.as_deref(), shown.source_hash.as_deref()),
        (Some("https://example.com/src"), Some("00"))
    );
}

#[test]
fn bootstrap_creates_an_agent_that_can_post_at_once() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let nobody = Client::builder().api_url(sandbox.url()).anonymous().unwrap();
    let made = nobody.onboarding().bootstrap("carol", "correct horse", "mybot").send().unwrap();
    let carol = Client::builder().api_url(sandbox.url()).build(made.pat.token).unwrap();
    assert_eq!(carol.account().me().unwrap().id, made.user.id);
    sandbox.builder().connect(made.agent.token).unwrap().join(made.agency.slug.as_str()).unwrap();
    let wrong = nobody.onboarding().bootstrap("carol", "wrong horse!", "other").send().unwrap_err();
    assert!(wrong.kind() == ErrorKind::Unauthorized && wrong.to_string().contains("password"), "{wrong}");

    let own = nobody.onboarding().register_agent("Loner").send().unwrap();
    assert_eq!(nobody.onboarding().claim_lookup(&own.claim_code).unwrap().username, own.agent.username);
    let refused = nobody.onboarding().claim(&own.claim_code, "carol@example.com").unwrap_err();
    assert!(refused.kind() == ErrorKind::Unauthorized && refused.to_string().contains("needs a token"));
    let claim = carol.onboarding().claim(&own.claim_code, "carol@example.com").unwrap();
    assert_eq!(claim.masked_email.as_deref(), Some("c****@example.com"));
    sandbox.confirm_claim(&sandbox.claims()[0]).unwrap();
    assert!(nobody.onboarding().claim_lookup(&own.claim_code).is_err());
}

#[test]
fn wallets_and_public_lists() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let alice = sandbox.client();
    let address = format!("0x{}", "ab".repeat(20));
    assert!(!alice.wallet().info().unwrap().has_wallet);
    alice.wallet().register(&address).unwrap();
    assert_eq!(alice.wallet().info().unwrap().network, Some(Network::BaseSepolia));
    assert_eq!(alice.explore().wallet("@Alice").unwrap().address.as_deref(), Some(address.as_str()));
    let lobby = alice.agencies().lookup("lobby").unwrap().id;
    let hash = format!("0x{}", "12".repeat(32));
    let paid = alice.wallet().report_payment(&hash, &lobby, "@alice", "1.50").send().unwrap();
    assert_eq!(paid.tx_hash, hash);
    let history: Vec<_> = alice.agencies().messages(&lobby).iter().map(Result::unwrap).collect();
    assert!(history.iter().any(|message| Some(&message.id) == paid.message_id.as_ref()));
    alice.wallet().unregister().unwrap();
    assert!(!alice.wallet().info().unwrap().has_wallet);

    for n in 0..25 {
        alice.agencies().create(format!("Room {n}")).send().unwrap();
    }
    let nobody = Client::builder().api_url(sandbox.url()).anonymous().unwrap();
    let rooms: Vec<_> = nobody.explore().agencies().limit(10).iter().map(|room| room.unwrap().slug).collect();
    assert_eq!(rooms.len(), 26);
    assert!(nobody.explore().capabilities().unwrap().wallets);
    assert!(!nobody.explore().commands().unwrap().is_empty());
    assert!(nobody.explore().users().iter().any(|user| user.unwrap().username == "alice"));
    assert!(!nobody.metrics(None).unwrap().is_empty());
    let agent = sandbox.in_lobby("mybot");
    assert!(nobody.explore().agents().iter().any(|agent| agent.unwrap().username == "mybot"));
    assert!(agent.client().runs().in_agency(&lobby).iter().next().is_none());
    assert_eq!(agent.client().runs().get(&"nope".into()).unwrap_err().kind(), ErrorKind::NotFound);
    sandbox.alice_says("hello");
    crate::common::wait_for(&agent.events(), "hello", |event| match event {
        Event::Message(message) if message.content == "hello" => Some(()),
        _ => None,
    });
}

#[test]
fn a_hosted_agent_gets_its_configuration() {
    let _watchdog = watchdog(SOON * 3);
    let sandbox = TestSandbox::new();
    let alice = sandbox.client();
    let bot = alice.agents().create("mybot").send().unwrap();
    let url = sandbox.hosted_config_url();
    let fetch = |token| Client::builder().hosted_config(&url, token);
    assert_eq!(fetch(&bot.agent_token).unwrap(), HostedConfig::default());
    let config = alice.agents().update_config(&bot.agent.id).set("soul_md", "# Calm");
    config.set("skills", serde_json::json!({"dice": "Roll."})).send().unwrap();
    let found = fetch(&bot.agent_token).unwrap();
    assert_eq!((found.soul_md.as_deref(), found.skills.len()), (Some("# Calm"), 1));
    assert_eq!(fetch(&"sk_other".parse().unwrap()).unwrap_err().kind(), ErrorKind::Unauthorized);
}
