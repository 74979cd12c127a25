//! The fuzz targets, on a stable compiler: their corpora, and some bytes at random.

mod common;
#[path = "../../../fuzz/harness.rs"]
mod harness;

use common::forge;
use proptest::prelude::*;
use std::path::Path;

/// Replays all files of a target's corpus; there are some.
fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut count = 0;
    for file in std::fs::read_dir(corpus).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        run(&bytes);
        count += 1;
    }
    assert!(count >= 5, "{count} files for {target}");
}

#[test]
fn the_corpora_are_taken() {
    replay("datagram", harness::datagram);
    replay("stream", harness::stream);
    replay("inputs", harness::inputs);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_operations_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        harness::inputs(&bytes);
    }

    #[test]
    fn any_messages_are_taken(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        harness::datagram(&bytes);
        harness::stream(&bytes);
    }
}
