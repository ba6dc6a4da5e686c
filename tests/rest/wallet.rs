//! Contract: wallets and payments.

use crate::common::Response;
use crate::rest_support::Api;
use crustocean::{AgencyId, ErrorKind, model::Network};
use serde_json::json;

const ADDRESS: &str = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
const HASH: &str = "0x00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";

#[test]
fn the_wallet() {
    let api = Api::new();
    let none = api.sends("GET /api/wallet", "", r#"{"hasWallet":false}"#, |client| client.wallet().info());
    assert!(!none.has_wallet && none.address.is_none() && !none.invalid);
    api.reads(
        &[
            &format!(
                r#"{{"hasWallet":true,"address":"{ADDRESS}","network":"base-sepolia","balances":{{"usdc":"1.50","eth":"0.1"}},
                "explorer":"https://e","spendingConfig":{{"perTx":10}},"invalid":true}}"#
            ),
            &format!(
                r#"{{"wallet":{{"has_wallet":true,"address":"{ADDRESS}","network":"base-sepolia",
                "balances":{{"usdc":"1.50","eth":0.1}},"explorerUrl":"https://e","spending_config":{{"perTx":10}},"invalid":1}}}}"#
            ),
        ],
        |client| client.wallet().info(),
        |wallet| {
            assert_eq!((wallet.address.as_deref(), wallet.network), (Some(ADDRESS), Some(Network::BaseSepolia)));
            let balances = wallet.balances.unwrap();
            assert_eq!((balances.usdc.as_deref(), balances.eth.as_deref()), (Some("1.50"), Some("0.1")));
            assert_eq!((wallet.spending_config, wallet.invalid), (Some(json!({"perTx": 10})), true));
        },
    );
    let body = format!(r#"{{"address":"{ADDRESS}"}}"#);
    let answer = format!(r#"{{"address":"{ADDRESS}","network":"base","explorer":"https://e"}}"#);
    let wallet =
        api.sends("POST /api/wallet/register", &body, &answer, |client| client.wallet().register(ADDRESS));
    assert_eq!((wallet.network, wallet.explorer.as_deref()), (Some(Network::Base), Some("https://e")));
    api.refuses("40 hexadecimal", |client| client.wallet().register("0x12"));
    api.sends("DELETE /api/wallet/register", "", "", |client| client.wallet().unregister());
}

#[test]
fn payments() {
    let api = Api::new();
    let agency = AgencyId::from("ag-1");
    let body = format!(r#"{{"agencyId":"ag-1","amount":"5.00","to":"@bob","txHash":"{HASH}"}}"#);
    let answer =
        format!(r#"{{"messageId":"msg-1","txHash":"{HASH}","verified":true,"explorerUrl":"https://e"}}"#);
    let payment = api.sends("POST /api/wallet/payment", &body, &answer, |client| {
        client.wallet().report_payment(HASH, &agency, "@bob", "5.00").send()
    });
    assert_eq!((payment.message_id.unwrap().as_str(), payment.verified), ("msg-1", true));
    let body =
        format!(r#"{{"agencyId":"ag-1","amount":"5","to":"{ADDRESS}","token":"USDC","txHash":"{HASH}"}}"#);
    let answer =
        format!(r#"{{"message_id":"msg-1","tx_hash":"{HASH}","verified":false,"explorer_url":"https://e"}}"#);
    api.sends("POST /api/wallet/payment", &body, &answer, |client| {
        client.wallet().report_payment(HASH, &agency, ADDRESS, "5").token("USDC").send()
    });
    for (hash, to, amount, rule) in [
        ("0x12", "@bob", "5", "64 hexadecimal"),
        (HASH, "bob", "5", "@username"),
        (HASH, "@bob", "five", "decimal"),
    ] {
        api.refuses(rule, |client| client.wallet().report_payment(hash, &agency, to, amount).send());
    }
    api.answers(Response::text(403, r#"{"error":"Daily limit exceeded"}"#));
    let error = api.client().wallet().report_payment(HASH, &agency, "@bob", "500").send().unwrap_err();
    assert_eq!((error.kind(), error.server_message()), (ErrorKind::Forbidden, Some("Daily limit exceeded")));
}
