//! The fuzz targets on a stable compiler: their corpora, mutations of them, and random bytes.

#[path = "../../../fuzz/craft.rs"]
mod craft;
#[cfg(feature = "eth")]
#[path = "../../../fuzz/ethereum.rs"]
mod ethereum;
#[path = "../../../fuzz/extreme.rs"]
mod extreme;
#[path = "../../tidings/tests/common/forge.rs"]
mod forge;
#[path = "../../../fuzz/harness.rs"]
mod harness;
#[cfg(feature = "memberlist")]
#[path = "../../tidings/tests/common/memberlist.rs"]
mod memberlist;
#[cfg(feature = "memberlist")]
#[path = "../../../fuzz/memberlist_craft.rs"]
mod memberlist_craft;
#[cfg(feature = "memberlist")]
#[path = "../../../fuzz/memberlist.rs"]
mod memberlist_harness;
#[cfg(all(feature = "encryption", feature = "memberlist"))]
#[path = "../../../fuzz/memberlist_mitm.rs"]
mod memberlist_mitm;
#[cfg(feature = "encryption")]
#[path = "../../../fuzz/mitm.rs"]
mod mitm;
#[path = "../../../fuzz/net.rs"]
mod net;

use proptest::prelude::*;
#[cfg(feature = "encryption")]
use std::collections::BTreeSet;
use std::path::Path;

/// All files of a target's corpus; there are some.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let files = std::fs::read_dir(corpus).unwrap();
    let mut files: Vec<_> =
        files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    files.sort();
    assert!(files.len() >= 5, "{} files for {target}", files.len());
    files
}

fn replay(target: &str, run: fn(&[u8])) {
    corpus(target).iter().for_each(|bytes| run(bytes));
}

#[test]
fn the_corpora_do_no_harm() {
    replay("datagram", harness::datagram);
    replay("stream", harness::stream);
    replay("inputs", harness::inputs);
    replay("replay", harness::replay);
    replay("craft", craft::craft);
    replay("extreme", extreme::extreme);
}

#[cfg(feature = "encryption")]
#[test]
fn the_corpus_of_the_man_in_the_middle_reaches_much_and_does_no_harm() {
    let reached: BTreeSet<_> =
        corpus("mitm").iter().flat_map(|bytes| mitm::reached(bytes)).collect();
    let all = ["rejected", "joined", "left", "delivered", "answered", "broadcast", "recovered"];
    for one in all {
        assert!(reached.contains(one), "{one} is not among {reached:?}");
    }
}

/// So many cases, or as many as `PROPTEST_CASES` says: `just fuzz-smoke` asks for more.
fn config() -> ProptestConfig {
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => ProptestConfig::default(),
        None => ProptestConfig::with_cases(400),
    }
}

/// True for a tenth of the cases, for targets with several nodes, which take longer. The number of
/// cases cannot say so, because `PROPTEST_CASES` overrides it.
fn rarely() -> impl Strategy<Value = bool> {
    (0..10_u8).prop_map(|n| n == 0)
}

/// A file of a target's corpus, some of whose bytes were replaced, left out or repeated.
fn mutated(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let change = (any::<prop::sample::Index>(), any::<u8>(), 0..4u8);
    (prop::sample::select(corpus(target)), prop::collection::vec(change, 0..6)).prop_map(
        |(mut bytes, changes)| {
            for (at, byte, how) in changes {
                let at = at.index(bytes.len() + 1);
                match how {
                    0 => bytes.insert(at, byte),
                    1 if at < bytes.len() => drop(bytes.remove(at)),
                    2 => bytes.extend_from_within(at..),
                    _ if at < bytes.len() => bytes[at] = byte,
                    _ => {}
                }
                bytes.truncate(1000);
            }
            bytes
        },
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_mutation_of_the_corpora_does_no_harm(
        datagram in mutated("datagram"),
        stream in mutated("stream"),
        inputs in mutated("inputs"),
        journal in mutated("replay"),
    ) {
        harness::datagram(&datagram);
        harness::stream(&stream);
        harness::inputs(&inputs);
        harness::replay(&journal);
    }

    #[test]
    fn any_operations_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        harness::inputs(&bytes);
    }

    #[test]
    fn any_messages_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        harness::datagram(&bytes);
        harness::stream(&bytes);
        harness::replay(&bytes);
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_typed_messages_do_no_harm(
        run in rarely(),
        craft in mutated("craft"),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if run {
            craft::craft(&craft);
            craft::craft(&bytes);
        }
    }

    #[test]
    fn any_values_at_the_ends_of_their_ranges_do_no_harm(
        run in rarely(),
        extreme in mutated("extreme"),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if run {
            extreme::extreme(&extreme);
            extreme::extreme(&bytes);
        }
    }
}

