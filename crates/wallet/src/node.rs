//! Typed requests to a node.

use serde_json::{Value, json};

use crate::address::{Address, TxHash};
use crate::chain::Chain;
use crate::error::{Error, ErrorKind, Result};
use crate::hex;
use crate::keccak::keccak;
use crate::rpc::{Failure, Rpc};
use crate::tls::Roots;
use crate::usdc::Usdc;
use crate::wei::Wei;

const BALANCE_OF: [u8; 4] = [0x70, 0xa0, 0x82, 0x31];
const AUTHORIZATION_STATE: [u8; 4] = [0xe9, 0x4a, 0x01, 0x02];
const TRANSFER_EVENT: &[u8] = b"Transfer(address,address,uint256)";

/// A transaction in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mined {
    pub(crate) succeeded: bool,
    pub(crate) block: u64,
    pub(crate) block_hash: String,
    pub(crate) fee: Wei,
    /// The sender's USDC transfers: receiver and amount.
    pub(crate) transfers: Vec<(Address, Usdc)>,
}

/// The current gas prices in wei.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fees {
    pub(crate) max_fee: u128,
    pub(crate) max_priority_fee: u128,
}

/// The node's response to signed bytes.
#[derive(Debug)]
pub(crate) enum Accepted {
    /// The node has the transaction.
    Yes,
    /// The sender has used this nonce, or uses it in another pending transaction.
    NonceTaken(Error),
    /// The node refuses the transaction and does not store it.
    No(Error),
    /// The node may or may not have the transaction.
    Unclear(Error),
    /// The node does not have the transaction.
    NotDelivered(Error),
}

/// A node of a chain.
pub(crate) struct Node {
    pub(crate) rpc: Rpc,
    pub(crate) chain: Chain,
}

impl Node {
    /// # Errors
    /// `WrongChain` if the node is on another chain.
    pub(crate) fn connect(chain: Chain, url: &str, roots: Option<Roots>) -> Result<Self> {
        let node = Node { rpc: Rpc::new(url, roots)?, chain };
        let id = node.number("eth_chainId", &json!([]))?;
        if id != u128::from(chain.id()) {
            return Err(Error::new(
                ErrorKind::WrongChain,
                format!(
                    "{} is on chain {id}, but {chain} is chain {}: set another URL",
                    node.rpc.host(),
                    chain.id()
                ),
            ));
        }
        Ok(node)
    }

    /// The same node without retries, for callers that repeat requests themselves.
    pub(crate) fn without_retries(&self) -> Self {
        Node { rpc: self.rpc.without_retries(), chain: self.chain }
    }

    pub(crate) fn ether(&self, of: Address) -> Result<Wei> {
        self.number("eth_getBalance", &json!([of.to_string(), "latest"])).map(Wei::new)
    }

    pub(crate) fn usdc(&self, of: Address) -> Result<Usdc> {
        let balance = self.read_contract(BALANCE_OF, &[of.word()])?;
        let units = hex::quantity(&hex::encode(&balance)).and_then(|units| u64::try_from(units).ok());
        units
            .map(Usdc::from_units)
            .ok_or_else(|| Error::protocol("the balance is larger than all USDC there is"))
    }

    /// Whether an x402 authorization was used or cancelled.
    pub(crate) fn is_used(&self, from: Address, nonce: [u8; 32]) -> Result<bool> {
        Ok(self.read_contract(AUTHORIZATION_STATE, &[from.word(), nonce])? != [0; 32])
    }

    /// How many transactions the address has made up to a block. The block `pending` also counts pending ones.
    pub(crate) fn nonce(&self, of: Address, block: &str) -> Result<u64> {
        let count = self.number("eth_getTransactionCount", &json!([of.to_string(), block]))?;
        u64::try_from(count).map_err(|_| Error::protocol("the number of transactions is too large"))
    }

    pub(crate) fn block(&self) -> Result<u64> {
        let number = self.number("eth_blockNumber", &json!([]))?;
        u64::try_from(number).map_err(|_| Error::protocol("the number of the block is too large"))
    }

    /// Twice the base fee plus the tip. The base fee grows by at most one eighth per block, so this fee is high enough
    /// for at least five blocks.
    pub(crate) fn fees(&self) -> Result<Fees> {
        let block = self.rpc.read("eth_getBlockByNumber", &json!(["latest", false]))?;
        let base = number_of(block.get("baseFeePerGas"))
            .ok_or_else(|| Error::protocol("the latest block says no base fee"))?;
        let tip = self.number("eth_maxPriorityFeePerGas", &json!([]))?;
        let max_fee = base.checked_mul(2).and_then(|base| base.checked_add(tip));
        let max_fee = max_fee.ok_or_else(|| Error::protocol("the base fee is too large"))?;
        Ok(Fees { max_fee, max_priority_fee: tip })
    }

    /// The estimated gas plus one fifth.
    ///
    /// # Errors
    /// `Node` if the call would fail.
    pub(crate) fn gas(&self, from: Address, to: Address, data: &[u8]) -> Result<u64> {
        let call = json!({ "from": from.to_string(), "to": to.to_string(), "data": hex::encode(data) });
        let gas = self.number("eth_estimateGas", &json!([call]))?;
        let gas = u64::try_from(gas).ok().and_then(|gas| gas.checked_add(gas / 5));
        gas.ok_or_else(|| Error::protocol("the estimate of the gas is too large"))
    }

