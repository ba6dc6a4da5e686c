//! A server's price, and the header that pays it.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::address::Address;
use crate::chain::Chain;
use crate::eip712::Authorization;
use crate::error::{Error, ErrorKind, Result};
use crate::hex;
use crate::http::short;
use crate::signature::Signature;
use crate::usdc::Usdc;

/// The largest header. Servers refuse larger ones.
const MAX_HEADER: usize = 16 * 1024;
/// The most offers in one response.
const MAX_OFFERS: usize = 64;
/// How long a payment is valid, in seconds: the shortest time, the longest time, and the default. A server's value
/// outside these limits becomes the nearest limit.
const MIN_SECONDS: u64 = 10;
const MAX_SECONDS: u64 = 600;
const USUAL: u64 = 60;

/// Versions of x402.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    One,
    Two,
}

impl Version {
    /// The header with the payment.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Version::One => "x-payment",
            Version::Two => "payment-signature",
        }
    }
}

/// An offer that this crate can pay.
#[derive(Debug, Clone)]
pub(crate) struct Offer {
    pub(crate) version: Version,
    pub(crate) price: Usdc,
    pub(crate) pay_to: Address,
    /// How long the payment is valid, in seconds.
    pub(crate) valid_for: u64,
    /// The server's offer without changes, because the payment of version 2 contains it.
    accepted: Value,
    resource: Option<Value>,
}

impl Offer {
    /// Selects the cheapest offer on this chain. `header` is `PAYMENT-REQUIRED`, `body` is the body of the response.
    ///
    /// # Errors
    /// `Offer` with the reason if the crate can pay none of the offers.
    pub(crate) fn choose(chain: Chain, header: Option<&[u8]>, body: &[u8]) -> Result<Self> {
        let header = header.map(|header| {
            decode(header).ok_or_else(|| refusal("the header PAYMENT-REQUIRED is not JSON in base64"))
        });
        let (version, required) = match header {
            Some(required) => (Version::Two, required?),
            None => (
                Version::One,
                serde_json::from_slice::<Value>(body)
                    .map_err(|_| refusal("the answer asks for money, but not as x402 does"))?,
            ),
        };
        let named = required.get("x402Version").and_then(Value::as_u64);
        let expected = if version == Version::One { 1 } else { 2 };
        if named != Some(expected) {
            return Err(refusal("the answer asks for money, but not in version 1 or 2 of x402"));
        }
        let offers = required.get("accepts").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let (mut best, mut reasons) = (None::<Offer>, Vec::new());
        for offer in offers.iter().take(MAX_OFFERS) {
            match Offer::read(version, chain, offer, required.get("resource")) {
                Ok(offer) if best.as_ref().is_none_or(|best| offer.price < best.price) => best = Some(offer),
                Ok(_) => {}
                Err(reason) => reasons.push(reason),
            }
        }
        best.ok_or_else(|| match reasons.as_slice() {
            [] => refusal("the answer asks for money, but offers no way to pay"),
            reasons => {
                refusal(&format!("this crate supports none of the offers: {}", short(&reasons.join("; "))))
            }
        })
    }

    fn read(version: Version, chain: Chain, offer: &Value, resource: Option<&Value>) -> Result<Self, String> {
        let text = |key: &str| offer.get(key).and_then(Value::as_str).unwrap_or_default();
        let extra =
            |key: &str| offer.get("extra").and_then(|extra| extra.get(key)).filter(|value| !value.is_null());
        let (network, price) = match version {
            Version::One => (chain.name(), text("maxAmountRequired")),
            Version::Two => (chain.caip2(), text("amount")),
        };
        if text("scheme") != "exact" {
            return Err(format!("scheme {:?}, not \"exact\"", short(text("scheme"))));
        }
        if text("network") != network {
            return Err(format!("network {:?}, this wallet is on {network}", short(text("network"))));
        }
        if hex::decode(text("asset")).map(Address::new) != Some(chain.usdc()) {
            return Err(format!("asset {:?}, not USDC", short(text("asset"))));
        }
        if let Some(method) = extra("assetTransferMethod").filter(|method| *method != "eip3009") {
            return Err(format!("asset transfer method {}, not \"eip3009\"", short(&method.to_string())));
        }
        if let Some(flow) = extra("paymentFlow").filter(|flow| *flow != "authorization") {
            return Err(format!("payment flow {}, not \"authorization\"", short(&flow.to_string())));
        }
        // The crate signs with its own values. A server that expects other values could not collect the payment.
        for (key, ours) in [("name", chain.usdc_name()), ("version", chain.usdc_version())] {
            if let Some(theirs) = extra(key).filter(|theirs| *theirs != ours) {
                return Err(format!(
                    "{key} {} of the contract, which is {ours:?}",
                    short(&theirs.to_string())
                ));
            }
        }
        let price = units(price).ok_or_else(|| format!("price {:?}", short(price)))?;
        let pay_to = hex::decode(text("payTo")).map(Address::new).filter(|address| !address.is_zero());
        let pay_to = pay_to.ok_or_else(|| format!("receiver {:?}", short(text("payTo"))))?;
        let valid_for = offer.get("maxTimeoutSeconds").and_then(Value::as_u64).unwrap_or(USUAL);
        Ok(Offer {
            version,
            price,
            pay_to,
            valid_for: valid_for.clamp(MIN_SECONDS, MAX_SECONDS),
            accepted: offer.clone(),
            resource: resource.cloned(),
        })
    }

