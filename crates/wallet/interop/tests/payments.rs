//! Payments on a real chain, successful ones and failing ones.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use crustocean_wallet::{
    Address, Chain, ErrorKind, Key, PaymentError, Settlement, SignRequest, Signature, Signer, Usdc, Wallet,
    Wei,
};
use crustocean_wallet_interop::{Anvil, Fault, json, proxy, tls, watchdog, word};

const LIMIT: Duration = Duration::from_secs(120);

fn someone(byte: u8) -> Address {
    Address::new([byte; 20])
}

fn usdc(text: &str) -> Usdc {
    text.parse().unwrap()
}

/// The kind of a `NotSent`.
fn not_sent<T: std::fmt::Debug>(result: Result<T, PaymentError>) -> (ErrorKind, String) {
    match result {
        Err(PaymentError::NotSent(error)) => (error.kind(), error.to_string()),
        other => panic!("not NotSent: {other:?}"),
    }
}

#[test]
fn a_payment_arrives_to_the_last_unit() {
    let _watchdog = watchdog(LIMIT);
    for chain in [Chain::Base, Chain::BaseSepolia] {
        let anvil = Anvil::start(chain);
        let wallet = anvil.wallet("10");
        let sent = wallet.send(someone(7), usdc("3.141593")).unwrap();
        assert_eq!((sent.to, sent.amount), (someone(7), usdc("3.141593")));
        assert!(sent.fee > Wei::default() && sent.explorer_url.ends_with(&sent.hash.to_string()));
        assert_eq!(anvil.balance(someone(7)), usdc("3.141593"));
        assert_eq!(wallet.balances().unwrap().usdc, usdc("6.858407"));
        assert_eq!(wallet.settle(sent.hash).unwrap(), Settlement::Sent(sent));
        wallet.send(someone(7), usdc("6.858407")).unwrap();
        assert_eq!(wallet.balances().unwrap().usdc, Usdc::ZERO);
    }
}

#[test]
fn an_approval_is_granted_and_revoked() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let (owner, spender) = (anvil.wallet("5"), anvil.wallet("1"));
    let approved = owner.approve(spender.address(), usdc("2")).unwrap();
    assert_eq!(owner.settle(approved.hash).unwrap(), Settlement::Confirmed(approved));
    let allowance = |expected: u64| {
        let data = "0xdd62ed3e".to_owned()
            + &crustocean_wallet_interop::hex(&word(owner.address().as_bytes()))[2..]
            + &crustocean_wallet_interop::hex(&word(spender.address().as_bytes()))[2..];
        let call = json!({ "to": Chain::BaseSepolia.usdc().to_string(), "data": data });
        let answer = anvil.call("eth_call", json!([call, "latest"]));
        assert_eq!(u64::from_str_radix(&answer.as_str().unwrap()[2..], 16).unwrap(), expected);
    };
    allowance(2_000_000);
    owner.approve(spender.address(), Usdc::ZERO).unwrap();
    allowance(0);
}

#[test]
fn a_payment_that_would_fail_is_not_sent() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let wallet = anvil.wallet("1");
    let (kind, text) = not_sent(wallet.send(someone(7), usdc("1.000001")));
    assert!(kind == ErrorKind::Funds && text.contains("has 1, and the payment is 1.000001"), "{text}");
    for (to, amount, rule) in [
        (someone(0), usdc("1"), "lost"),
        (Chain::BaseSepolia.usdc(), usdc("1"), "lost"),
        (someone(7), Usdc::ZERO, "zero"),
    ] {
        let (kind, text) = not_sent(wallet.send(to, amount));
        assert!(kind == ErrorKind::Invalid && text.contains(rule), "{text}");
    }
    anvil.contract("blacklist(address,bool)", &[word(someone(9).as_bytes()), word(&[1])]);
    let (kind, text) = not_sent(wallet.send(someone(9), usdc("1")));
    assert!(kind == ErrorKind::Node && text.contains("blacklisted"), "{text}");
    anvil.give_ether(wallet.address(), 1_000);
    let (kind, text) = not_sent(wallet.send(someone(7), usdc("1")));
    assert!(kind == ErrorKind::Funds && text.contains("ether"), "{text}");
    let stingy = anvil.wallet_with("1", |builder| builder.max_fee(Wei::from_gwei(1)));
    let (kind, text) = not_sent(stingy.send(someone(7), usdc("1")));
    assert!(kind == ErrorKind::Fee && text.contains("the limit is"), "{text}");
    assert_eq!(anvil.call("eth_getTransactionCount", json!([wallet.address().to_string(), "latest"])), "0x0");
}