    pub(crate) fn send(&self, raw: &[u8]) -> Accepted {
        let failure = match self.rpc.call("eth_sendRawTransaction", &json!([hex::encode(raw)])) {
            Ok(_) => return Accepted::Yes,
            Err(failure) => failure,
        };
        let (code, message) = match failure {
            Failure::NotDelivered(error) | Failure::NotAllowed(error) => {
                return Accepted::NotDelivered(error);
            }
            Failure::Unclear(error) => return Accepted::Unclear(error),
            Failure::Refused { code, message } => (code, message),
        };
        let lower = message.to_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| lower.contains(phrase));
        let error = Failure::Refused { code, message }.into_error();
        if says(&["already known", "known transaction", "already imported", "already exists"]) {
            Accepted::Yes
        } else if says(&[
            "nonce too low",
            "nonce is too low",
            "replacement transaction underpriced",
            "could not replace",
        ]) {
            Accepted::NonceTaken(error)
        } else if matches!(code, -32700 | -32602..=-32600 | -32003)
            || says(&[
                "insufficient funds",
                "underpriced",
                "intrinsic gas",
                "less than block base fee",
                "exceeds block gas limit",
                "nonce too high",
                "txpool is full",
                "pool is full",
                "invalid sender",
                "invalid chain id",
            ])
        {
            Accepted::No(error)
        } else {
            // "internal error", "request timed out": a node behind this one may have the transaction.
            Accepted::Unclear(error)
        }
    }

    /// Whether the node knows the transaction, in a block or pending.
    pub(crate) fn knows(&self, hash: TxHash) -> Result<bool> {
        Ok(!self.rpc.read("eth_getTransactionByHash", &json!([hash.to_string()]))?.is_null())
    }

    /// `None` while the transaction is not in a block.
    pub(crate) fn mined(&self, hash: TxHash, from: Address) -> Result<Option<Mined>> {
        let receipt = self.rpc.read("eth_getTransactionReceipt", &json!([hash.to_string()]))?;
        if receipt.is_null() {
            return Ok(None);
        }
        let broken = || Error::protocol("the receipt of the transaction is broken");
        let number = |key| number_of(receipt.get(key));
        // Some nodes return a receipt before its block.
        let (Some(block), Some(block_hash)) =
            (number("blockNumber"), receipt.get("blockHash").and_then(Value::as_str))
        else {
            return Ok(None);
        };
        if receipt.get("transactionHash").and_then(Value::as_str).and_then(hex::decode)
            != Some(*hash.as_bytes())
        {
            return Err(broken());
        }
        let succeeded = match number("status").ok_or_else(broken)? {
            0 => false,
            1 => true,
            _ => return Err(broken()),
        };
        let fee = number("gasUsed")
            .unwrap_or_default()
            .saturating_mul(number("effectiveGasPrice").unwrap_or_default());
        let logs = receipt.get("logs").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        Ok(Some(Mined {
            succeeded,
            block: u64::try_from(block).map_err(|_| broken())?,
            block_hash: block_hash.to_owned(),
            fee: Wei::new(fee),
            transfers: logs.iter().filter_map(|log| self.transfer(log, from)).collect(),
        }))
    }

    /// The transfer in a log of the USDC contract.
    fn transfer(&self, log: &Value, sender: Address) -> Option<(Address, Usdc)> {
        let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
        let topic = |index: usize| hex::decode::<32>(&text(log.get("topics")?.get(index))?);
        if text(log.get("address"))?.parse::<Address>().ok()? != self.chain.usdc()
            || topic(0)? != keccak(&[TRANSFER_EVENT])
            || Address::from_word(&topic(1)?)? != sender
        {
            return None;
        }
        let units = hex::quantity(&text(log.get("data"))?)?;
        Some((Address::from_word(&topic(2)?)?, Usdc::from_units(u64::try_from(units).ok()?)))
    }

    fn read_contract(&self, selector: [u8; 4], arguments: &[[u8; 32]]) -> Result<[u8; 32]> {
        let call = json!({ "to": self.chain.usdc().to_string(), "data": hex::encode(&call_data(selector, arguments)) });
        let answer = self.rpc.read("eth_call", &json!([call, "latest"]))?;
        let text = answer.as_str().unwrap_or_default();
        if text == "0x" {
            return Err(Error::protocol(format!(
                "there is no USDC at {} on this node's chain",
                self.chain.usdc()
            )));
        }
        hex::decode(text).ok_or_else(|| Error::protocol("the contract's answer is broken"))
    }

    fn number(&self, method: &str, params: &Value) -> Result<u128> {
        let answer = self.rpc.read(method, params)?;
        number_of(Some(&answer))
            .ok_or_else(|| Error::protocol(format!("the answer to {method} is no number")))
    }
}

/// The data of a call: the selector and the arguments, 32 bytes each.
pub(crate) fn call_data(selector: [u8; 4], arguments: &[[u8; 32]]) -> Vec<u8> {
    selector.into_iter().chain(arguments.iter().flatten().copied()).collect()
}

fn number_of(value: Option<&Value>) -> Option<u128> {
    hex::quantity(value?.as_str()?)
}
