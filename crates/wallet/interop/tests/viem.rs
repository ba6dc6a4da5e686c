//! Addresses, transactions and signatures agree with viem, byte for byte.

use std::time::Duration;

use crustocean_wallet::{Address, Authorization, Chain, Key, SignRequest, Signer, Transaction, Usdc};
use crustocean_wallet_interop::{Script, hex, json, watchdog};

const CASES: usize = 1_000;

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}

/// A random number of random length in bits, because encodings differ for small numbers.
fn number(max_bits: u32) -> u128 {
    let bits = u32::from(random::<1>()[0]) % (max_bits + 1);
    if bits == 0 { 0 } else { u128::from_be_bytes(random()) >> (128 - bits) }
}

fn small(max_bits: u32) -> u64 {
    u64::try_from(number(max_bits)).unwrap()
}

#[test]
fn a_thousand_random_cases_agree() {
    let _watchdog = watchdog(Duration::from_secs(300));
    let mut oracle = Script::start("oracle.mjs", &[]);
    for _ in 0..CASES {
        let key = Key::generate().unwrap();
        let chain = if random::<1>()[0] & 1 == 0 { Chain::Base } else { Chain::BaseSepolia };
        // viem refuses a tip above the maximum fee, and numbers above JavaScript's safe integers.
        let max_fee = number(96);
        let data = random::<256>();
        let transaction = Transaction {
            chain_id: chain.id(),
            nonce: small(50),
            max_priority_fee: number(96).min(max_fee),
            max_fee,
            gas: small(63),
            to: Address::new(random()),
            value: number(120),
            data: data[..usize::from(random::<1>()[0])].to_vec(),
        };
        let authorization = Authorization {
            chain,
            from: key.address(),
            to: Address::new(random()),
            value: Usdc::from_units(small(64)),
            valid_after: small(64),
            valid_before: small(64),
            nonce: random(),
        };
        let expected = oracle.ask(&json!({
            "key": key.expose().as_str(),
            "transaction": {
                "chainId": transaction.chain_id.to_string(),
                "nonce": transaction.nonce.to_string(),
                "maxPriorityFee": transaction.max_priority_fee.to_string(),
                "maxFee": transaction.max_fee.to_string(),
                "gas": transaction.gas.to_string(),
                "to": transaction.to.to_string(),
                "value": transaction.value.to_string(),
                "data": hex(&transaction.data),
            },
            "authorization": {
                "domain": {
                    "name": chain.usdc_name(),
                    "version": chain.usdc_version(),
                    "chainId": chain.id().to_string(),
                    "verifyingContract": chain.usdc().to_string(),
                },
                "message": {
                    "to": authorization.to.to_string(),
                    "value": authorization.value.units().to_string(),
                    "validAfter": authorization.valid_after.to_string(),
                    "validBefore": authorization.valid_before.to_string(),
                    "nonce": hex(&authorization.nonce),
                },
            },
        }));
        assert_eq!(expected["address"], key.address().to_string());
        let signature = key.sign(&SignRequest::Transaction(&transaction)).unwrap();
        let (raw, hash) = transaction.signed(&signature);
        assert_eq!(expected["raw"], hex(&raw), "{transaction:?}");
        assert_eq!(expected["hash"], hash.to_string());
        let request = SignRequest::Authorization(&authorization);
        let signature = key.sign(&request).unwrap();
        assert_eq!(expected["signature"], hex(&signature.to_bytes()), "{authorization:?}");
        assert_eq!(signature.address(&request.digest()), Some(key.address()));
    }
}
