//! A fake node with the chain of one wallet, complete enough for a payment to arrive.

use std::sync::{Arc, Mutex};

use crustocean_wallet::{Chain, Key, Wallet, WalletBuilder};
use serde_json::{Value, json};

use crate::server::{Server, respond};

/// The money on it is what the test says, and never less.
pub(crate) struct Node {
    pub(crate) server: Server,
    /// Whose money it is.
    pub(crate) key: Key,
    /// The raw transactions that the node received.
    pub(crate) sent: Arc<Mutex<Vec<String>>>,
}

impl Node {
    pub(crate) fn start(units: u64) -> Node {
        Node::that_answers(units, |_| None)
    }

    /// A node on which `other` may replace the answer to a method.
    pub(crate) fn that_answers(
        units: u64,
        other: impl Fn(&str) -> Option<Value> + Send + Sync + 'static,
    ) -> Node {
        let sent = Arc::<Mutex<Vec<String>>>::default();
        let key = Key::generate().unwrap();
        let (record, sender) = (Arc::clone(&sent), key.address().to_string().to_lowercase());
        let server = Server::start(move |request, out| {
            let call: Value = serde_json::from_slice(&request.body).unwrap();
            let (method, params) = (call["method"].as_str().unwrap(), &call["params"]);
            let result = other(method).unwrap_or_else(|| answer(method, params, units, &sender, &record));
            let answer = match result.get("error") {
                Some(error) => json!({ "jsonrpc": "2.0", "id": call["id"], "error": error }),
                None => json!({ "jsonrpc": "2.0", "id": call["id"], "result": result }),
            };
            respond(out, 200, &[("content-type", "application/json")], &answer.to_string());
        });
        Node { server, key, sent }
    }

    pub(crate) fn wallet(&self) -> Wallet {
        self.wallet_with(|builder| builder)
    }

    pub(crate) fn wallet_with(&self, settings: impl FnOnce(WalletBuilder) -> WalletBuilder) -> Wallet {
        let builder = Wallet::builder(Chain::BaseSepolia).rpc_url(&self.server.url);
        settings(builder).connect(self.key.expose().parse::<Key>().unwrap()).unwrap()
    }

    pub(crate) fn payments(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

fn answer(method: &str, params: &Value, units: u64, sender: &str, sent: &Mutex<Vec<String>>) -> Value {
    let mut sent = sent.lock().unwrap();
    match method {
        "eth_chainId" => json!("0x14a34"),
        "eth_call" => match &params[0]["data"].as_str().unwrap()[..10] {
            "0x70a08231" => json!(format!("{units:#066x}")),
            _ => json!(format!("{:#066x}", 0)),
        },
        "eth_getBalance" => json!("0xde0b6b3a7640000"),
        "eth_getTransactionCount" => json!(format!("{:#x}", sent.len())),
        "eth_getBlockByNumber" => json!({ "baseFeePerGas": "0x1" }),
        "eth_maxPriorityFeePerGas" => json!("0x1"),
        "eth_estimateGas" => json!("0xc350"),
        "eth_blockNumber" => json!("0x1"),
        "eth_sendRawTransaction" => {
            sent.push(params[0].as_str().unwrap().to_owned());
            json!(format!("0x{}", "0".repeat(64)))
        }
        "eth_getTransactionByHash" => json!({}),
        "eth_getTransactionReceipt" => {
            // The last one, as it paid: its data are in it as they are.
            let raw = sent.last().unwrap();
            let data = &raw[raw.find("a9059cbb").unwrap() + 8..][..128];
            json!({ "transactionHash": params[0], "status": "0x1", "blockNumber": "0x1", "blockHash": "0x2",
                "gasUsed": "0xc350", "effectiveGasPrice": "0x2", "logs": [{
                    "address": Chain::BaseSepolia.usdc().to_string().to_lowercase(),
                    "topics": [
                        "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef",
                        format!("0x{:0>64}", &sender[2..]),
                        format!("0x{}", &data[..64]),
                    ],
                    "data": format!("0x{}", &data[64..]),
                }] })
        }
        other => panic!("{other}"),
    }
}
