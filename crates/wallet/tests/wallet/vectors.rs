//! Addresses, transactions and signatures agree with viem, which wrote vectors.json. `interop/` has a test with a thousand
//! random ones.

use crustocean_wallet::{
    Address, Authorization, Chain, Key, SignRequest, Signature, Signer, Transaction, Usdc,
};
use serde_json::Value;

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &Value) -> T {
    text(value).parse().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    let digits = text(value).strip_prefix("0x").unwrap();
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[test]
fn addresses_transactions_and_signatures_agree_with_viem() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("vectors.json")).unwrap();
    assert_eq!(vectors.len(), 4);
    for vector in &vectors {
        let (transaction, authorization, expected) =
            (&vector["transaction"], &vector["authorization"], &vector["expected"]);
        let key: Key = text(&vector["key"]).parse().unwrap();
        assert_eq!(key.address().to_string(), text(&expected["address"]));
        assert_eq!(key.expose().as_str(), text(&vector["key"]));

        let chain = if vector["chain"] == 8453 { Chain::Base } else { Chain::BaseSepolia };
        let transaction = Transaction {
            chain_id: chain.id(),
            nonce: number(&transaction["nonce"]),
            max_priority_fee: number(&transaction["maxPriorityFee"]),
            max_fee: number(&transaction["maxFee"]),
            gas: number(&transaction["gas"]),
            to: number(&transaction["to"]),
            value: number(&transaction["value"]),
            data: bytes(&transaction["data"]),
        };
        let signature = key.sign(&SignRequest::Transaction(&transaction)).unwrap();
        let (raw, hash) = transaction.signed(&signature);
        assert_eq!((raw, hash.to_string()), (bytes(&expected["raw"]), text(&expected["hash"]).to_owned()));

        let authorization = Authorization {
            chain,
            from: key.address(),
            to: number(&authorization["to"]),
            value: Usdc::from_units(number(&authorization["value"])),
            valid_after: number(&authorization["validAfter"]),
            valid_before: number(&authorization["validBefore"]),
            nonce: bytes(&authorization["nonce"]).try_into().unwrap(),
        };
        let signature = key.sign(&SignRequest::Authorization(&authorization)).unwrap();
        assert_eq!(signature.to_bytes().to_vec(), bytes(&expected["signature"]));
    }
}

#[test]
fn the_signer_can_be_recovered_from_a_signature() {
    let key = Key::generate().unwrap();
    let digest = [7; 32];
    let transaction = Transaction {
        chain_id: 1,
        nonce: 0,
        max_priority_fee: 0,
        max_fee: 0,
        gas: 0,
        to: Address::new([1; 20]),
        value: 0,
        data: Vec::new(),
    };
    let signature = key.sign(&SignRequest::Transaction(&transaction)).unwrap();
    assert_eq!(signature.address(&transaction.digest()), Some(key.address()));
    assert_ne!(signature.address(&digest), Some(key.address()));
    let Signature { r, s, y_odd } = signature;
    assert_ne!(Signature { r, s, y_odd: !y_odd }.address(&transaction.digest()), Some(key.address()));
    assert_eq!(Signature { r: [0; 32], s, y_odd }.address(&transaction.digest()), None);
    // A key service returns no recovery bit.
    let found = Signature::for_address(key.address(), &transaction.digest(), r, s).unwrap();
    assert_eq!(found, signature);
    assert!(Signature::for_address(Address::new([2; 20]), &transaction.digest(), r, s).is_err());
    // Some services return `s` in the upper half of its range.
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let mut high = [0; 32];
    let mut borrow = 0_i16;
    for index in (0..32).rev() {
        let digit = i16::from_str_radix(&order[2 * index..2 * index + 2], 16).unwrap();
        let difference = digit - i16::from(s[index]) - borrow;
        borrow = i16::from(difference < 0);
        high[index] = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    assert_eq!(
        Signature { r, s: high, y_odd: !y_odd }.address(&transaction.digest()),
        None,
        "the chain takes no such"
    );
    assert_eq!(Signature::for_address(key.address(), &transaction.digest(), r, high).unwrap(), signature);
}

#[test]
fn keys_are_parsed_strictly_and_never_shown() {
    let text = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318";
    let key: Key = format!("\n 0x{text} ").parse().unwrap();
    assert_eq!(key.address().to_string(), "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23");
    assert!(!format!("{key:?} {key:#?}").contains(&text[..8]));
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    for (bad, rule) in [
        (String::new(), "64 hexadecimal"),
        (text[1..].to_owned(), "63 characters"),
        (format!("\"{text}\""), "quotes"),
        (text.replace('4', "g"), "64 hexadecimal"),
        ("0".repeat(64), "greater than zero"),
        (order.to_owned(), "less than the order"),
    ] {
        let error = Key::try_from(bad.clone()).unwrap_err();
        assert!(error.to_string().contains(rule), "{error}");
        assert!(bad.is_empty() || !error.to_string().contains(&bad));
    }
    assert_ne!(Key::generate().unwrap().address(), Key::generate().unwrap().address());
}
