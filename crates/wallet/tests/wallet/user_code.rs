//! A signer is the code of the program: it may panic, and wait for a person. A node may contradict itself.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crustocean_wallet::{Address, Chain, Key, PaymentError, SignRequest, Signature, Signer, Wallet, X402};
use serde_json::{Value, json};

use crate::chain::Node;
use crate::server::{Server, respond};
use crate::watchdog::watchdog;

const LIMIT: Duration = Duration::from_secs(180);

/// A gateway has sent the transaction twice, so the node's answer is about the second time.
#[test]
fn a_number_that_is_taken_while_the_node_breaks_is_maybe_sent() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::that_answers(5_000_000, |method| match method {
        "eth_sendRawTransaction" => Some(json!({ "error": { "code": -32000, "message": "nonce too low" } })),
        "eth_getTransactionByHash" => {
            Some(json!({ "error": { "code": -32603, "message": "internal error" } }))
        }
        "eth_getTransactionReceipt" => Some(json!(null)),
        _ => None,
    });
    let wallet = node.wallet_with(|builder| builder.confirm_timeout(Duration::from_millis(100)));
    let error = wallet.send(Address::new([7; 20]), "1".parse().unwrap()).unwrap_err();
    assert!(matches!(error, PaymentError::MaybeSent { .. }), "{error:?}");
}

/// A gateway has sent the transaction twice, and one of the nodes behind it does not have it yet.
#[test]
fn a_number_that_is_taken_by_the_same_payment_pays_once() {
    let _watchdog = watchdog(LIMIT);
    let (asked, counted) = (AtomicU32::new(0), AtomicU32::new(0));
    let node = Node::that_answers(5_000_000, move |method| match method {
        // The node that counts the numbers has the transaction.
        "eth_getTransactionCount" => Some(json!(format!("{:#x}", counted.fetch_add(1, Ordering::SeqCst)))),
        "eth_sendRawTransaction" => Some(json!({ "error": { "code": -32000, "message": "nonce too low" } })),
        "eth_getTransactionByHash" => Some(match asked.fetch_add(1, Ordering::SeqCst) {
            0 => json!(null),
            _ => json!({}),
        }),
        "eth_getTransactionReceipt" => Some(json!(null)),
        _ => None,
    });
    let wallet = node.wallet_with(|builder| builder.confirm_timeout(Duration::from_millis(100)));
    let error = wallet.send(Address::new([7; 20]), "1".parse().unwrap()).unwrap_err();
    assert!(matches!(error, PaymentError::MaybeSent { .. }), "{error:?}");
    let calls = node.server.seen().into_iter().map(|seen| serde_json::from_slice(&seen.body).unwrap());
    let signed: HashSet<String> = calls
        .filter(|call: &Value| call["method"] == "eth_sendRawTransaction")
        .map(|call| call["params"][0].to_string())
        .collect();
    assert_eq!(signed.len(), 1, "{signed:?}");
}

/// A signer that runs `before` first.
struct Custom<F>(Key, F);

impl<F: Fn() + Send + Sync> Signer for Custom<F> {
    fn address(&self) -> Address {
        self.0.address()
    }

    fn sign(&self, request: &SignRequest<'_>) -> Result<Signature, Box<dyn std::error::Error + Send + Sync>> {
        (self.1)();
        self.0.sign(request)
    }
}

fn wallet(node: &Node, before: impl Fn() + Send + Sync + 'static) -> Wallet {
    let signer = Custom(node.key.expose().parse().unwrap(), before);
    let builder = Wallet::builder(Chain::BaseSepolia).rpc_url(&node.server.url);
    builder.confirm_timeout(Duration::from_millis(200)).connect(signer).unwrap()
}

#[test]
fn a_signer_that_panics_spends_nothing() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(5_000_000);
    let wallet = wallet(&node, || panic!("a signer that panics"));
    let paid = Server::start(|_, out| {
        let offer = json!({ "scheme": "exact", "network": "eip155:84532", "amount": "1000",
            "asset": Chain::BaseSepolia.usdc().to_string(), "payTo": format!("0x{}", "07".repeat(20)),
            "maxTimeoutSeconds": 300, "extra": { "name": "USDC", "version": "2" } });
        let body: Value = json!({ "x402Version": 2, "accepts": [offer], "resource": { "url": "u" } });
        respond(out, 402, &[("payment-required", &STANDARD.encode(body.to_string()))], "{}");
    });
    let client = X402::new(&wallet).at_most("1".parse().unwrap()).per_day("1".parse().unwrap());
    let panicked = catch_unwind(AssertUnwindSafe(|| drop(client.get(&paid.url))));
    assert!(panicked.is_err());
    assert_eq!(client.spent().unwrap().to_string(), "0");
}

#[test]
fn a_signer_that_waits_for_its_button_holds_nobody_else_up() {
    let _watchdog = watchdog(LIMIT);
    let node = Node::start(5_000_000);
    let (button, pressed) = mpsc::channel::<()>();
    let (asks, asked) = mpsc::channel();
    let (pressed, first) = (Mutex::new(pressed), Mutex::new(true));
    let wallet = wallet(&node, move || {
        // The first payment is signed at once.
        if !std::mem::take(&mut *first.lock().unwrap()) {
            asks.send(()).unwrap();
            let _ = pressed.lock().unwrap().recv();
        }
    });
    let pay = |wallet: &Wallet| wallet.send(Address::new([7; 20]), "1".parse().unwrap());
    let sent = pay(&wallet).unwrap();
    std::thread::scope(|scope| {
        let paying = scope.spawn(|| pay(&wallet));
        asked.recv().unwrap();
        // This ends although nobody has pressed the button.
        let _ = wallet.settle(sent.hash);
        assert!(!paying.is_finished());
        drop(button);
        paying.join().unwrap().unwrap();
    });
}
