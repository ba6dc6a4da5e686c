//! Runs the replay server in a process of its own: `bench-server [ROOT]`. It prints its URL and serves until its
//! standard input ends. If `ROOT` is given, the server speaks TLS and writes its root certificate to this path.
#![allow(clippy::expect_used, reason = "a bench that fails should stop")]

use std::io::Read as _;

use crustocean_bench::replay;
use crustocean_bench::tls::Authority;

fn main() {
    let url = match std::env::args_os().nth(1) {
        None => replay::start(),
        Some(root) => {
            let authority = Authority::new();
            std::fs::write(root, authority.pem()).expect("a certificate");
            replay::start_tls(&authority.identity("localhost"))
        }
    };
    println!("{url}");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
