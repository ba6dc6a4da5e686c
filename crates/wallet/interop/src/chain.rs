//! A chain for one test: anvil, with a contract like USDC at the address of USDC.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use crustocean_wallet::{Address, Chain, Key, TxHash, Usdc, Wallet, WalletBuilder};
use serde_json::{Value, json};

use crate::node::{Script, package};

/// The key of anvil's first account, which has ether. The key is public.
pub const RICH: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
/// The time between two blocks of `mine_while`.
const BLOCK_TIME: Duration = Duration::from_millis(200);
const PACKAGE: &str = if cfg!(target_os = "macos") {
    if cfg!(target_arch = "aarch64") { "anvil-darwin-arm64" } else { "anvil-darwin-amd64" }
} else if cfg!(target_arch = "aarch64") {
    "anvil-linux-arm64"
} else {
    "anvil-linux-amd64"
};

/// A chain on the loopback interface. Dropping it ends it.
#[derive(Debug)]
pub struct Anvil {
    child: Child,
    /// The chain whose id it reports.
    pub chain: Chain,
    url: String,
    /// Whether each transaction gets into a block automatically.
    automine: AtomicBool,
}

impl Anvil {
    /// Starts a chain that puts every transaction into a block of its own at once.
    ///
    /// # Panics
    /// If the packages are not installed.
    pub fn start(chain: Chain) -> Anvil {
        let binary = package(&format!("@foundry-rs/{PACKAGE}/bin/anvil"));
        // It ends when its input is closed, so also when the test is aborted.
        let mut child = Command::new("sh")
            .args(["-c", r#""$0" "$@" & anvil=$!; cat >/dev/null; kill $anvil; wait $anvil"#])
            .arg(binary)
            .args(["--port", "0", "--chain-id", &chain.id().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Otherwise it would keep the test's standard error open after an abort.
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start anvil: {error}"));
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        // A full pipe would block it.
        std::thread::spawn(move || lines.for_each(drop));
        let anvil = Anvil {
            child,
            chain,
            url: format!("http://{}", address.trim()),
            automine: AtomicBool::new(true),
        };
        anvil.call("anvil_setCode", json!([chain.usdc().to_string(), code()]));
        anvil
    }

    /// Its URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes a call that must succeed.
    pub fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let request = ureq::post(&self.url).header("content-type", "application/json");
        let text = request.send(body.as_bytes()).unwrap().body_mut().read_to_string().unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer.get("error").is_none(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Calls the contract from the rich account, with a function signature and 32-byte arguments.
    pub fn contract(&self, signature: &str, arguments: &[[u8; 32]]) {
        let hash = self.call("web3_sha3", json!([hex(signature.as_bytes())]));
        let mut data = hash.as_str().unwrap()[..10].to_owned();
        for word in arguments {
            data += &hex(word)[2..];
        }
        let from = RICH.parse::<Key>().unwrap().address().to_string();
        let call = json!({ "from": from, "to": self.chain.usdc().to_string(), "data": data });
        let hash = self.call("eth_sendTransaction", json!([call]));
        // On a busy machine the answer may come before the block.
        while self.automine.load(Ordering::SeqCst)
            && self.call("eth_getTransactionReceipt", json!([hash])).is_null()
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Gives USDC to an address.
    pub fn mint(&self, to: Address, amount: Usdc) {
        self.contract("mint(address,uint256)", &[word(to.as_bytes()), word(&amount.units().to_be_bytes())]);
    }

    /// Gives ether to an address, in wei.
    pub fn give_ether(&self, to: Address, wei: u128) {
        self.call("anvil_setBalance", json!([to.to_string(), format!("{wei:#x}")]));
    }

    /// A new wallet with this much USDC and one ether.
    pub fn wallet(&self, amount: &str) -> Wallet {
        self.wallet_with(amount, |builder| builder)
    }

    /// As `wallet`, with other settings.
    pub fn wallet_with(&self, amount: &str, settings: impl FnOnce(WalletBuilder) -> WalletBuilder) -> Wallet {
        let key = Key::generate().unwrap();
        self.mint(key.address(), amount.parse().unwrap());
        self.give_ether(key.address(), 1_000_000_000_000_000_000);
        settings(Wallet::builder(self.chain).rpc_url(&self.url)).connect(key).unwrap()
    }

    /// The USDC balance of an address.
    pub fn balance(&self, of: Address) -> Usdc {
        let data = format!("0x70a08231{}", &hex(&word(of.as_bytes()))[2..]);
        let call = json!({ "to": self.chain.usdc().to_string(), "data": data });
        let answer = self.call("eth_call", json!([call, "latest"]));
        Usdc::from_units(u64::from_str_radix(&answer.as_str().unwrap()[2..], 16).unwrap())
    }

    /// Sets whether each transaction gets into a block automatically.
    pub fn automine(&self, on: bool) {
        self.automine.store(on, Ordering::SeqCst);
        self.call("evm_setAutomine", json!([on]));
    }

    /// Makes blocks.
    pub fn mine(&self, blocks: u64) {
        self.call("anvil_mine", json!([format!("{blocks:#x}")]));
    }

    /// Makes empty blocks, as a real chain does, until `work` returns. A wallet reports a transaction as replaced only
    /// when more blocks follow.
    pub fn mine_while<T>(&self, work: impl FnOnce() -> T) -> T {
        std::thread::scope(|scope| {
            let (end, ended) = mpsc::channel::<()>();
            scope.spawn(move || {
                while ended.recv_timeout(BLOCK_TIME) == Err(RecvTimeoutError::Timeout) {
                    self.mine(1);
                }
            });
            let result = work();
            drop(end);
            result
        })
    }

    /// The pending transactions.
    pub fn waiting(&self) -> Vec<TxHash> {
        let block = self.call("eth_getBlockByNumber", json!(["pending", false]));
        let hashes = block["transactions"].as_array().unwrap();
        hashes.iter().map(|hash| hash.as_str().unwrap().parse().unwrap()).collect()
    }

    /// Waits until this many transactions are pending.
    pub fn wait_for_waiting(&self, count: usize) -> Vec<TxHash> {
        loop {
            let waiting = self.waiting();
            if waiting.len() >= count {
                return waiting;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Pads bytes with leading zeros to 32.
pub fn word(bytes: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word[32 - bytes.len()..].copy_from_slice(bytes);
    word
}

/// Hexadecimal digits with `0x`.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// The contract's code, compiled once per process.
fn code() -> &'static str {
    static CODE: OnceLock<String> = OnceLock::new();
    CODE.get_or_init(|| Script::start("compile.mjs", &[]).line())
}
