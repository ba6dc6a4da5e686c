//! x402 payments, also to servers that demand too much.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crustocean_wallet::{Chain, ErrorKind, Receipt, Usdc, X402, X402Error};
use serde_json::{Value, json};

use crate::chain::Node;
use crate::server::{Seen, Server, respond};
use crate::watchdog::watchdog;

const LIMIT: Duration = Duration::from_secs(180);
const HASH: &str = "0x00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn usdc(text: &str) -> Usdc {
    text.parse().unwrap()
}

/// Pays at most 0.01 per request and 0.025 per day.
fn client(node: &Node) -> X402 {
    X402::new(&node.wallet()).at_most(usdc("0.01")).per_day(usdc("0.025"))
}

fn offer(units: &str) -> Value {
    json!({ "scheme": "exact", "network": "eip155:84532", "amount": units,
        "asset": Chain::BaseSepolia.usdc().to_string(), "payTo": format!("0x{}", "07".repeat(20)),
        "maxTimeoutSeconds": 60, "extra": { "name": "USDC", "version": "2" } })
}

fn encoded(value: &Value) -> String {
    STANDARD.encode(value.to_string())
}

/// Writes a demand of version 2.
fn demand(out: &mut TcpStream, offer: &Value) {
    let required =
        json!({ "x402Version": 2, "error": "pay", "resource": { "url": "here" }, "accepts": [offer] });
    respond(out, 402, &[("PAYMENT-REQUIRED", &encoded(&required))], "{}");
}

fn decoded(payment: &str) -> Value {
    serde_json::from_slice(&STANDARD.decode(payment).unwrap()).unwrap()
}

fn not_paid<T: std::fmt::Debug>(result: Result<T, X402Error>) -> (ErrorKind, String) {
    match result {
        Err(X402Error::NotPaid(error)) => (error.kind(), error.to_string()),
        other => panic!("{other:?}"),
    }
}

/// A server that demands this price and accepts the payment.
fn paid_server(units: &'static str) -> Server {
    Server::start(move |request, out| match request.payment() {
        Some(_) => {
            let settled =
                json!({ "success": true, "transaction": HASH, "network": "eip155:84532", "payer": "0x" });
            respond(
                out,
                200,
                &[("PAYMENT-RESPONSE", &encoded(&settled))],
                &format!("got {}", request.body.len()),
            );
        }
        None => demand(out, &offer(units)),
    })
}

#[test]
fn a_payment_has_the_values_of_the_offer() {
    let _watchdog = watchdog(LIMIT);
    let (node, server) = (Node::start(0), paid_server("1000"));
    let x402 = client(&node);
    let mut answer = x402.post(&format!("{}/x?y=1", server.url), "text/plain", "hello").unwrap();
    assert_eq!(answer.response.body_mut().read_to_string().unwrap(), "got 5");
    let receipt = answer.receipt.unwrap();
    assert_eq!((receipt.amount, receipt.origin.as_str()), (usdc("0.001"), server.url.as_str()));
    let collected = receipt.collected.as_ref().unwrap();
    assert!(collected.success && collected.transaction.unwrap().to_string() == HASH);
    assert!(!x402.is_collected(&receipt).unwrap(), "the chain knows better than the server");

    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    for request in &seen {
        assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/x?y=1"));
        assert_eq!(
            (request.body.as_slice(), request.header("content-type")),
            (&b"hello"[..], Some("text/plain"))
        );
    }
    let payment = decoded(seen[1].header("payment-signature").unwrap());
    assert_eq!((&payment["accepted"], &payment["resource"]), (&offer("1000"), &json!({ "url": "here" })));
    let authorization = &payment["payload"]["authorization"];
    assert_eq!(authorization["from"], node.key.address().to_string());
    assert_eq!((&authorization["value"], &authorization["validAfter"]), (&json!("1000"), &json!("0")));
    assert!(payment.get("scheme").is_none());
}

#[test]
fn version_one_is_paid() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    let server = Server::start(|request, out| match request.header("x-payment") {
        Some(_) => respond(out, 200, &[("X-PAYMENT-RESPONSE", "garbage")], "paid"),
        None => {
            let offer = json!({ "scheme": "exact", "network": "base-sepolia", "maxAmountRequired": "2000",
                "asset": Chain::BaseSepolia.usdc().to_string(), "payTo": format!("0x{}", "07".repeat(20)),
                "resource": "here", "description": "", "maxTimeoutSeconds": 60 });
            let required = json!({ "x402Version": 1, "error": "pay", "accepts": [offer] });
            respond(out, 402, &[("content-type", "application/json")], &required.to_string());
        }
    });
    let receipt = client(&node).get(&server.url).unwrap().receipt.unwrap();
    assert_eq!((receipt.amount, receipt.collected), (usdc("0.002"), None));
    let payment = decoded(server.seen()[1].header("x-payment").unwrap());
    assert_eq!(
        (&payment["x402Version"], &payment["scheme"], &payment["network"]),
        (&json!(1), &json!("exact"), &json!("base-sepolia"))
    );
}

