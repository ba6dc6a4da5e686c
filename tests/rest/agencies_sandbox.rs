//! Agencies and direct messages over REST.

use crustocean::{
    Client, ErrorKind,
    model::{Role, SenderType},
};
use crustocean_sandbox::Sandbox;

fn user(sandbox: &Sandbox, name: &str) -> crustocean::rest::Login {
    Client::builder().api_url(sandbox.url()).register(name, "correct horse").unwrap()
}

#[test]
fn everybody_is_in_the_lobby() {
    let sandbox = Sandbox::start().unwrap();
    let alice = user(&sandbox, "alice").client;
    let listed = alice.agencies().list().unwrap();
    let lobby = alice.agencies().lookup("lobby").unwrap();
    assert_eq!((listed.len(), &listed[0].id), (1, &lobby.id));
    assert_eq!((listed[0].is_member, listed[0].is_private), (Some(true), Some(false)));
    assert!(lobby.member_count.is_some_and(|count| count >= 1));
    assert!(alice.agencies().messages(&lobby.id).limit(5).send().unwrap().len() <= 5);
    assert_eq!(alice.agencies().lookup("no-such").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn an_agency_is_created_changed_and_deleted() {
    let sandbox = Sandbox::start().unwrap();
    let alice = user(&sandbox, "alice").client;
    let team = alice.agencies().create("My Team").charter("We build").send().unwrap();
    assert_eq!((team.slug.as_str(), team.charter.as_deref()), ("my-team", Some("We build")));

    let changed = alice.agencies().update(&team.id).charter("We test").private(true).send().unwrap();
    assert_eq!((changed.charter.as_deref(), changed.is_private), (Some("We test"), Some(true)));
    let mallory = user(&sandbox, "mallory").client;
    let error = mallory.agencies().update(&team.id).charter("Mine").send().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);

    alice.agencies().delete(&team.id).unwrap();
    assert_eq!(alice.agencies().lookup("my-team").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_private_agency_is_joined_by_its_password() {
    let sandbox = Sandbox::start().unwrap();
    let (alice, bob) = (user(&sandbox, "alice").client, user(&sandbox, "bob").client);
    let create = alice.agencies().create("Secret").private(true).password("open sesame");
    assert!(!format!("{create:?}").contains("sesame"));
    let secret = create.send().unwrap().id;

    assert!(bob.agencies().list().unwrap().iter().all(|agency| agency.id != secret));
    assert_eq!(bob.agencies().join(&secret).unwrap_err().kind(), ErrorKind::Forbidden);
    let error = bob.agencies().join_with_password(&secret, "open barley").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    bob.agencies().join_with_password(&secret, "open sesame").unwrap();

    let members = bob.agencies().members(&secret).unwrap();
    let roles: Vec<_> =
        members.iter().map(|member| (member.username.as_str(), member.role.clone())).collect();
    assert_eq!(roles, [("alice", Some(Role::Owner)), ("bob", Some(Role::Member))]);
    bob.agencies().leave(&secret).unwrap();
    assert_eq!(bob.agencies().members(&secret).unwrap_err().kind(), ErrorKind::Forbidden);
}

#[test]
fn an_agent_is_added_by_id_and_by_name() {
    let sandbox = Sandbox::start().unwrap();
    let alice = user(&sandbox, "alice").client;
    let one = alice.agents().create("bot-one").send().unwrap().agent;
    alice.agents().create("bot-two").send().unwrap();
    let team = alice.agencies().create("Bots").send().unwrap().id;

    alice.agencies().add_agent(&team, &one.id).unwrap();
    alice.agencies().add_agent(&team, "@bot-two").unwrap();
    let members = alice.agencies().members(&team).unwrap();
    let agents = members.iter().filter(|member| member.kind == SenderType::Agent);
    assert_eq!(agents.map(|agent| agent.username.as_str()).collect::<Vec<_>>(), ["bot-one", "bot-two"]);
    assert_eq!(alice.agencies().add_agent(&team, "alice").unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_conversation_is_opened_once_and_hidden() {
    let sandbox = Sandbox::start().unwrap();
    let (alice, bob) = (user(&sandbox, "alice"), user(&sandbox, "bob"));
    let room = alice.client.dms().open(&bob.user.id).unwrap();
    assert_eq!(bob.client.dms().open(&alice.user.id).unwrap(), room);

    let listed = alice.client.dms().list().unwrap();
    assert_eq!((&listed[0].agency_id, listed[0].participant.username.as_str()), (&room, "bob"));
    assert!(alice.client.dms().messages(&room).send().unwrap().is_empty());
    alice.client.dms().purge_for_good(&room).unwrap();
    alice.client.dms().hide(&room).unwrap();
    assert!(alice.client.dms().list().unwrap().is_empty());
    assert_eq!(bob.client.dms().list().unwrap().len(), 1);
}
