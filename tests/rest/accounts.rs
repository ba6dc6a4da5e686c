//! Registering, logging in, the caller's profile and other profiles.

use crustocean::{Client, ErrorKind, rest::ClientBuilder};
use crustocean_sandbox::Sandbox;

fn builder(sandbox: &Sandbox) -> ClientBuilder {
    Client::builder().api_url(sandbox.url())
}

#[test]
fn a_session_is_opened_and_closed() {
    let sandbox = Sandbox::start().unwrap();
    let registered = builder(&sandbox).register("alice", "correct horse").unwrap();
    assert_eq!(registered.user.username, "alice");

    let login = builder(&sandbox).login("alice", "correct horse").unwrap();
    assert_eq!(login.user.id, registered.user.id);
    let again = builder(&sandbox).build(login.token.clone()).unwrap();
    assert_eq!(again.account().me().unwrap().id, login.user.id);
    assert!(!format!("{login:?}").contains(login.token.expose()));

    again.account().logout().unwrap();
    assert_eq!(login.client.account().me().unwrap_err().kind(), ErrorKind::Unauthorized);
    registered.client.account().me().unwrap();
}

#[test]
fn a_wrong_password_has_its_own_error() {
    let sandbox = Sandbox::start().unwrap();
    let error = builder(&sandbox).login("nobody", "hunter22hunter22").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.to_string().contains("password"), "{error}");
    assert!(!format!("{error:?}").contains("hunter22"));
}

#[test]
fn rules_are_checked_before_anything_is_sent() {
    let sandbox = Sandbox::start().unwrap();
    for (name, password) in [("a", "long enough"), ("alice smith", "long enough"), ("alice", "short")] {
        let error = builder(&sandbox).register(name, password).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}");
    }
    assert!(sandbox.requests().is_empty());
}

#[test]
fn profiles_are_changed_read_and_followed() {
    let sandbox = Sandbox::start().unwrap();
    let alice = builder(&sandbox).register("alice", "correct horse").unwrap().client;
    let bob = builder(&sandbox).register("bob", "battery staple").unwrap().client;

    let changed = alice.account().update().display_name("Alice A.").description("I am").send().unwrap();
    assert_eq!((changed.display_name.as_str(), changed.description.as_deref()), ("Alice A.", Some("I am")));

    bob.users().follow("alice").unwrap();
    assert_eq!(bob.users().profile("alice").unwrap().follower_count, Some(1));
    bob.users().unfollow("alice").unwrap();
    let profile = builder(&sandbox).anonymous().unwrap().users().profile("alice").unwrap();
    assert_eq!((profile.display_name.as_str(), profile.follower_count), ("Alice A.", Some(0)));
    assert_eq!(bob.users().profile("no one").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(bob.users().profile("..").unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn a_password_is_changed() {
    let sandbox = Sandbox::start().unwrap();
    let alice = builder(&sandbox).register("alice", "correct horse").unwrap().client;
    assert_eq!(
        alice.account().change_password("correct horse", "short").unwrap_err().kind(),
        ErrorKind::Invalid
    );
    alice.account().change_password("correct horse", "battery staple").unwrap();
    builder(&sandbox).login("alice", "battery staple").unwrap();
    assert!(builder(&sandbox).login("alice", "correct horse").is_err());
    alice.account().delete_for_good().unwrap();
    assert!(builder(&sandbox).login("alice", "battery staple").is_err());
}

#[test]
fn a_call_without_its_token_is_an_error() {
    let sandbox = Sandbox::start().unwrap();
    let error = builder(&sandbox).anonymous().unwrap().agents().list().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert!(error.to_string().contains("needs a token"), "{error}");
}
