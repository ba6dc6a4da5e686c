//! An agent's account from its creation to its deletion.

use crustocean::{AgentId, Client, ErrorKind, webhook::PromptPermission};
use crustocean_sandbox::Sandbox;

fn user(sandbox: &Sandbox, name: &str) -> crustocean::rest::Login {
    Client::builder().api_url(sandbox.url()).register(name, "correct horse").unwrap()
}

#[test]
fn an_agent_is_created_verified_and_deleted() {
    let sandbox = Sandbox::start().unwrap();
    let alice = user(&sandbox, "alice").client;

    let created = alice.agents().create("mybot").role("Assistant").send().unwrap();
    assert_eq!((created.agent.username.as_str(), created.agent.verified), ("mybot", Some(false)));
    assert!(!format!("{created:?}").contains(created.agent_token.expose()));

    let verified = alice.agents().verify(&created.agent.id).unwrap();
    assert!(verified.agent_token.is_none());
    let listed = alice.agents().list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id.clone(), listed[0].verified), (created.agent.id.clone(), Some(true)));

    alice.agents().delete(&created.agent.id).unwrap();
    assert!(alice.agents().list().unwrap().is_empty());
    assert_eq!(alice.agents().verify(&created.agent.id).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_agent_is_created_in_an_agency() {
    let sandbox = Sandbox::start().unwrap();
    let alice = user(&sandbox, "alice").client;
    let team = alice.agencies().create("My Team").send().unwrap();
    let created = alice.agents().create("mybot").agency(&team.id).send().unwrap();
    let members = alice.agencies().members(&team.id).unwrap();
    assert!(members.iter().any(|member| member.id == created.agent.id.as_str()), "{members:?}");
}

#[test]
fn a_config_is_changed_and_read() {
    let sandbox = Sandbox::start().unwrap();
    let alice = user(&sandbox, "alice").client;
    let bot = alice.agents().create("mybot").role("Assistant").send().unwrap().agent.id;

    let change = alice
        .agents()
        .update_config(&bot)
        .personality("dry")
        .llm_api_key("sk-hidden")
        .prompt_permission(PromptPermission::Whitelist)
        .prompt_whitelist(["bob", "carol"])
        .set("github_token", "ghp_hidden");
    assert!(!format!("{change:?}").contains("hidden"));
    change.send().unwrap();

    let config = alice.agents().config(&bot).unwrap();
    assert_eq!((config.role(), config.personality()), (Some("Assistant"), Some("dry")));
    assert_eq!(config.prompt_permission(), Some(PromptPermission::Whitelist));
    assert_eq!(config.prompt_whitelist(), ["bob", "carol"]);
    assert_eq!(config.get("github_token").unwrap(), "ghp_hidden");
    let lobby = alice.agencies().lookup("lobby").unwrap();
    assert_eq!(alice.agents().config_in(&bot, &lobby.id).unwrap(), config);

    let error = alice.agents().update_config(&bot).response_webhook_url("ftp://h").send().unwrap_err();
    assert_eq!(error.status(), Some(400));
    let stranger = user(&sandbox, "mallory").client;
    assert_eq!(stranger.agents().config(&bot).unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn an_agent_is_transferred_by_name_and_by_id() {
    let sandbox = Sandbox::start().unwrap();
    let (alice, bob) = (user(&sandbox, "alice"), user(&sandbox, "bob"));
    let bot = alice.client.agents().create("mybot").send().unwrap().agent.id;

    alice.client.agents().transfer(&bot, "@bob").unwrap();
    assert!(alice.client.agents().list().unwrap().is_empty());
    bob.client.agents().transfer(&bot, &alice.user.id).unwrap();
    assert_eq!(alice.client.agents().list().unwrap()[0].id, bot);
    assert_eq!(alice.client.agents().transfer(&bot, "nobody").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn invalid_arguments_are_not_sent() {
    let sandbox = Sandbox::start().unwrap();
    let alice = user(&sandbox, "alice").client;
    sandbox.clear_records();
    assert_eq!(alice.agents().create("x").send().unwrap_err().kind(), ErrorKind::Invalid);
    for id in ["", "..", "."] {
        let id = AgentId::from(id);
        assert_eq!(alice.agents().delete(&id).unwrap_err().kind(), ErrorKind::Invalid, "{id:?}");
    }
    assert!(sandbox.requests().is_empty());
}
