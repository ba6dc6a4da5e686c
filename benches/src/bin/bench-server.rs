//! The replay server as a process of its own. Prints its URL and serves until its standard input ends.

use std::io::Read as _;

fn main() {
    println!("{}", crustocean_bench::replay::start());
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}
