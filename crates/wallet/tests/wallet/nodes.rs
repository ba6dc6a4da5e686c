//! Nodes that are busy, and nodes that refuse this wallet.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crustocean_wallet::{Address, Chain, ErrorKind, Key, PaymentError, Settlement, TxHash, Wallet};
use serde_json::{Value, json};

use crate::chain::Node;
use crate::server::{Server, respond};
use crate::watchdog::watchdog;

const LIMIT: Duration = Duration::from_secs(180);

fn connect(url: &str) -> crustocean_wallet::Result<Wallet> {
    Wallet::builder(Chain::BaseSepolia).rpc_url(url).connect(Key::generate().unwrap())
}

#[test]
fn a_request_to_a_busy_node_is_retried() {
    let _watchdog = watchdog(LIMIT);
    let busy = [
        (429, "slow down".to_owned()),
        (200, r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32005,"message":"limit exceeded"}}"#.to_owned()),
        (
            200,
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"over rate limit"}}"#.to_owned(),
        ),
        (503, String::new()),
    ];
    for (status, body) in busy {
        let calls = AtomicU32::new(0);
        let server = Server::start(move |request, out| match calls.fetch_add(1, Ordering::SeqCst) {
            0 => respond(out, status, &[], &body),
            _ => {
                let call: Value = serde_json::from_slice(&request.body).unwrap();
                let answer = json!({ "jsonrpc": "2.0", "id": call["id"], "result": "0x14a34" });
                respond(out, 200, &[], &answer.to_string());
            }
        });
        connect(&server.url).unwrap();
        assert_eq!(server.seen().len(), 2, "{status}");
    }
}

#[test]
fn a_refusal_of_a_gateway_is_not_retried() {
    let _watchdog = watchdog(LIMIT);
    for status in [400, 401, 403, 404, 302] {
        let server = Server::start(move |_, out| respond(out, status, &[("location", "/elsewhere")], "no"));
        let error = connect(&server.url).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Node && error.to_string().contains(&status.to_string()),
            "{error}"
        );
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[test]
fn a_payment_through_a_busy_node_is_not_sent() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::that_answers(5_000_000, |method| {
        (method == "eth_sendRawTransaction")
            .then(|| json!({ "error": { "code": -32005, "message": "limit exceeded" } }))
    });
    match node.wallet().send(Address::new([7; 20]), "1".parse().unwrap()) {
        Err(PaymentError::NotSent(error)) => assert!(error.to_string().contains("too many"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_hash_that_the_node_does_not_know_is_unknown() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::that_answers(0, |method| match method {
        "eth_getTransactionByHash" | "eth_getTransactionReceipt" => Some(json!(null)),
        _ => None,
    });
    let wallet = node.wallet_with(|builder| builder.confirm_timeout(Duration::from_millis(100)));
    assert_eq!(wallet.settle(TxHash::new([1; 32])).unwrap(), Settlement::Unknown);
}

#[test]
fn a_successful_receipt_without_the_transfer_is_an_error() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::that_answers(5_000_000, |method| {
        (method == "eth_getTransactionReceipt").then(|| {
            json!({ "transactionHash": format!("0x{}", "0".repeat(64)), "status": "0x1", "blockNumber": "0x1",
                "blockHash": "0x2", "logs": [] })
        })
    });
    // A receipt for another transaction.
    let wallet = node.wallet_with(|builder| builder.confirm_timeout(Duration::from_millis(100)));
    let error = wallet.send(Address::new([7; 20]), "1".parse().unwrap()).unwrap_err();
    assert!(
        matches!(&error, PaymentError::MaybeSent { cause, .. } if cause.kind() == ErrorKind::Protocol),
        "{error:?}"
    );
}
