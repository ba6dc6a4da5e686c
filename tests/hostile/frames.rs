//! Hostile WebSocket frames: rows B1, B2 and B7 to B13.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::common::hostile::{announce, each, frame, lost_after, lost_within, read_until_closed, survives};
use crate::common::{Conn, Received, SOON, watchdog};
use crustocean::Event;

const LIMIT: Duration = Duration::from_secs(180);
const PATIENT: Duration = Duration::from_secs(20);

/// The close code of the client.
fn close_code(conn: &mut Conn) -> Option<u16> {
    loop {
        match conn.recv(SOON) {
            Received::Close(code) => return code,
            Received::Gone | Received::Nothing => return None,
            _ => {}
        }
    }
}

/// As [`lost_after`]; also returns the client's close code.
fn lost_with_code(attack: impl Fn(&mut Conn) + Send + Sync + 'static) -> (String, String, Option<u16>) {
    let (tell, told) = mpsc::channel();
    let loss = lost_after(move |conn| {
        attack(conn);
        let _ = tell.send(close_code(conn));
    });
    (loss.reason.to_string(), loss.detail, told.recv_timeout(SOON).unwrap())
}

#[test]
fn b01_a_message_over_the_limit() {
    let _watchdog = watchdog(LIMIT);
    // Announced, but not sent.
    let (reason, detail, code) = lost_with_code(|conn| {
        conn.send_raw_bytes(&announce((16 << 20) + 1));
    });
    assert_eq!((&*reason, code), ("transport error", Some(1009)), "{detail}");
    // A length that overflows every integer type.
    let (reason, _, code) = lost_with_code(|conn| {
        conn.send_raw_bytes(&announce(u64::MAX));
    });
    assert_eq!((&*reason, code), ("transport error", Some(1009)));
}

#[test]
fn b01_fragments_over_the_limit_and_a_message_just_within_it() {
    let _watchdog = watchdog(LIMIT);
    let loss = lost_after(|conn| {
        let part = vec![b'x'; 1 << 20];
        conn.send_raw_bytes(&frame(0x01, b"4"));
        for _ in 0..17 {
            conn.send_raw_bytes(&frame(0x00, &part));
        }
    });
    assert_eq!(loss.reason, "transport error", "{}", loss.detail);
    let events = survives(|conn| {
        let text = "x".repeat((16 << 20) - 20);
        conn.send_text(format!("42[\"big\",\"{text}\"]"));
    });
    assert!(matches!(&events[..], [Event::Other(raw)] if raw.name() == "big"));
}