#[test]
fn a_node_on_another_chain_is_refused() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let error =
        Wallet::builder(Chain::Base).rpc_url(anvil.url()).connect(Key::generate().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongChain);
    assert!(error.to_string().contains("84532"), "{error}");
}

#[test]
fn a_transaction_that_fails_on_the_chain_is_reverted() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let wallet = anvil.wallet("5");
    anvil.automine(false);
    let paying = thread::spawn({
        let wallet = wallet.clone();
        move || wallet.send(someone(7), usdc("5"))
    });
    let hash = anvil.wait_for_waiting(1)[0];
    // Blacklists the receiver in the same block, before the payment because it pays a higher fee.
    let rich = crustocean_wallet_interop::RICH.parse::<Key>().unwrap().address().to_string();
    let hashed = anvil.call("web3_sha3", json!([crustocean_wallet_interop::hex(b"blacklist(address,bool)")]));
    let data = hashed.as_str().unwrap()[..10].to_owned()
        + &crustocean_wallet_interop::hex(&word(someone(7).as_bytes()))[2..]
        + &crustocean_wallet_interop::hex(&word(&[1]))[2..];
    anvil.call(
        "eth_sendTransaction",
        json!([{ "from": rich, "to": Chain::BaseSepolia.usdc().to_string(), "data": data,
            "maxPriorityFeePerGas": "0x174876e800", "maxFeePerGas": "0x2e90edd000" }]),
    );
    anvil.mine(1);
    match paying.join().unwrap() {
        Err(PaymentError::Reverted { hash: reverted, .. }) => assert_eq!(reverted, hash),
        other => panic!("{other:?}"),
    }
    assert_eq!(wallet.settle(hash).unwrap(), Settlement::Reverted);
    assert_eq!(wallet.balances().unwrap().usdc, usdc("5"));
}

/// A wallet whose node is behind a proxy that injects faults.
fn behind(
    anvil: &Anvil,
    timeout: Duration,
    judge: impl Fn(&str, &crustocean_wallet_interop::Value) -> Fault + Send + Sync + 'static,
) -> Wallet {
    let url = proxy(anvil.url(), judge);
    anvil.wallet_with("5", |builder| builder.rpc_url(url).confirm_timeout(timeout))
}

#[test]
fn an_answer_lost_after_the_broadcast_pays_once() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    for fault in [Fault::CutAfter, Fault::CutBefore, Fault::Answer(502, "bad gateway".to_owned())] {
        let before = anvil.balance(someone(7));
        let cuts = AtomicU32::new(0);
        let wallet = behind(&anvil, Duration::from_secs(30), move |method, _| {
            let first = method == "eth_sendRawTransaction" && cuts.fetch_add(1, Ordering::SeqCst) == 0;
            if first { fault.clone() } else { Fault::Pass }
        });
        wallet.send(someone(7), usdc("2")).unwrap();
        assert_eq!(anvil.balance(someone(7)), before.checked_add(usdc("2")).unwrap());
        assert_eq!(wallet.balances().unwrap().usdc, usdc("3"));
    }
}

#[test]
fn a_payment_whose_node_is_unreachable_can_be_settled_later() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let away = Arc::new(AtomicBool::new(false));
    let gone = Arc::clone(&away);
    let wallet = behind(&anvil, Duration::from_secs(1), move |method, _| {
        if method == "eth_sendRawTransaction" && !gone.swap(true, Ordering::SeqCst) {
            return Fault::CutAfter;
        }
        if gone.load(Ordering::SeqCst) { Fault::CutBefore } else { Fault::Pass }
    });
    let hash = match wallet.send(someone(7), usdc("2")) {
        Err(PaymentError::MaybeSent { hash, cause, .. }) => {
            assert!(matches!(cause.kind(), ErrorKind::Connect | ErrorKind::Timeout), "{cause:?}");
            hash
        }
        other => panic!("{other:?}"),
    };
    assert!(wallet.settle(hash).is_err(), "the node is still away");
    away.store(false, Ordering::SeqCst);
    // The next broadcast fails, too. `settle` does not need one.
    match wallet.settle(hash).unwrap() {
        Settlement::Sent(sent) => assert_eq!((sent.hash, sent.amount), (hash, usdc("2"))),
        other => panic!("{other:?}"),
    }
    assert_eq!(anvil.balance(someone(7)), usdc("2"));
}

