//! Decompresses gzip (RFC 1952).
//!
//! `miniz_oxide` decompresses the DEFLATE data. The frame around the data is read here: flate2 reads it, too, but brings
//! three crates and 27 kB for the checksum.

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// The least and the most that the output grows at a time.
const LEAST_GROWTH: usize = 4 << 10;
const MOST_GROWTH: usize = 1 << 20;

// The flags of a member's header.
const HEADER_SUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;

/// Why there is no complete output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    NotGzip,
    TooLarge,
}

/// Decompresses all members of a gzip file and appends the output to `whole`, which then has at most `limit` bytes. If
/// this fails, `whole` has the output up to there.
pub(super) fn unpack(packed: &[u8], limit: usize, whole: &mut Vec<u8>) -> Result<(), Failure> {
    let mut state = Box::<DecompressorOxide>::default();
    let mut rest = packed;
    while !rest.is_empty() {
        let start = whole.len();
        let data = behind_header(rest).ok_or(Failure::NotGzip)?;
        let behind = inflate(&mut state, data, limit, whole)?;
        let (&trailer, next) = behind.split_first_chunk::<8>().ok_or(Failure::NotGzip)?;
        let member = whole.get(start..).unwrap_or_default();
        // The checksum and the length, 32 bits each.
        let expected = u64::from(crc32(member)) | (member.len() as u64) << 32;
        if u64::from_le_bytes(trailer) != expected {
            return Err(Failure::NotGzip);
        }
        rest = next;
    }
    Ok(())
}

/// The bytes behind the header of a member.
fn behind_header(member: &[u8]) -> Option<&[u8]> {
    // The other bytes are a time, a compression level and a system.
    let (&[0x1f, 0x8b, 8, flags, ..], mut rest) = member.split_first_chunk::<10>()? else { return None };
    if flags & EXTRA != 0 {
        let (length, behind) = rest.split_first_chunk()?;
        rest = behind.get(usize::from(u16::from_le_bytes(*length))..)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end + 1..)?;
        }
    }
    if flags & HEADER_SUM != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}

/// Decompresses the data of one member. Returns the bytes behind the data.
fn inflate<'p>(
    state: &mut DecompressorOxide,
    packed: &'p [u8],
    limit: usize,
    whole: &mut Vec<u8>,
) -> Result<&'p [u8], Failure> {
    state.init();
    let (start, mut end, mut rest) = (whole.len(), whole.len(), packed);
    loop {
        let growth = whole.len().clamp(LEAST_GROWTH, MOST_GROWTH);
        // One byte more than the limit shows that there is more.
        whole.resize((end + growth).min(limit + 1), 0);
        let into = whole.get_mut(start..).unwrap_or_default();
        let (status, used, made) =
            decompress(state, rest, into, end - start, TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF);
        rest = rest.get(used..).unwrap_or_default();
        end += made;
        whole.truncate(end.min(limit));
        match status {
            _ if end > limit => return Err(Failure::TooLarge),
            TINFLStatus::Done => return Ok(rest),
            TINFLStatus::HasMoreOutput if made > 0 => {}
            _ => return Err(Failure::NotGzip),
        }
    }
}

/// The checksum of gzip, by half bytes: faster than by bits, and smaller than by bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| half_byte(half_byte(sum ^ u32::from(*byte))))
}

fn half_byte(sum: u32) -> u32 {
    const SUMS: [u32; 16] = [
        0x0000_0000,
        0x1db7_1064,
        0x3b6e_20c8,
        0x26d9_30ac,
        0x76dc_4190,
        0x6b6b_51f4,
        0x4db2_6158,
        0x5005_713c,
        0xedb8_8320,
        0xf00f_9344,
        0xd6d6_a3e8,
        0xcb61_b38c,
        0x9b64_c2b0,
        0x86d3_d2d4,
        0xa00a_e278,
        0xbdbd_f21c,
    ];
    SUMS.get((sum & 15) as usize).copied().unwrap_or_default() ^ (sum >> 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `printf 'hello hello hello' | gzip -n`
    const HELLO: &[u8] = &[
        0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x90, 0, 0x80,
        0x88, 0xf9, 0xe5, 0x11, 0, 0, 0,
    ];

    fn unpacked(packed: &[u8], limit: usize) -> (String, Result<(), Failure>) {
        let mut whole = Vec::new();
        let result = unpack(packed, limit, &mut whole);
        (String::from_utf8(whole).unwrap(), result)
    }

    #[test]
    fn members_follow_each_other() {
        let hello = "hello hello hello";
        assert_eq!(unpacked(HELLO, 17), (hello.to_owned(), Ok(())));
        assert_eq!(unpacked(&HELLO.repeat(2), 34), (hello.repeat(2), Ok(())));
        assert_eq!(unpacked(HELLO, 16), ("hello hello hell".to_owned(), Err(Failure::TooLarge)));
        assert_eq!(unpacked(&HELLO.repeat(2), 20).1, Err(Failure::TooLarge));
        assert_eq!(unpacked(&[], 16), (String::new(), Ok(())));
    }

    #[test]
    fn every_part_of_a_header_is_skipped() {
        let (head, data) = HELLO.split_at(10);
        let mut member = head.to_vec();
        member[3] = EXTRA | NAME | COMMENT | HEADER_SUM;
        member.extend_from_slice(b"\x03\x00abcname\0comment\0\x12\x34");
        let length = member.len();
        member.extend_from_slice(data);
        assert_eq!(unpacked(&member, 100), ("hello hello hello".to_owned(), Ok(())));
        for end in 1..length {
            assert_eq!(unpacked(&member[..end], 100), (String::new(), Err(Failure::NotGzip)), "{end}");
        }
    }

    #[test]
    fn what_is_broken_is_an_error_and_keeps_what_came_before() {
        for end in 1..HELLO.len() {
            let (text, result) = unpacked(&HELLO[..end], 100);
            assert!("hello hello hello".starts_with(&text), "{text}");
            assert_eq!(result, Err(Failure::NotGzip), "{end}");
        }
        for at in [0, 1, 2, 20, 23, 24, 27] {
            let mut broken = HELLO.to_vec();
            broken[at] ^= 1;
            assert_eq!(unpacked(&broken, 100).1, Err(Failure::NotGzip), "{at}");
        }
        assert_eq!(unpacked(&[HELLO, b"x"].concat(), 100).1, Err(Failure::NotGzip));
        assert_eq!(unpacked(b"{\"not\":\"gzip\"}", 100).1, Err(Failure::NotGzip));
    }

    #[test]
    fn much_output_grows_in_steps() {
        // DEFLATE blocks of 65,535 bytes that are not compressed.
        let block = vec![b'x'; 65_535];
        let mut member = HELLO[..10].to_vec();
        for last in [0; 63].into_iter().chain([1]) {
            member.extend_from_slice(&[last, 0xff, 0xff, 0, 0]);
            member.extend_from_slice(&block);
        }
        let whole = block.repeat(64);
        member.extend_from_slice(&crc32(&whole).to_le_bytes());
        member.extend_from_slice(&(whole.len() as u32).to_le_bytes());
        assert!(unpacked(&member, whole.len()) == (String::from_utf8(whole.clone()).unwrap(), Ok(())));
        assert_eq!(unpacked(&member, whole.len() - 1).1, Err(Failure::TooLarge));
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }
}