#[test]
fn b02_a_drip_of_a_frame_does_not_keep_the_link_alive() {
    let _watchdog = watchdog(LIMIT);
    let started = Instant::now();
    let loss = lost_within(SOON, Duration::from_secs(2), |conn| {
        conn.send_raw_bytes(&announce(1000));
        while conn.send_raw_bytes(b"x") {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(loss.reason, "ping timeout", "{}", loss.detail);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[test]
fn b02_small_fragments_that_never_end() {
    let _watchdog = watchdog(LIMIT);
    let loss = lost_within(SOON, Duration::from_secs(2), |conn| {
        conn.send_raw_bytes(&frame(0x01, b"4"));
        while conn.send_raw_bytes(&frame(0x00, b"2")) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(loss.reason, "ping timeout", "{}", loss.detail);
}

#[test]
fn b02_a_large_message_that_takes_longer_than_the_silence_arrives() {
    let _watchdog = watchdog(LIMIT);
    // The silence limit is 2 s. The message takes 3 s and arrives steadily.
    let loss = lost_within(PATIENT, Duration::from_secs(2), |conn| {
        let message = frame(0x81, format!("42[\"big\",\"{}\"]", "x".repeat(60_000)).as_bytes());
        for part in message.chunks(2_000) {
            conn.send_raw_bytes(part);
            std::thread::sleep(Duration::from_millis(100));
        }
        // Then the server sends nothing, which the agent notices as usual.
    });
    assert!(matches!(&loss.before[..], [Event::Other(raw)] if raw.name() == "big"), "{loss:?}");
    assert_eq!(loss.reason, "ping timeout", "{}", loss.detail);
}

#[test]
fn b07_rsv_bits_and_compressed_frames() {
    let _watchdog = watchdog(LIMIT);
    each(&[0xc1u8, 0xa1, 0x91, 0xf2, 0xc9], |first| {
        let first = *first;
        let (reason, detail, code) = lost_with_code(move |conn| {
            conn.send_raw_bytes(&frame(first, b"42[\"x\"]"));
        });
        assert_eq!((&*reason, code), ("transport error", Some(1002)), "{detail}");
        assert!(!detail.contains("EIO"), "{detail}");
    });
}

#[test]
fn b08_an_http_answer_inside_the_websocket() {
    let _watchdog = watchdog(LIMIT);
    let loss = lost_after(|conn| {
        conn.send_raw_bytes(
            b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-type: text/html\r\n\
              Content-Length: 11\r\n\r\nBad request",
        );
    });
    assert_eq!(loss.reason, "transport error");
    assert!(loss.detail.contains("wrong EIO version?"), "{}", loss.detail);
}

#[test]
fn b09_frames_that_break_the_rules() {
    let _watchdog = watchdog(LIMIT);
    let cases = [
        // Masked by a server.
        b"\x81\x81MASKa".to_vec(),
        // Opcodes that do not exist.
        frame(0x83, b"x"),
        frame(0x8b, b"x"),
        // A control frame that is too long, and one in pieces.
        frame(0x89, &[0; 126]),
        frame(0x09, b"x"),
        // A continuation without a message, and a new message within another one.
        frame(0x80, b"x"),
        [frame(0x01, b"a"), frame(0x81, b"b")].concat(),
    ];
    each(&cases, |bytes| {
        let bytes = bytes.clone();
        let (reason, detail, code) = lost_with_code(move |conn| {
            conn.send_raw_bytes(&bytes);
        });
        assert_eq!((&*reason, code), ("transport error", Some(1002)), "{detail}");
    });
}

#[test]
fn b10_text_that_is_not_utf8() {
    let _watchdog = watchdog(LIMIT);
    let cases = [
        frame(0x81, b"42[\"\xff\"]"),
        frame(0x81, b"42[\"\xed\xa0\x80\"]"),
        // Cut in the middle of a character; the second half never comes.
        [frame(0x01, b"42[\"\xf0\x9f"), frame(0x80, b"\"]")].concat(),
        // A close frame after it changes nothing.
        [frame(0x81, b"4\xff"), frame(0x88, b"\x03\xe8")].concat(),
    ];
    each(&cases, |bytes| {
        let bytes = bytes.clone();
        let (reason, detail, code) = lost_with_code(move |conn| {
            conn.send_raw_bytes(&bytes);
        });
        assert_eq!((&*reason, code), ("parse error", Some(1007)), "{detail}");
    });
}

#[test]
fn b11_an_end_in_the_middle_of_a_frame() {
    let _watchdog = watchdog(LIMIT);
    let cases: [&[u8]; 4] = [b"", b"\x81", b"\x81\x0842[\"x\"", b"\x01\x0742[\"x\"]"];
    each(&cases, |bytes| {
        let bytes = bytes.to_vec();
        let loss = lost_after(move |conn| {
            conn.send_raw_bytes(&bytes);
            let _ = conn.stream().shutdown(std::net::Shutdown::Both);
        });
        assert_eq!(loss.reason, "transport close", "{}", loss.detail);
        assert!(loss.before.is_empty(), "half a message is none: {:?}", loss.before);
    });
}

#[test]
fn b12_odd_close_frames() {
    let _watchdog = watchdog(LIMIT);
    let cases: [(&[u8], &str); 7] = [
        (b"", "without a code"),
        (b"\x03\xe8", "1000"),
        (b"\x03\xe9going away", "1001 going away"),
        (b"\x00\x07", "7"),
        (b"\xff\xff", "65535"),
        (b"\x03\xf3\xff\xfe", "1011"),
        (b"\x03", "without a code"),
    ];
    each(&cases, |(payload, said)| {
        let payload = payload.to_vec();
        let loss = lost_after(move |conn| {
            conn.send_raw_bytes(&frame(0x88, &payload));
            read_until_closed(conn, Duration::from_millis(500));
        });
        assert_eq!(loss.reason, "transport close", "{}", loss.detail);
        assert!(loss.detail.contains(said), "{}", loss.detail);
    });
}

#[test]
fn t88_the_close_code_of_the_server_is_told() {
    let _watchdog = watchdog(LIMIT);
    let loss = lost_after(|conn| conn.close(1009, "too big"));
    assert_eq!(loss.reason, "transport close");
    assert!(loss.detail.contains("1009 too big"), "{}", loss.detail);
}