#[test]
fn a_node_that_refuses_the_broadcast_has_sent_nothing() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    for (status, error, sure) in [
        (200, r#"{"code":-32000,"message":"insufficient funds for gas * price + value"}"#, true),
        (200, r#"{"code":-32602,"message":"invalid params"}"#, true),
        (429, "null", true),
        (200, r#"{"code":-32603,"message":"internal error"}"#, false),
    ] {
        let answer = format!(r#"{{"jsonrpc":"2.0","id":null,"error":{error}}}"#);
        let wallet = behind(&anvil, Duration::from_millis(500), move |method, _| match method {
            "eth_sendRawTransaction" => Fault::Answer(status, answer.clone()),
            _ => Fault::Pass,
        });
        match wallet.send(someone(7), usdc("2")) {
            Err(PaymentError::NotSent(_)) if sure => {}
            Err(PaymentError::MaybeSent { .. }) if !sure => {}
            other => panic!("{error}: {other:?}"),
        }
    }
    assert_eq!(anvil.balance(someone(7)), Usdc::ZERO);
}

#[test]
fn nonsensical_answers_of_a_node_are_errors() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    for result in [
        json!("0x"),
        json!("0xzz"),
        json!(null),
        json!([]),
        json!(7),
        json!({}),
        json!("0x1".to_owned() + &"f".repeat(40)),
    ] {
        for method in [
            "eth_call",
            "eth_getBalance",
            "eth_getTransactionCount",
            "eth_getBlockByNumber",
            "eth_estimateGas",
        ] {
            let answer = result.clone();
            let wallet = behind(&anvil, Duration::from_millis(200), move |called, _| {
                if called == method { Fault::Result(answer.clone()) } else { Fault::Pass }
            });
            let (kind, text) = not_sent(wallet.send(someone(7), usdc("1")));
            assert_eq!(kind, ErrorKind::Protocol, "{method} {result}: {text}");
        }
    }
    for result in
        [json!({}), json!([]), json!(7), json!({ "status": "0x1", "blockNumber": "0x1", "blockHash": "0x1" })]
    {
        let wallet = behind(&anvil, Duration::from_millis(200), move |called, _| {
            if called == "eth_getTransactionReceipt" { Fault::Result(result.clone()) } else { Fault::Pass }
        });
        assert!(matches!(wallet.send(someone(7), usdc("1")), Err(PaymentError::MaybeSent { .. })));
    }
    for body in ["", "{", "[]", "null", "7", "<html>", r#"{"result":"0x1"}"#] {
        let url = proxy(anvil.url(), move |_, _| Fault::Answer(200, body.to_owned()));
        let error = Wallet::builder(Chain::Base).rpc_url(url).connect(Key::generate().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{body}: {error}");
    }
}

#[test]
fn eight_threads_pay_and_every_unit_is_there() {
    let _watchdog = watchdog(Duration::from_secs(580));
    let total: u64 = std::env::var("CRUSTOCEAN_WALLET_TRANSFERS").map_or(80, |text| text.parse().unwrap());
    let anvil = Anvil::start(Chain::BaseSepolia);
    let wallet = anvil.wallet("1000");
    thread::scope(|scope| {
        for thread in 0..8_u64 {
            let wallet = &wallet;
            scope.spawn(move || {
                for payment in 0..total / 8 {
                    let to = someone(1 + u8::try_from(thread).unwrap());
                    wallet.send(to, Usdc::from_units(1 + payment * 8 + thread)).unwrap();
                }
            });
        }
    });
    let each = total / 8;
    let mut sum = 0;
    for thread in 0..8 {
        let expected: u64 = (0..each).map(|payment| 1 + payment * 8 + thread).sum();
        assert_eq!(anvil.balance(someone(1 + u8::try_from(thread).unwrap())).units(), expected);
        sum += expected;
    }
    assert_eq!(wallet.balances().unwrap().usdc.units(), 1_000_000_000 - sum);
}

/// Pays one USDC ten times beside another wallet with the same key. Returns how often it succeeded.
fn pay_ten_times(wallet: &Wallet) -> u64 {
    let results = (0..10).map(|_| wallet.send(someone(7), usdc("1")));
    results
        .map(|result| match result {
            Ok(_) => 1,
            // Both got the same nonce repeatedly, or the other's transaction took it. It is safe to try again later.
            Err(PaymentError::NotSent(_) | PaymentError::Replaced { .. }) => 0,
            Err(other) => panic!("{other:?}"),
        })
        .sum()
}

#[test]
fn two_wallets_with_one_key_share_its_nonces() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let key = Key::generate().unwrap();
    let text = key.expose();
    anvil.mint(key.address(), usdc("100"));
    anvil.give_ether(key.address(), 1_000_000_000_000_000_000);
    // Two wallets that do not know of each other, like two processes.
    let pay = || {
        let key: Key = text.parse().unwrap();
        let wallet = Wallet::builder(Chain::BaseSepolia).rpc_url(anvil.url()).connect(key).unwrap();
        pay_ten_times(&wallet)
    };
    let paid: u64 = anvil.mine_while(|| {
        thread::scope(|scope| {
            let workers = [scope.spawn(pay), scope.spawn(pay)];
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        })
    });
    assert!(paid >= 18, "{paid}");
    assert_eq!(anvil.balance(someone(7)).units(), paid * 1_000_000);
}

/// The test starts this program again with this function: it pays one USDC ten times, and prints how often it succeeded.
#[test]
fn child() {
    let Ok(url) = std::env::var("CRUSTOCEAN_TEST_NODE") else { return };
    let wallet = Wallet::builder(Chain::BaseSepolia).rpc_url(url).connect(Key::from_env().unwrap()).unwrap();
    println!("paid {};", pay_ten_times(&wallet));
}

#[test]
fn two_processes_with_one_key_pay_as_often_as_they_report() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let key = Key::generate().unwrap();
    anvil.mint(key.address(), usdc("100"));
    anvil.give_ether(key.address(), 1_000_000_000_000_000_000);
    let processes: Vec<_> = (0..2)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["child", "--exact", "--nocapture"])
                .env("CRUSTOCEAN_TEST_NODE", anvil.url())
                .env("CRUSTOCEAN_WALLET_KEY", key.expose().as_str())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let mut paid = 0;
    let outputs: Vec<_> = anvil
        .mine_while(|| processes.into_iter().map(|process| process.wait_with_output().unwrap()).collect());
    for output in outputs {
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && !said.contains(&*key.expose()), "{said}");
        let (_, count) = said.split_once("paid ").unwrap();
        paid += count.split(';').next().unwrap().parse::<u64>().unwrap();
    }
    assert!(paid >= 16, "{paid}");
    assert_eq!(anvil.balance(someone(7)).units(), paid * 1_000_000);
    // No unused nonce is left that would block the next payment.
    let next = Wallet::builder(Chain::BaseSepolia).rpc_url(anvil.url()).connect(key).unwrap();
    next.send(someone(8), usdc("1")).unwrap();
}

