//! `Debug`, `Display`, errors and the log never contain a key, the node's URL or the signature of a payment.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crustocean_wallet::{
    Chain, Key, PaymentError, SignRequest, Signer, Transaction, TxHash, Usdc, Wallet, X402, X402Error,
};
use serde_json::{Value, json};

use crate::chain::Node;
use crate::server::{Server, respond};
use crate::watchdog::watchdog;

static LOG: Mutex<String> = Mutex::new(String::new());

struct Everything;

impl log::Log for Everything {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let _ = writeln!(LOG.lock().unwrap(), "{} {}: {}", record.level(), record.target(), record.args());
    }

    fn flush(&self) {}
}

fn show(out: &mut String, error: &dyn std::error::Error) {
    let _ = write!(out, "{error} {error:?} {error:#?}");
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(out, " {cause} {cause:?}");
        source = cause.source();
    }
}

#[test]
fn nothing_secret_is_printed_anywhere() {
    let _watchdog = watchdog(Duration::from_secs(180));
    // At level trace, ureq logs whole URLs and responses, as the README says.
    log::set_logger(&Everything).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    let mut out = String::new();
    let node = Node::that_answers(5_000_000, |method| match method {
        "eth_sendRawTransaction" => {
            Some(json!({ "error": { "code": -32000, "message": "insufficient funds" } }))
        }
        "eth_getTransactionByHash" => Some(json!(null)),
        _ => None,
    });
    let text = node.key.expose();
    let key = text.strip_prefix("0x").unwrap().to_owned();
    let url = format!("{}/v2/urlsecret?key=querysecret", node.server.url);
    let builder =
        Wallet::builder(Chain::BaseSepolia).rpc_url(&url).confirm_timeout(Duration::from_millis(100));
    let _ = write!(out, "{builder:?} {builder:#?} {:?} {:#?}", node.key, node.key);
    let wallet = builder.connect(text.parse::<Key>().unwrap()).unwrap();
    let _ = write!(out, "{wallet:?} {wallet:#?}");

    // Every refused text.
    let to = crustocean_wallet::Address::new([7; 20]);
    for amount in ["1", "6"] {
        show(&mut out, &wallet.send(to, amount.parse().unwrap()).unwrap_err());
    }
    show(&mut out, &wallet.approve(to, Usdc::ZERO).unwrap_err());
    show(&mut out, &wallet.cancel(TxHash::new([1; 32])).unwrap_err());
    show(&mut out, &wallet.recipient(&text).unwrap_err());
    for broken in
        [key[1..].to_owned(), format!("{key}0"), format!("\"{key}\""), key.replacen('a', "g", 1) + " "]
    {
        show(
            &mut out,
            &match Key::try_from(broken.clone()) {
                Err(error) => error,
                // This key has no "a".
                Ok(_) => "0".parse::<Key>().unwrap_err(),
            },
        );
        show(&mut out, &broken.parse::<Usdc>().unwrap_err());
        show(&mut out, &broken.parse::<crustocean_wallet::Address>().unwrap_err());
    }
    for url in [
        &format!("http://127.0.0.1:1/urlsecret/{key}"),
        "urlsecret",
        "ftp://urlsecret/",
        "http://[urlsecret/",
    ] {
        let builder = Wallet::builder(Chain::Base).rpc_url(url);
        if url.contains("127.0.0.1") {
            // The request is sent four times, with pauses.
            let _ = write!(out, "{builder:?}");
        } else {
            show(&mut out, &builder.connect(text.parse::<Key>().unwrap()).unwrap_err());
        }
    }

    // The signed data.
    let transaction = Transaction {
        chain_id: 1,
        nonce: 0,
        max_priority_fee: 0,
        max_fee: 0,
        gas: 0,
        to,
        value: 0,
        data: Vec::new(),
    };
    let request = SignRequest::Transaction(&transaction);
    let signature = node.key.sign(&request).unwrap();
    let _ = write!(out, "{request:?} {signature:?}");

    // Payments that succeed and payments that fail.
    let required = json!({ "x402Version": 2, "accepts": [{ "scheme": "exact", "network": "eip155:84532",
        "amount": "1000", "asset": Chain::BaseSepolia.usdc().to_string(),
        "payTo": to.to_string(), "maxTimeoutSeconds": 60 }] });
    let required = STANDARD.encode(required.to_string());
    let server = Server::start(move |request, out| match (request.payment(), request.path.as_str()) {
        (Some(_), "/good?querysecret") => respond(out, 200, &[], "paid"),
        (Some(_), "/cut") => {}
        _ => respond(out, 402, &[("PAYMENT-REQUIRED", &required)], "{}"),
    });
    let limits = X402::new(&wallet).at_most("0.01".parse().unwrap());
    let _ = write!(out, "{limits:?}");
    let x402 = limits.per_day("1".parse().unwrap());
    let good = x402.get(&format!("{}/good?querysecret", server.url)).unwrap();
    let _ = write!(out, "{x402:?} {good:?} {:?}", good.receipt);
    for path in ["/cut", "/again"] {
        let error = x402.get(&format!("{}{path}", server.url)).unwrap_err();
        assert!(matches!(error, X402Error::MaybePaid { .. } | X402Error::Refused { .. }));
        show(&mut out, &error);
    }
    let unpaid = PaymentError::NotSent(wallet.recipient("@").unwrap_err());
    show(&mut out, &unpaid);

    let mut secrets = vec![key.clone(), key.to_uppercase(), "urlsecret".to_owned(), "querysecret".to_owned()];
    secrets.push(signature.r.iter().map(|byte| format!("{byte:02x}")).collect());
    for request in server.seen().iter().filter_map(|request| request.payment().map(str::to_owned)) {
        let payment: Value = serde_json::from_slice(&STANDARD.decode(&request).unwrap()).unwrap();
        secrets.push(payment["payload"]["signature"].as_str().unwrap()[2..].to_owned());
        secrets.push(request);
    }
    assert_eq!(secrets.len(), 5 + 2 * 3);
    let log = LOG.lock().unwrap();
    assert!(log.contains("crustocean_wallet"), "the log is listened to");
    for secret in secrets {
        assert!(!out.contains(&secret), "{secret} is printed: {out}");
        let line = log.lines().find(|line| line.contains(&secret));
        assert!(line.is_none(), "{secret} is logged: {line:?}");
    }
}
