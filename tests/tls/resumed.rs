//! TLS sessions are resumed, for REST and for the socket.

use std::time::Duration;

use crate::common::{Authority, Distance, TestSandbox, TlsRelay, at_most, eventually, wait_for, watchdog};
use crustocean::{AgencyId, Agent, Event, config::Tls};

const LIMIT: Duration = Duration::from_secs(180);

/// `native-tls` cannot give a session back to OpenSSL, so this is tested only with rustls.
#[test]
fn a_new_connection_resumes_an_earlier_session() {
    if !cfg!(feature = "tls-rustls") {
        return;
    }
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let relay = TlsRelay::start(&authority.identity("localhost"), sandbox.port());
    let builder = Agent::builder().api_url(relay.url()).tls(Tls::Rustls);
    let builder = builder.add_root_certificate(authority.pem());
    let agent = builder.connect(sandbox.agent_token("larry")).unwrap();
    agent.join("lobby").unwrap();
    let events = agent.events();
    // The first two handshakes may happen at the same time.
    let (full, resumed) = (relay.handshakes() - relay.resumed(), relay.resumed());
    assert!((1..=2).contains(&full), "{full} full, {resumed} resumed");

    relay.cut();
    wait_for(&events, "the loss", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    agent.reconnect_now();
    eventually("connected again", || agent.is_connected());
    assert_eq!(relay.handshakes() - relay.resumed(), full, "the socket");
    assert_eq!(relay.resumed(), resumed + 1, "the socket");

    assert_eq!(agent.client().account().me().unwrap().username, "larry");
    assert_eq!(relay.handshakes() - relay.resumed(), full, "REST");
    assert!(relay.resumed() >= resumed + 2, "REST");
}

/// The handshake takes one round trip more than without TLS. It is only one, because the agent makes both connections
/// at the same time.
#[test]
fn connecting_with_tls_takes_one_more_round_trip() {
    let _watchdog = watchdog(LIMIT);
    let sandbox = TestSandbox::new();
    let authority = Authority::new();
    let relay = TlsRelay::start(&authority.identity("127.0.0.1"), sandbox.port());
    for tls in crate::agent::backends() {
        let mut tries = 0;
        at_most(4, || {
            tries += 1;
            let distance = Distance::from(&format!("http://127.0.0.1:{}", relay.port()));
            let url = distance.url().replace("http:", "https:");
            let builder = Agent::builder().api_url(url).tls(tls).add_root_certificate(authority.pem());
            let token = sandbox.agent_token(&format!("larry-{tls:?}-{tries}").to_lowercase());
            distance.round_trips(|| builder.connect(token).unwrap()).1
        });
    }
}

/// One round trip more than without TLS: the connections for the histories are opened while the list of rooms is requested.
#[test]
fn joining_five_more_rooms_with_tls_takes_one_more_round_trip() {
    let _watchdog = watchdog(LIMIT);
    let authority = Authority::new();
    for tls in crate::agent::backends() {
        at_most(3, || {
            let sandbox = TestSandbox::new();
            let relay = TlsRelay::start(&authority.identity("127.0.0.1"), sandbox.server.port());
            let distance = Distance::from(&format!("http://127.0.0.1:{}", relay.port()));
            let url = distance.url().replace("http:", "https:");
            let builder = Agent::builder().api_url(url).tls(tls).add_root_certificate(authority.pem());
            let agent = builder.connect(sandbox.agent_token("larry")).unwrap();
            agent.join("lobby").unwrap();
            for n in 0..5 {
                let room = sandbox.server.add_agency(&format!("Room {n}"), &sandbox.alice.id).unwrap();
                sandbox.client().agencies().add_agent(&AgencyId::from(room), "larry").unwrap();
            }
            let (rooms, trips) = distance.round_trips(|| agent.join_all().unwrap());
            assert_eq!(rooms.len(), 6);
            trips
        });
    }
}