#[test]
fn a_node_with_a_private_authority_works_only_with_its_root_certificate() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::Base);
    let (url, authority) = tls(anvil.url());
    let wallet = anvil.wallet_with("10", |builder| builder.rpc_url(&url).root_certificate(authority.clone()));
    assert!(wallet.send(someone(7), usdc("2.5")).is_ok());
    assert_eq!(anvil.balance(someone(7)), usdc("2.5"));
    let (_, another) = tls(anvil.url());
    let by_address = url.replace("localhost", "127.0.0.1");
    for (url, authority) in [(&url, None), (&url, Some(another)), (&by_address, Some(authority))] {
        let mut builder = Wallet::builder(Chain::Base).rpc_url(url.as_str());
        if let Some(authority) = &authority {
            builder = builder.root_certificate(authority.clone());
        }
        let error = builder.connect(Key::generate().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect, "{url}: {error}");
        assert!(error.to_string().contains("certificate"), "{error}");
    }
    let builder = Wallet::builder(Chain::Base).rpc_url(url).root_certificate("no certificate");
    let error = builder.connect(Key::generate().unwrap()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
}

#[test]
fn a_pending_transaction_can_be_sped_up() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let wallet = anvil.wallet_with("5", |builder| builder.confirm_timeout(Duration::from_millis(300)));
    anvil.automine(false);
    let error = wallet.send(someone(7), usdc("2")).unwrap_err();
    let hash = error.hash().unwrap();
    assert!(matches!(error, PaymentError::MaybeSent { .. }) && !error.is_unpaid(), "{error:?}");
    assert_eq!(wallet.settle(hash).unwrap(), Settlement::Pending);
    assert_eq!(wallet.speed_up(hash).unwrap(), Settlement::Pending);
    let waiting = anvil.waiting();
    assert!(waiting.len() == 1 && waiting[0] != hash, "it took the place of the first");
    anvil.mine(1);
    for asked in [hash, waiting[0]] {
        match wallet.settle(asked).unwrap() {
            Settlement::Sent(sent) => assert_eq!((sent.hash, sent.amount), (waiting[0], usdc("2"))),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(anvil.balance(someone(7)), usdc("2"));
}

#[test]
fn a_pending_transaction_can_be_cancelled() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let wallet = anvil.wallet_with("5", |builder| builder.confirm_timeout(Duration::from_millis(300)));
    anvil.automine(false);
    let hash = wallet.send(someone(7), usdc("2")).unwrap_err().hash().unwrap();
    assert_eq!(wallet.cancel(hash).unwrap(), Settlement::Pending);
    anvil.automine(true);
    anvil.mine(1);
    assert_eq!(wallet.settle(hash).unwrap(), Settlement::Replaced);
    assert_eq!(anvil.balance(someone(7)), Usdc::ZERO);
    // Now it is too late to cancel the next one.
    let sent = wallet.send(someone(7), usdc("1")).unwrap();
    assert_eq!(wallet.cancel(sent.hash).unwrap(), Settlement::Sent(sent));
    let error = wallet.cancel(crustocean_wallet::TxHash::new([1; 32])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn a_thread_that_waits_for_a_cancelled_payment_gets_replaced() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let wallet = anvil.wallet("5");
    anvil.automine(false);
    let paying = thread::spawn({
        let wallet = wallet.clone();
        move || wallet.send(someone(7), usdc("2"))
    });
    let hash = anvil.wait_for_waiting(1)[0];
    let cancelling = thread::spawn({
        let wallet = wallet.clone();
        move || wallet.cancel(hash)
    });
    while anvil.waiting().first() == Some(&hash) {
        thread::sleep(Duration::from_millis(20));
    }
    anvil.mine(1);
    assert_eq!(cancelling.join().unwrap().unwrap(), Settlement::Replaced);
    match paying.join().unwrap() {
        Err(PaymentError::Replaced { hash: replaced, .. }) => assert_eq!(replaced, hash),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_transaction_replaced_by_another_program_is_reported_as_replaced() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let key = Key::generate().unwrap();
    let same: Key = key.expose().parse().unwrap();
    anvil.mint(key.address(), usdc("5"));
    anvil.give_ether(key.address(), 1_000_000_000_000_000_000);
    let connect = |key| {
        Wallet::builder(Chain::BaseSepolia)
            .rpc_url(anvil.url())
            .confirm_timeout(Duration::from_millis(800))
            .connect(key)
            .unwrap()
    };
    let (one, other) = (connect(key), connect(same));
    anvil.automine(false);
    let hash = one.send(someone(7), usdc("2")).unwrap_err().hash().unwrap();
    anvil.call("anvil_dropTransaction", json!([hash.to_string()]));
    let second = other.send(someone(8), usdc("3")).unwrap_err().hash().unwrap();
    anvil.mine(1);
    // The other transaction is not deep enough in the chain yet.
    assert_eq!(one.settle(hash).unwrap(), Settlement::Unknown);
    anvil.mine(3);
    assert_eq!(one.settle(hash).unwrap(), Settlement::Replaced);
    assert!(matches!(other.settle(second).unwrap(), Settlement::Sent(_)));
    assert_eq!((anvil.balance(someone(7)), anvil.balance(someone(8))), (Usdc::ZERO, usdc("3")));
}

#[test]
fn a_transaction_that_a_node_has_lost_is_sent_again() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let wallet = anvil.wallet_with("5", |builder| builder.confirm_timeout(Duration::from_secs(1)));
    anvil.automine(false);
    let first = wallet.send(someone(7), usdc("1")).unwrap_err().hash().unwrap();
    anvil.call("anvil_dropTransaction", json!([first.to_string()]));
    // The next payment does not get the nonce of the lost one, and both arrive.
    let second = wallet.send(someone(8), usdc("2")).unwrap_err().hash().unwrap();
    anvil.mine(1);
    assert!(matches!(wallet.settle(first).unwrap(), Settlement::Sent(_)));
    assert!(matches!(wallet.settle(second).unwrap(), Settlement::Sent(_)));
    assert_eq!((anvil.balance(someone(7)), anvil.balance(someone(8))), (usdc("1"), usdc("2")));
}

#[test]
fn a_payment_removed_by_a_reorganisation_is_sent_again() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let wallet =
        anvil.wallet_with("5", |builder| builder.confirmations(3).confirm_timeout(Duration::from_secs(30)));
    anvil.automine(false);
    let snapshot = anvil.call("evm_snapshot", json!([]));
    let paying = thread::spawn({
        let wallet = wallet.clone();
        move || wallet.send(someone(7), usdc("2"))
    });
    let hash = anvil.wait_for_waiting(1)[0];
    anvil.mine(1);
    assert_eq!(anvil.balance(someone(7)), usdc("2"));
    // Removes the block, and the transaction with it.
    anvil.call("evm_revert", json!([snapshot]));
    assert_eq!(anvil.balance(someone(7)), Usdc::ZERO);
    // The wallet sends it again automatically, and now three blocks stay.
    anvil.wait_for_waiting(1);
    anvil.mine(3);
    let sent = paying.join().unwrap().unwrap();
    assert_eq!(sent.hash, hash);
    assert_eq!(anvil.balance(someone(7)), usdc("2"));
}

