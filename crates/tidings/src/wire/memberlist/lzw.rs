//! LZW as memberlist uses it: GIF's variant, lowest bits first, with literals of 8 bits.

use crate::stats::Reject;
use alloc::vec::Vec;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use weezl::BitOrder;
use weezl::LzwStatus;
use weezl::decode::Decoder;

/// Appends `data` compressed to `out`: the same bytes as Go's `compress/lzw`.
pub(crate) fn compress(data: &[u8], out: &mut Vec<u8>) {
    let mut bits = BitWriter { out, pending: 0, count: 0 };
    let mut table = Table::new(data.len());
    bits.push(CLEAR, table.width);
    let Some((&first, rest)) = data.split_first() else { return bits.end(table.width) };
    let mut code = u16::from(first);
    for &byte in rest {
        let next = table.highest + 1;
        match table.codes.entry(u32::from(code) << 8 | u32::from(byte)) {
            Entry::Occupied(longer) => code = *longer.get(),
            Entry::Vacant(sequence) => {
                sequence.insert(next);
                bits.push(code, table.width);
                table.count(&mut bits);
                code = byte.into();
            }
        }
    }
    bits.push(code, table.width);
    table.count(&mut bits);
    bits.end(table.width);
}

/// Appends `data` decompressed to `out`.
///
/// # Errors
///
/// [`Reject::Malformed`] if `data` is not LZW or has no end code; [`Reject::Oversized`] if the
/// output exceeds `limit` bytes.
pub(crate) fn decompress(data: &[u8], limit: usize, out: &mut Vec<u8>) -> Result<(), Reject> {
    let mut decoder = Decoder::new(BitOrder::Lsb, 8);
    let (mut data, begun) = (data, out.len());
    let mut chunk = [0; 2048];
    loop {
        let step = decoder.decode_bytes(data, &mut chunk);
        if out.len() - begun + step.consumed_out > limit {
            return Err(Reject::Oversized);
        }
        out.extend_from_slice(&chunk[..step.consumed_out]);
        data = &data[step.consumed_in..];
        match step.status {
            Ok(LzwStatus::Done) => return Ok(()),
            Ok(LzwStatus::Ok) => {}
            // `NoProgress`: the data ends without an end code.
            Ok(LzwStatus::NoProgress) | Err(_) => return Err(Reject::Malformed),
        }
    }
}

/// The codes of sequences longer than a byte.
struct Table {
    /// Keyed by the code of all bytes but the last, and that byte in the lowest bits.
    codes: HashMap<u32, u16, foldhash::fast::FixedState>,
    highest: u16,
    width: u8,
}

impl Table {
    /// An empty table for data of this length.
    fn new(len: usize) -> Self {
        let hasher = foldhash::fast::FixedState::with_seed(0);
        let codes = HashMap::with_capacity_and_hasher(len.min((LAST - END).into()), hasher);
        Self { codes, highest: END, width: 9 }
    }

    /// Counts one more code; a table that is full then starts anew.
    fn count(&mut self, bits: &mut BitWriter<'_>) {
        self.highest += 1;
        if self.highest == 1 << self.width {
            self.width += 1;
        }
        if self.highest == LAST {
            bits.push(CLEAR, self.width);
            self.codes.clear();
            (self.highest, self.width) = (END, 9);
        }
    }
}

/// Writer of codes of variable width.
struct BitWriter<'a> {
    out: &'a mut Vec<u8>,
    pending: u32,
    count: u8,
}

impl BitWriter<'_> {
    fn push(&mut self, code: u16, width: u8) {
        self.pending |= u32::from(code) << self.count;
        self.count += width;
        while self.count >= 8 {
            self.out.push(self.pending as u8);
            self.pending >>= 8;
            self.count -= 8;
        }
    }

    fn end(&mut self, width: u8) {
        self.push(END, width);
        if self.count > 0 {
            self.out.push(self.pending as u8);
        }
    }
}

const CLEAR: u16 = 256;
const END: u16 = 257;
/// The code at which the table is full: the greatest of 12 bits.
const LAST: u16 = 4095;

#[cfg(test)]
mod tests {
    use super::*;
    use data_encoding::HEXLOWER;
    use proptest::prelude::*;

    fn compressed(data: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        compress(data, &mut out);
        out
    }

    fn decompressed(data: &[u8], limit: usize) -> Result<Vec<u8>, Reject> {
        let mut out = Vec::new();
        decompress(data, limit, &mut out).map(|()| out)
    }

    #[test]
    fn compression_gives_the_same_bytes_as_go() {
        for (data, expected) in [
            (&b""[..], "000302"),
            (&[b'a'; 64], "00c3081c48b0a0c18308132a4c1810"),
            (b"\x08\x81\xaaUserMsgLen\x02hi", "0011045255654e19394de69c6152c68d0034690202"),
        ] {
            assert_eq!(HEXLOWER.encode(&compressed(data)), expected);
            let expected = HEXLOWER.decode(expected.as_bytes()).unwrap();
            assert_eq!(decompressed(&expected, 64).as_deref(), Ok(data));
        }
    }

    #[test]
    fn output_beyond_the_limit_is_rejected() {
        let bomb = compressed(&alloc::vec![0; 1 << 20]);
        assert!(bomb.len() < 2000);
        assert_eq!(decompressed(&bomb, (1 << 20) - 1), Err(Reject::Oversized));
        assert_eq!(decompressed(&bomb, 1 << 20).map(|out| out.len()), Ok(1 << 20));
    }

    #[test]
    fn truncated_data_is_rejected_and_bytes_after_the_end_are_ignored() {
        let whole = compressed(b"hello hello hello");
        for len in 0..whole.len() {
            assert_eq!(decompressed(&whole[..len], 100), Err(Reject::Malformed), "{len}");
        }
        let more = [&whole[..], b"trailing"].concat();
        assert_eq!(decompressed(&more, 100).as_deref(), Ok(&b"hello hello hello"[..]));
    }

    #[test]
    fn a_leading_clear_is_not_needed_and_an_unassigned_code_is_rejected() {
        // 'a', 258 (which is just being assigned: "aa"), end.
        let pack = |codes: &[u16]| {
            let mut out = Vec::new();
            let mut bits = BitWriter { out: &mut out, pending: 0, count: 0 };
            codes.iter().for_each(|&code| bits.push(code, 9));
            bits.end(9);
            out
        };
        assert_eq!(decompressed(&pack(&[97, 258]), 9).as_deref(), Ok(&b"aaa"[..]));
        assert_eq!(decompressed(&pack(&[CLEAR, 97, 259]), 9), Err(Reject::Malformed));
    }

    proptest! {
        #[test]
        fn data_is_decompressed_as_it_was_through_many_tables(
            seed: u64,
            len in 0..100_000usize,
            letters in 1..256u64,
        ) {
            let mut state = seed;
            let data: Vec<u8> = (0..len).map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                ((state >> 33) % letters) as u8
            }).collect();
            prop_assert_eq!(decompressed(&compressed(&data), len), Ok(data));
        }

        #[test]
        fn no_bytes_make_it_panic_or_exceed_its_limit(
            bytes in prop::collection::vec(any::<u8>(), 0..500),
            limit in 0..5000usize,
        ) {
            let mut out = Vec::new();
            let _ = decompress(&bytes, limit, &mut out);
            prop_assert!(out.len() <= limit);
        }
    }
}