#[test]
fn a_price_above_the_limit_is_not_paid() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    for (units, kind) in [
        ("10001", ErrorKind::Limit),
        ("18446744073709551615", ErrorKind::Limit),
        ("18446744073709551616", ErrorKind::Offer),
        ("0", ErrorKind::Offer),
    ] {
        let (x402, server) = (client(&node), paid_server(units));
        assert_eq!(not_paid(x402.get(&server.url)).0, kind, "{units}");
        assert_eq!((server.payments(), x402.spent().unwrap()), (0, Usdc::ZERO));
    }
    let (x402, server) = (client(&node), paid_server("10000"));
    x402.get(&server.url).unwrap();
    x402.get(&server.url).unwrap();
    let (kind, text) = not_paid(x402.get(&server.url));
    assert!(kind == ErrorKind::Limit && text.contains("24 hours"), "{text}");
    assert_eq!((server.payments(), x402.spent().unwrap()), (2, usdc("0.02")));
}

#[test]
fn the_daily_sum_survives_a_restart() {
    let _watchdog = watchdog(LIMIT);
    let (node, server) = (Node::start(0), paid_server("10000"));
    let path = std::env::temp_dir().join(format!("crustocean-wallet-{}.json", node.key.address()));
    for left in [2, 1, 0] {
        let x402 = client(&node).ledger(&path).unwrap();
        match (left, x402.get(&server.url)) {
            (0, Err(X402Error::NotPaid(error))) => assert_eq!(error.kind(), ErrorKind::Limit),
            (_, result) => drop(result.unwrap()),
        }
    }
    assert_eq!(server.payments(), 2);
    std::fs::write(&path, "broken").unwrap();
    assert_eq!(client(&node).ledger(&path).unwrap_err().kind(), ErrorKind::Ledger);
    for ending in ["", ".lock"] {
        let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
    }
}

#[test]
fn an_offer_with_unsupported_values_is_not_paid() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    for (key, value) in [
        ("asset", json!(format!("0x{}", "09".repeat(20)))),
        ("asset", json!(Chain::Base.usdc().to_string())),
        ("network", json!("eip155:8453")),
        ("network", json!("eip155:1")),
        ("scheme", json!("upto")),
        ("extra", json!({ "assetTransferMethod": "permit2", "name": "USDC", "version": "2" })),
        ("extra", json!({ "name": "Wrapped USDC", "version": "2" })),
    ] {
        let mut offer = offer("1000");
        offer[key] = value;
        let server = Server::start(move |_, out| demand(out, &offer));
        assert_eq!(not_paid(client(&node).get(&server.url)).0, ErrorKind::Offer, "{key}");
        assert_eq!(server.payments(), 0);
    }
}

#[test]
fn a_request_is_paid_once() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    let x402 = client(&node);
    // The same price each time, and another price each time.
    for (first, then) in [("1000", "1000"), ("1000", "9000"), ("9000", "1")] {
        let before = x402.spent().unwrap();
        let server = Server::start(move |request, out| {
            demand(out, &offer(if request.payment().is_some() { then } else { first }));
        });
        match x402.get(&server.url) {
            Err(X402Error::Refused { receipt, reason, .. }) => {
                assert_eq!((receipt.amount.units().to_string().as_str(), reason.as_str()), (first, "pay"));
                let spent = x402.spent().unwrap();
                assert_eq!(before.checked_add(receipt.amount), Some(spent), "it may still be collected");
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((server.seen().len(), server.payments()), (2, 1));
    }
}

#[test]
fn a_connection_lost_after_the_payment_is_maybe_paid() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    let x402 = client(&node);
    let server = Server::start(|request, out| {
        if request.payment().is_none() {
            demand(out, &offer("1000"));
        }
    });
    match x402.get(&server.url) {
        Err(X402Error::MaybePaid { receipt, .. }) => {
            assert_eq!((receipt.amount, x402.is_collected(&receipt).unwrap()), (usdc("0.001"), false));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((server.payments(), x402.spent().unwrap()), (1, usdc("0.001")));
}

#[test]
fn a_payment_that_was_not_sent_does_not_count() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    let x402 = client(&node);
    // The server closes after its demand.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        drop(listener);
        demand(&mut connection, &offer("1000"));
        // Reads the request, so that closing the connection does not reset it.
        let _ = std::io::Read::read(&mut connection, &mut [0; 4096]);
    });
    let (kind, text) = not_paid(x402.get(&url));
    assert_eq!(kind, ErrorKind::Connect, "{text}");
    server.join().unwrap();
    assert_eq!(x402.spent().unwrap(), Usdc::ZERO);
}