/// Signs with another key than that of its address.
struct WrongKeySigner(Key);

impl Signer for WrongKeySigner {
    fn address(&self) -> Address {
        someone(9)
    }

    fn sign(&self, request: &SignRequest<'_>) -> Result<Signature, Box<dyn std::error::Error + Send + Sync>> {
        self.0.sign(request)
    }
}

/// A key service that returns only `r` and `s`.
struct KeyService(Key);

impl Signer for KeyService {
    fn address(&self) -> Address {
        self.0.address()
    }

    fn sign(&self, request: &SignRequest<'_>) -> Result<Signature, Box<dyn std::error::Error + Send + Sync>> {
        if let SignRequest::Transaction(transaction) = request
            && transaction.data.starts_with(&[0x09, 0x5e, 0xa7, 0xb3])
        {
            return Err("no approvals".into());
        }
        let Signature { r, s, .. } = self.0.sign(request)?;
        Ok(Signature::for_address(self.0.address(), &request.digest(), r, s)?)
    }
}

#[test]
fn an_external_signer_signs_and_is_checked() {
    let _watchdog = watchdog(LIMIT);
    let anvil = Anvil::start(Chain::BaseSepolia);
    let service = KeyService(Key::generate().unwrap());
    for address in [service.address(), someone(9)] {
        anvil.mint(address, usdc("5"));
        anvil.give_ether(address, 1_000_000_000_000_000_000);
    }
    let wallet = Wallet::builder(Chain::BaseSepolia).rpc_url(anvil.url()).connect(service).unwrap();
    wallet.send(someone(7), usdc("2")).unwrap();
    let (kind, text) = not_sent(wallet.approve(someone(8), usdc("1")));
    assert!(kind == ErrorKind::Signer && text.contains("no approvals"), "{text}");
    let liar = WrongKeySigner(Key::generate().unwrap());
    let wallet = Wallet::builder(Chain::BaseSepolia).rpc_url(anvil.url()).connect(liar).unwrap();
    let (kind, text) = not_sent(wallet.send(someone(7), usdc("2")));
    assert!(kind == ErrorKind::Signer && text.contains("wrong key"), "{text}");
}