    /// The value of the payment header.
    ///
    /// # Errors
    /// `Offer` if the header would be too large, because it contains the server's offer.
    pub(crate) fn payment(&self, authorization: &Authorization, signature: &Signature) -> Result<String> {
        let payload = json!({
            "signature": hex::encode(&signature.to_bytes()),
            "authorization": {
                "from": authorization.from.to_string(),
                "to": authorization.to.to_string(),
                "value": authorization.value.units().to_string(),
                "validAfter": authorization.valid_after.to_string(),
                "validBefore": authorization.valid_before.to_string(),
                "nonce": hex::encode(&authorization.nonce),
            },
        });
        let mut payment = match self.version {
            Version::One => json!({
                "x402Version": 1,
                "scheme": "exact",
                "network": authorization.chain.name(),
            }),
            Version::Two => json!({ "x402Version": 2, "accepted": self.accepted }),
        };
        if let Some(fields) = payment.as_object_mut() {
            fields.insert("payload".to_owned(), payload);
            if let (Version::Two, Some(resource)) = (self.version, &self.resource) {
                fields.insert("resource".to_owned(), resource.clone());
            }
        }
        let header = STANDARD.encode(payment.to_string());
        if header.len() > MAX_HEADER {
            return Err(refusal("the offer is too large for the payment header"));
        }
        Ok(header)
    }
}

/// Decodes JSON in base64, with or without padding, in either alphabet.
pub(crate) fn decode(header: &[u8]) -> Option<Value> {
    let text = header.trim_ascii();
    let bare = text.trim_ascii_end().strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let bytes = STANDARD_NO_PAD.decode(bare).or_else(|_| URL_SAFE_NO_PAD.decode(bare)).ok()?;
    serde_json::from_slice(&bytes).ok()
}

/// A price: only digits, more than zero. `None` for other texts, and for a price above the range of `u64`.
fn units(text: &str) -> Option<Usdc> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let units = digits.then(|| text.parse::<u64>().ok())??;
    (units > 0).then(|| Usdc::from_units(units))
}

