//! Pays the official x402 packages, as server and facilitator, and checks on the chain that they collect the payments.

use std::time::Duration;

use crustocean_wallet::{Address, Chain, ErrorKind, Receipt, Usdc, X402, X402Error};
use crustocean_wallet_interop::{Anvil, Script, Value, watchdog};

fn pay_to() -> Address {
    "0x0000000000000000000000000000000000000402".parse().unwrap()
}

fn usdc(text: &str) -> Usdc {
    text.parse().unwrap()
}

struct PaidServer {
    anvil: Anvil,
    _server: Script,
    url: String,
}

impl PaidServer {
    fn new(chain: Chain) -> PaidServer {
        let anvil = Anvil::start(chain);
        let mut server = Script::start("x402.mjs", &[anvil.url(), chain.name()]);
        let ready: Value = serde_json::from_str(&server.line()).unwrap();
        PaidServer { anvil, url: ready["url"].as_str().unwrap().to_owned(), _server: server }
    }

    /// A client whose wallet has this much USDC and no ether, which it does not need.
    fn client(&self, amount: &str) -> X402 {
        let wallet = self.anvil.wallet(amount);
        self.anvil.give_ether(wallet.address(), 0);
        X402::new(&wallet).at_most(usdc("0.01")).per_day(usdc("1"))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }
}

fn collected(x402: &X402, receipt: &Receipt) {
    let said = receipt.collected.as_ref().expect("the server says that it has collected");
    assert!(said.success && said.transaction.is_some(), "{said:?}");
    assert!(x402.is_collected(receipt).unwrap());
}

#[test]
fn both_versions_are_paid_on_both_chains() {
    let _watchdog = watchdog(Duration::from_secs(180));
    for chain in [Chain::BaseSepolia, Chain::Base] {
        let server = PaidServer::new(chain);
        let x402 = server.client("1");

        let mut free = x402.get(&server.url("/free")).unwrap();
        assert_eq!(free.response.body_mut().read_to_string().unwrap(), "free");
        assert!(free.receipt.is_none());

        let mut answer = x402.get(&server.url("/two/cheap")).unwrap();
        assert_eq!(answer.response.body_mut().read_to_string().unwrap(), "paid");
        let receipt = answer.receipt.unwrap();
        assert_eq!((receipt.amount, receipt.pay_to, receipt.chain), (usdc("0.001"), pay_to(), chain));
        collected(&x402, &receipt);
        assert_eq!(server.anvil.balance(pay_to()), usdc("0.001"));

        let mut answer = x402.post(&server.url("/two/echo"), "text/plain", "hello").unwrap();
        assert_eq!(answer.response.body_mut().read_to_string().unwrap(), "hello");
        collected(&x402, &answer.receipt.unwrap());
        assert_eq!(server.anvil.balance(pay_to()), usdc("0.003"));

        let mut answer = x402.get(&server.url("/one/4000")).unwrap();
        assert_eq!(answer.response.body_mut().read_to_string().unwrap(), "paid");
        collected(&x402, &answer.receipt.unwrap());
        assert_eq!(server.anvil.balance(pay_to()), usdc("0.007"));
        assert_eq!(x402.spent().unwrap(), usdc("0.007"));
    }
}

#[test]
fn a_ureq_agent_pays() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let server = PaidServer::new(Chain::BaseSepolia);
    let x402 = server.client("1");
    let agent: ureq::Agent = ureq::config::Config::builder().middleware(x402.clone()).build().into();
    let mut answer = agent.get(server.url("/two/cheap")).call().unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "paid");
    collected(&x402, answer.extensions().get::<Receipt>().unwrap());
    let mut answer = agent.post(server.url("/two/echo")).content_type("text/plain").send("hello").unwrap();
    assert_eq!(answer.body_mut().read_to_string().unwrap(), "hello");
    assert_eq!(server.anvil.balance(pay_to()), usdc("0.003"));
    // An x402 agent that sends the paid requests through itself does not pay twice.
    let looped = x402.clone().agent(agent);
    looped.get(&server.url("/one/1000")).unwrap();
    assert_eq!(server.anvil.balance(pay_to()), usdc("0.004"));
}

#[test]
fn a_price_above_the_limit_is_not_paid() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let server = PaidServer::new(Chain::BaseSepolia);
    let x402 = server.client("10");
    match x402.get(&server.url("/two/dear")) {
        Err(X402Error::NotPaid(error)) => {
            assert!(error.kind() == ErrorKind::Limit && error.to_string().contains("5 USDC"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((server.anvil.balance(pay_to()), x402.spent().unwrap()), (Usdc::ZERO, Usdc::ZERO));
}

#[test]
fn a_wallet_without_enough_usdc_is_refused_and_pays_nothing() {
    let _watchdog = watchdog(Duration::from_secs(180));
    let server = PaidServer::new(Chain::BaseSepolia);
    for path in ["/two/cheap", "/one/4000"] {
        let x402 = server.client("0.000001");
        match x402.get(&server.url(path)) {
            Err(X402Error::Refused { receipt, reason, .. }) => {
                // The facilitator simulates the payment first.
                assert!(reason.contains("simulation_failed") || reason.contains("insufficient"), "{reason}");
                assert!(!x402.is_collected(&receipt).unwrap());
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(server.anvil.balance(pay_to()), Usdc::ZERO);
}