#[cfg(feature = "encryption")]
proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_man_in_the_middle_does_no_harm(
        run in rarely(),
        mitm in mutated("mitm"),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if run {
            mitm::mitm(&mitm);
            mitm::mitm(&bytes);
        }
    }
}

#[cfg(feature = "eth")]
mod ethereum_nodes {
    use super::{config, mutated, replay};
    use crate::ethereum;
    use proptest::prelude::*;

    #[test]
    fn ethereum_corpora_do_no_harm() {
        replay("eth_http", ethereum::http);
        replay("eth_ipc", ethereum::ipc);
        replay("eth_abi", ethereum::abi);
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn any_mutation_of_ethereum_corpora_does_no_harm(
            http in mutated("eth_http"),
            ipc in mutated("eth_ipc"),
            abi in mutated("eth_abi"),
        ) {
            ethereum::http(&http);
            ethereum::ipc(&ipc);
            ethereum::abi(&abi);
        }

        #[test]
        fn any_words_of_an_ethereum_contract_do_no_harm(
            words in prop::collection::vec(0_u8..0x90, 0..60),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            ethereum::abi(&words);
            ethereum::abi(&bytes);
        }
    }
}

#[cfg(feature = "memberlist")]
mod memberlist_format {
    use super::{config, mutated, rarely, replay};
    #[cfg(feature = "encryption")]
    use crate::memberlist_mitm::mitm;
    use crate::{memberlist_craft::craft, memberlist_harness as harness};
    use proptest::prelude::*;

    #[test]
    fn memberlists_corpora_do_no_harm() {
        replay("memberlist_datagram", harness::datagram);
        replay("memberlist_stream", harness::stream);
        replay("memberlist_inputs", harness::inputs);
        replay("memberlist_craft", craft);
        replay("memberlist_extreme", harness::extreme);
        #[cfg(feature = "encryption")]
        replay("memberlist_mitm", mitm);
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn any_mutation_of_memberlists_corpora_does_no_harm(
            datagram in mutated("memberlist_datagram"),
            stream in mutated("memberlist_stream"),
            inputs in mutated("memberlist_inputs"),
        ) {
            harness::datagram(&datagram);
            harness::stream(&stream);
            harness::inputs(&inputs);
        }

        #[test]
        fn any_operations_and_messages_of_memberlists_do_no_harm(
            inputs in prop::collection::vec(any::<u8>(), 0..600),
            bytes in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            harness::inputs(&inputs);
            harness::datagram(&bytes);
            harness::stream(&bytes);
        }
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn any_typed_messages_of_memberlists_do_no_harm(
            run in rarely(),
            typed in mutated("memberlist_craft"),
            values in mutated("memberlist_extreme"),
            bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            if run {
                craft(&typed);
                craft(&bytes);
                harness::extreme(&values);
                harness::extreme(&bytes);
            }
        }
    }

    #[cfg(feature = "encryption")]
    proptest! {
        #![proptest_config(config())]

        #[test]
        fn any_man_in_the_middle_of_memberlists_does_no_harm(
            run in rarely(),
            bytes in mutated("memberlist_mitm"),
        ) {
            if run {
                mitm(&bytes);
            }
        }
    }
}
