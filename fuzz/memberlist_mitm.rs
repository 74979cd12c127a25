//! The target with a man in the middle, in memberlist's wire format.

#![allow(unreachable_pub)]

use crate::mitm;
use tidings::{ClusterName, ConfigBuilder, Key, Keyring, Memberlist, Plaintext, Wire};

/// Fuzzes three nodes of memberlist's format.
pub fn mitm(bytes: &[u8]) {
    mitm::play(bytes, &mitm::Format { dress, binds: false, malleable });
}

fn dress(config: ConfigBuilder, mode: u8) -> ConfigBuilder {
    let mut memberlist = Memberlist::new().with_compression(mode & 2 != 0);
    if mode & 4 != 0 {
        memberlist = memberlist.with_label(ClusterName::new(LABEL).expect("a good name"));
    }
    let key = Key::memberlist(&[7; 32][..16 + 16 * usize::from(mode & 1)]).expect("a good length");
    config.wire(Wire::Memberlist(memberlist)).encryption(Keyring::new(key), Plaintext::Refused)
}

/// The byte for the version of the encryption is not authenticated: version 0, which the nodes do
/// not send, has padding.
fn malleable(datagram: &[u8]) -> bool {
    let inner = match datagram {
        [0xf4, len, rest @ ..] => rest.get(usize::from(*len)..).unwrap_or_default(),
        datagram => datagram,
    };
    inner.first() == Some(&0)
}

const LABEL: &str = "lab";