fn refusal(text: &str) -> Error {
    Error::new(ErrorKind::Offer, text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn offer(version: Version) -> Value {
        let chain = Chain::BaseSepolia;
        let (network, amount) = match version {
            Version::One => ("base-sepolia", "maxAmountRequired"),
            Version::Two => ("eip155:84532", "amount"),
        };
        json!({ "scheme": "exact", "network": network, amount: "1000", "asset": chain.usdc().to_string(),
            "payTo": format!("0x{}", "07".repeat(20)), "maxTimeoutSeconds": 300,
            "extra": { "name": "USDC", "version": "2" } })
    }

    fn required(version: Version, accepts: &Value) -> Result<Offer> {
        match version {
            Version::One => {
                let body = json!({ "x402Version": 1, "accepts": accepts }).to_string();
                Offer::choose(Chain::BaseSepolia, None, body.as_bytes())
            }
            Version::Two => {
                let header = json!({ "x402Version": 2, "accepts": accepts, "resource": { "url": "u" } });
                Offer::choose(Chain::BaseSepolia, Some(STANDARD.encode(header.to_string()).as_bytes()), b"{}")
            }
        }
    }

    fn with(version: Version, change: impl FnOnce(&mut Value)) -> Value {
        let mut offer = offer(version);
        change(&mut offer);
        json!([offer])
    }

    #[test]
    fn the_cheapest_that_can_be_paid_is_chosen() {
        for version in [Version::One, Version::Two] {
            let price = if version == Version::One { "maxAmountRequired" } else { "amount" };
            let (mut cheap, mut foreign) = (offer(version), offer(version));
            cheap[price] = json!("999");
            foreign[price] = json!("1");
            foreign["scheme"] = json!("upto");
            let chosen = required(version, &json!([offer(version), cheap, foreign])).unwrap();
            assert_eq!((chosen.version, chosen.price.units(), chosen.valid_for), (version, 999, 300));
            assert_eq!(chosen.pay_to, Address::new([7; 20]));
        }
    }

    #[test]
    fn what_is_not_pinned_is_refused() {
        for version in [Version::One, Version::Two] {
            let price = if version == Version::One { "maxAmountRequired" } else { "amount" };
            let base = if version == Version::One { "base" } else { "eip155:8453" };
            for (key, value, reason) in [
                ("scheme", json!("upto"), "scheme"),
                ("network", json!(base), "network"),
                ("network", json!("solana"), "network"),
                ("asset", json!(Chain::Base.usdc().to_string()), "not USDC"),
                ("asset", json!(null), "not USDC"),
                ("extra", json!({ "assetTransferMethod": "permit2" }), "permit2"),
                ("extra", json!({ "assetTransferMethod": 7 }), "transfer method"),
                ("extra", json!({ "paymentFlow": "escrow" }), "escrow"),
                ("extra", json!({ "name": "USD Coin" }), "USD Coin"),
                ("extra", json!({ "version": "1" }), "version"),
                ("payTo", json!(format!("0x{}", "00".repeat(20))), "receiver"),
                ("payTo", json!("bob"), "receiver"),
                (price, json!("0"), "price"),
                (price, json!("-1"), "price"),
                (price, json!("1.5"), "price"),
                (price, json!("1e3"), "price"),
                (price, json!(1000), "price"),
                (price, json!("0x10"), "price"),
                (price, json!("99999999999999999999999"), "price"),
            ] {
                let error =
                    required(version, &with(version, |offer| offer[key] = value.clone())).unwrap_err();
                assert!(error.to_string().contains(reason), "{key} {value}: {error}");
                assert_eq!(error.kind(), ErrorKind::Offer);
            }
        }
        // An offer of the other version.
        assert!(required(Version::Two, &json!([offer(Version::One)])).is_err());
        assert!(required(Version::Two, &json!([])).unwrap_err().to_string().contains("no way"));
        for body in ["", "null", "[]", "{}", r#"{"x402Version":3,"accepts":[]}"#, "<html>"] {
            assert!(Offer::choose(Chain::Base, None, body.as_bytes()).is_err(), "{body}");
            assert!(Offer::choose(Chain::Base, Some(body.as_bytes()), b"{}").is_err(), "{body}");
        }
    }

    #[test]
    fn how_long_it_may_be_collected_is_bounded() {
        for (asked, given) in [(json!(1), 10), (json!(u64::MAX), 600), (json!(-1), 60), (json!(null), 60)] {
            let accepts = with(Version::Two, |offer| offer["maxTimeoutSeconds"] = asked);
            assert_eq!(required(Version::Two, &accepts).unwrap().valid_for, given);
        }
    }

    #[test]
    fn base64_in_all_its_forms() {
        for text in ["eyJhIjoiPz8/In0=", "eyJhIjoiPz8/In0", "eyJhIjoiPz8_In0", " eyJhIjoiPz8_In0= "] {
            assert_eq!(decode(text.as_bytes()), Some(json!({ "a": "???" })), "{text}");
        }
        assert_eq!(decode(b"!"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_offer_or_an_error(header in proptest::collection::vec(any::<u8>(), 0..200), json in ".{0,200}") {
            let _ = Offer::choose(Chain::Base, Some(&header), json.as_bytes());
            let _ = Offer::choose(Chain::Base, Some(STANDARD.encode(&json).as_bytes()), &header);
            let _ = Offer::choose(Chain::Base, None, &header);
        }
    }
}
