//! Names, tips and reports, with the sandbox as the platform.

use std::time::Duration;

use crustocean::{AgencyId, Client, PersonalAccessToken};
use crustocean_sandbox::Sandbox;
use crustocean_wallet::{ErrorKind, PaymentError, Recipient, Usdc, Wallet};
use serde_json::{Value, json};

use crate::chain::Node;
use crate::server::{Server, respond};
use crate::watchdog::watchdog;

const LIMIT: Duration = Duration::from_secs(180);
const BOB: &str = "0x036CbD53842c5426634e7929541eC2318f3dCF7f";

struct Fixture {
    sandbox: Sandbox,
    node: Node,
    wallet: Wallet,
    alice: Client,
}

fn usdc(text: &str) -> Usdc {
    text.parse().unwrap()
}

fn client(sandbox: &Sandbox, name: &str) -> Client {
    let user = sandbox.add_user(name).unwrap();
    let token: PersonalAccessToken = user.token.parse().unwrap();
    Client::builder().api_url(sandbox.url()).build(token).unwrap()
}

impl Fixture {
    fn new() -> Fixture {
        let sandbox = Sandbox::start().unwrap();
        let node = Node::start(100_000_000);
        let alice = client(&sandbox, "alice");
        client(&sandbox, "bob").wallet().register(&BOB.to_lowercase()).unwrap();
        let wallet = node.wallet_with(|builder| builder.client(alice.clone()));
        Fixture { sandbox, node, wallet, alice }
    }

    fn lobby(&self) -> AgencyId {
        self.alice.agencies().lookup("lobby").unwrap().id
    }

    fn room(&self) -> AgencyId {
        self.alice.agencies().create("Tips").send().unwrap().id
    }
}

#[test]
fn a_name_is_looked_up_before_it_is_paid() {
    let _watchdog = watchdog(LIMIT);
    let stage = Fixture::new();
    let bob = stage.wallet.recipient("@Bob").unwrap();
    assert_eq!((bob.username(), bob.address()), (Some("bob"), BOB.to_lowercase().parse().unwrap()));
    assert!(bob.to_string().starts_with("@bob (0x"));
    let sent = stage.wallet.send(&bob, usdc("0.25")).unwrap();
    assert_eq!((sent.to, sent.amount), (bob.address(), usdc("0.25")));
    client(&stage.sandbox, "carol");
    for (name, kind) in [
        ("@carol", ErrorKind::Invalid),
        ("@nobody", ErrorKind::Platform),
        ("@", ErrorKind::Invalid),
        ("bob", ErrorKind::Invalid),
        ("", ErrorKind::Invalid),
        ("@../../wallet", ErrorKind::Platform),
    ] {
        assert_eq!(stage.wallet.recipient(name).unwrap_err().kind(), kind, "{name}");
    }
    assert_eq!(stage.wallet.recipient(&BOB.to_lowercase()).unwrap().username(), None);
}

#[test]
fn a_tip_is_paid_and_reported() {
    let _watchdog = watchdog(LIMIT);
    let stage = Fixture::new();
    let room = stage.room();
    let registered = stage.wallet.register().unwrap();
    assert_eq!(registered.address, stage.wallet.address().to_string());
    let bob = stage.wallet.recipient("@bob").unwrap();
    let tip = stage.wallet.tip(&bob, usdc("1.50"), &room).unwrap();
    assert_eq!(tip.report.unwrap().tx_hash, tip.sent.hash.to_string());
    let reports =
        || stage.sandbox.requests().iter().filter(|line| line.contains("/api/wallet/payment")).count();
    assert_eq!((stage.node.payments(), reports()), (1, 1));
    // In a direct message, too.
    let bob_id = stage.alice.agencies().members(&stage.lobby()).unwrap();
    let bob_id = &bob_id.iter().find(|member| member.username == "bob").unwrap().id;
    let dm = stage.alice.dms().open(bob_id).unwrap();
    stage.wallet.tip(&bob, usdc("1"), &dm).unwrap().report.unwrap();
}

#[test]
fn a_failed_report_is_repeated_without_a_second_payment() {
    let _watchdog = watchdog(LIMIT);
    let stage = Fixture::new();
    let room = stage.room();
    let bob = stage.wallet.recipient("@bob").unwrap();
    // Only the reports fail.
    let tip = std::thread::scope(|scope| {
        let paid = scope.spawn(|| stage.wallet.tip(&bob, usdc("1"), &room));
        while stage.node.payments() == 0 {
            std::thread::yield_now();
        }
        stage.sandbox.fail_next(1, 500, None);
        paid.join().unwrap().unwrap()
    });
    if tip.report.is_ok() {
        // The report arrived before the fault was set, so the next one fails.
        stage.wallet.report(&tip.sent, &bob, &room).unwrap_err();
    }
    let told = stage.wallet.report(&tip.sent, &bob, &room).unwrap();
    assert_eq!((told.tx_hash, stage.node.payments()), (tip.sent.hash.to_string(), 1));
}

