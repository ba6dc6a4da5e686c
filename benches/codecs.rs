//! Measures the codecs alone. They are private, so they are compiled only with `--cfg crustocean_bench`, which
//! `benches/run` sets.

#[cfg(not(crustocean_bench))]
fn main() {
    println!("the codecs are private: run them with RUSTFLAGS='--cfg crustocean_bench', or by benches/run");
}

#[cfg(crustocean_bench)]
fn main() {
    divan::main();
}

#[cfg(crustocean_bench)]
mod codecs {
    use crustocean::bench;
    use crustocean_bench::load::{self, Flood};
    use divan::Bencher;
    use divan::counter::{BytesCount, ItemsCount};
    use tungstenite::Utf8Bytes;

    /// Decodes the text of a frame, but not its JSON.
    #[divan::bench(args = [120, 2000])]
    fn decode_event(bencher: Bencher<'_, '_>, size: usize) {
        let frame = Utf8Bytes::from(load::packet(0, size));
        bencher.counter(BytesCount::of_str(&frame)).bench(|| bench::decode_event(&frame));
    }

    /// Writes a payload into a frame.
    #[divan::bench(args = [120, 2000])]
    fn encode_event(bencher: Bencher<'_, '_>, size: usize) {
        let payload = serde_json::json!({ "agencyId": crustocean_bench::ROOM, "content": "x".repeat(size) });
        bencher.bench(|| bench::encode_event("send-message", Some(7), &payload));
    }

    /// Reads a thousand WebSocket frames at once.
    #[divan::bench(args = [120, 2000])]
    fn take_frames(bencher: Bencher<'_, '_>, size: usize) {
        let flood = Flood::new(size);
        let bytes = flood.first(load::DISTINCT);
        bencher.counter(ItemsCount::new(load::DISTINCT)).bench(|| bench::take_frames(bytes));
    }

    /// Decodes the body of a poll with a hundred messages.
    #[divan::bench]
    fn decode_payload(bencher: Bencher<'_, '_>) {
        let packets: Vec<String> = (0..100).map(|n| load::packet(n, 120)).collect();
        let body = packets.join("\u{1e}");
        bencher.counter(ItemsCount::new(packets.len())).bench(|| bench::decode_payload(&body));
    }
}