#[test]
fn a_redirect_never_carries_a_payment_elsewhere() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    let thief = Server::start(|_, out| demand(out, &offer("1000")));
    let to = thief.url.clone();
    // A redirect before the payment to another origin: nothing is paid.
    let server = Server::start(move |_, out| respond(out, 302, &[("location", &to)], ""));
    let (kind, text) = not_paid(client(&node).get(&server.url));
    assert!(kind == ErrorKind::Offer && text.contains("redirected"), "{text}");
    assert_eq!((thief.seen().len(), thief.payments(), server.payments()), (1, 0, 0));
    // A redirect after the payment is the response.
    for status in [301, 302, 303, 307, 308] {
        let to = thief.url.clone();
        let server = Server::start(move |request, out| match request.payment() {
            Some(_) => respond(out, status, &[("location", &to)], ""),
            None => demand(out, &offer("1000")),
        });
        let answer = client(&node).get(&server.url).unwrap();
        assert_eq!(answer.response.status().as_u16(), status);
        assert!(answer.receipt.is_some());
        assert_eq!((thief.seen().len(), server.payments()), (1, 1));
    }
    // A redirect within one origin is followed, and its target is paid.
    let server = Server::start(|request, out| match (request.path.as_str(), request.payment()) {
        ("/", _) => respond(out, 302, &[("location", "/there")], ""),
        (_, Some(_)) => respond(out, 200, &[], "paid"),
        _ => demand(out, &offer("1000")),
    });
    assert!(client(&node).get(&server.url).unwrap().receipt.is_some());
    let paths: Vec<_> = server.seen().iter().map(|request: &Seen| request.path.clone()).collect();
    assert_eq!(paths, ["/", "/there", "/there"]);
}

#[test]
fn demands_that_are_too_large_or_broken_are_refused_in_time() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    let deep = format!(r#"{{"x402Version":1,"accepts":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let large =
        encoded(&json!({ "x402Version": 2, "accepts": [offer("1000")], "resource": "x".repeat(20_000) }));
    let answers: Vec<(Vec<(&str, String)>, String)> = vec![
        (vec![("PAYMENT-REQUIRED", "A".repeat(1024 * 1024))], String::new()),
        (vec![("PAYMENT-REQUIRED", "!!!".to_owned())], String::new()),
        (vec![("PAYMENT-REQUIRED", encoded(&json!([])))], String::new()),
        (vec![("PAYMENT-REQUIRED", large)], String::new()),
        (vec![], "x".repeat(1024 * 1024)),
        (vec![], deep),
        (vec![], String::new()),
        (vec![], r#"{"x402Version":7,"accepts":[]}"#.to_owned()),
    ];
    for (headers, body) in answers {
        let server = Server::start(move |_, out| {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            respond(out, 402, &headers, &body);
        });
        let x402 = client(&node);
        let (kind, text) = not_paid(x402.get(&server.url));
        assert!(matches!(kind, ErrorKind::Offer | ErrorKind::Connect) && text.len() < 1_000, "{text}");
        assert_eq!((server.payments(), x402.spent().unwrap()), (0, Usdc::ZERO));
    }
    // An endless body.
    let server = Server::start(|_, out| {
        let _ = out.write_all(b"HTTP/1.1 402 x\r\nconnection: close\r\n\r\n");
        while out.write_all(&[b'x'; 4096]).is_ok() {}
    });
    assert_eq!(not_paid(client(&node).get(&server.url)).0, ErrorKind::Offer);
}

#[test]
fn other_statuses_are_returned_to_the_caller() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(0);
    let server = Server::start(|request, out| match request.payment() {
        Some(_) => respond(out, 500, &[], "sorry"),
        None if request.path == "/free" => respond(out, 404, &[], "nothing here"),
        None => demand(out, &offer("1000")),
    });
    let x402 = client(&node);
    let free = x402.get(&format!("{}/free", server.url)).unwrap();
    assert!(free.response.status() == 404 && free.receipt.is_none());
    let failed = x402.get(&server.url).unwrap();
    assert!(failed.response.status() == 500 && failed.receipt.is_some());
    for url in ["", "example.com", "ftp://example.com", "http://", "http://exa mple"] {
        assert!(matches!(x402.get(url), Err(X402Error::NotPaid(_))), "{url}");
    }
}

#[test]
fn a_ureq_agent_with_the_middleware_pays_and_returns_the_receipt() {
    let _watchdog = watchdog(LIMIT);
    let (node, server) = (Node::start(0), paid_server("1000"));
    let x402 = client(&node);
    let agent: ureq::Agent = ureq::config::Config::builder().middleware(x402.clone()).build().into();
    let mut answer = agent.post(&server.url).header("x-mine", "1").send("hello").unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "got 5");
    assert_eq!(answer.extensions().get::<Receipt>().unwrap().amount, usdc("0.001"));
    assert!(server.seen().iter().all(|request| request.header("x-mine") == Some("1")));
    let dear = paid_server("10001");
    match agent.get(&dear.url).call() {
        Err(ureq::Error::Other(error)) => {
            assert!(matches!(error.downcast_ref(), Some(X402Error::NotPaid(_))), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((dear.payments(), x402.spent().unwrap()), (0, usdc("0.001")));
}