#[test]
fn a_tip_that_would_be_refused_is_not_paid() {
    let _watchdog = watchdog(LIMIT);
    let stage = Fixture::new();
    let room = stage.room();
    let bob = stage.wallet.recipient("@bob").unwrap();
    let not_paid = |wallet: &Wallet, to: &Recipient, amount: &str, room: &AgencyId| match wallet.tip(
        to,
        usdc(amount),
        room,
    ) {
        Err(PaymentError::NotSent(error)) => (error.kind(), error.to_string()),
        other => panic!("{other:?}"),
    };
    let elsewhere = client(&stage.sandbox, "dave").agencies().create("Elsewhere").send().unwrap().id;
    for room in [&elsewhere, &AgencyId::from("no-such-room")] {
        let (kind, text) = not_paid(&stage.wallet, &bob, "1", room);
        assert!(kind == ErrorKind::Invalid && text.contains("not in the room"), "{text}");
    }
    let (kind, _) = not_paid(&stage.wallet, &bob, "100.000001", &room);
    assert_eq!(kind, ErrorKind::Funds);
    let (_, text) = not_paid(&stage.wallet, &Recipient::from(stage.wallet.address()), "1", &room);
    assert!(text.contains("itself"), "{text}");
    let (kind, _) = not_paid(&stage.node.wallet(), &bob, "1", &room);
    assert_eq!(kind, ErrorKind::Config, "a wallet without a client");
    assert_eq!(stage.node.wallet().register().unwrap_err().kind(), ErrorKind::Config);

    // By default an agent may spend 10 USDC in one payment.
    let alice = stage.alice.account().me().unwrap();
    let agent = stage.sandbox.add_agent("spender", alice.id.as_str()).unwrap();
    let agent = crustocean::Agent::builder()
        .api_url(stage.sandbox.url())
        .connect(agent.token.parse::<crustocean::AgentToken>().unwrap())
        .unwrap();
    agent.join("lobby").unwrap();
    let wallet = stage.node.wallet_with(|builder| builder.client(agent.client().clone()));
    let lobby = stage.lobby();
    let (kind, text) = not_paid(&wallet, &bob, "10.000001", &lobby);
    assert!(kind == ErrorKind::Limit && text.contains("10 USDC"), "{text}");
    assert_eq!(stage.node.payments(), 0);
    wallet.tip(&bob, usdc("10"), &lobby).unwrap().report.unwrap();
    agent.close().unwrap();
}

#[test]
fn a_tip_on_a_platform_with_another_chain_is_refused() {
    let _watchdog = watchdog(LIMIT);
    let stage = Fixture::new();
    let room = stage.room();
    let bob = stage.wallet.recipient("@bob").unwrap();
    let node = Node::that_answers(100_000_000, |method| (method == "eth_chainId").then(|| json!("0x2105")));
    let wallet = Wallet::builder(crustocean_wallet::Chain::Base)
        .rpc_url(&node.server.url)
        .client(stage.alice.clone())
        .connect(node.key.expose().parse::<crustocean_wallet::Key>().unwrap())
        .unwrap();
    match wallet.tip(&bob, usdc("1"), &room) {
        Err(PaymentError::NotSent(error)) => assert_eq!(error.kind(), ErrorKind::WrongChain),
        other => panic!("{other:?}"),
    }
    assert_eq!(node.payments(), 0);
}

#[test]
fn a_report_has_the_fields_of_the_official_clients() {
    let _watchdog = watchdog(LIMIT);
    let platform = Server::start(|request, out| {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let answer = json!({ "messageId": "m", "txHash": body["txHash"], "verified": true });
        respond(out, 200, &[("content-type", "application/json")], &answer.to_string());
    });
    let client = Client::builder()
        .api_url(&platform.url)
        .build(format!("cru_{}", "0".repeat(48)).parse::<PersonalAccessToken>().unwrap())
        .unwrap();
    let node = Node::start(100_000_000);
    let wallet = node.wallet_with(|builder| builder.client(client));
    let to = Recipient::from(BOB.to_lowercase().parse::<crustocean_wallet::Address>().unwrap());
    let sent = wallet.send(&to, usdc("1.50")).unwrap();
    assert!(wallet.report(&sent, &to, &AgencyId::from("ag-1")).unwrap().verified);
    let seen = &platform.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/api/wallet/payment"));
    let expected = json!({ "txHash": sent.hash.to_string(), "agencyId": "ag-1", "to": to.address().to_string(),
        "amount": "1.5", "token": "USDC" });
    assert_eq!(serde_json::from_slice::<Value>(&seen.body).unwrap(), expected);
}
