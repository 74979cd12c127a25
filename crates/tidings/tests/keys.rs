//! Keys leave the memory of the process when they are removed; the test looks for them there.
#![cfg(all(feature = "encryption", target_os = "linux"))]

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use tidings::{Cipher, ClusterName, Config, Instant, Key, Keyring, Node, NodeId, Plaintext};
#[cfg(feature = "memberlist")]
use tidings::{Memberlist, Wire};

#[test]
fn a_removed_key_is_nowhere_in_memory() {
    for cipher in [Cipher::Aes256Gcm, Cipher::ChaCha20Poly1305] {
        assert_wiped(32, |secret| Key::new(cipher, secret.try_into().unwrap()));
    }
    #[cfg(feature = "memberlist")]
    for len in [16, 24, 32] {
        assert_wiped(len, |secret| Key::memberlist(secret).unwrap());
    }
}

/// Replaces the key with which a node started.
fn assert_wiped(len: usize, key: impl Fn(&[u8]) -> Key) {
    let [first, second] = [1, 2].map(|n| {
        let mut secret: Vec<u8> = (0..len).map(|at| masked(n, at) ^ MASK).collect();
        let key = key(&secret);
        secret.fill(0);
        key
    });
    let (cluster, id) = (ClusterName::new("test").unwrap(), NodeId::new("n0").unwrap());
    let config = Config::local(cluster, id, "10.0.0.1:7946".parse().unwrap()).to_builder();
    #[cfg(feature = "memberlist")]
    let config = match first.cipher() {
        Cipher::Memberlist => config.wire(Wire::Memberlist(Memberlist::new())),
        _ => config,
    };
    let config = config.encryption(Keyring::new(first), Plaintext::Refused).build().unwrap();
    let mut node = Node::new(config, [7; 32], Instant::ZERO);
    assert!(in_memory(1, len) > 0 && in_memory(2, len) > 0, "the test sees them");

    let keyring = node.keyring_mut().unwrap();
    let first = keyring.primary().clone();
    keyring.add(second.clone()).unwrap();
    keyring.use_key(&second).unwrap();
    keyring.remove(&first).unwrap();
    drop((first, second));
    assert_eq!(in_memory(1, len), 0, "a removed key of {len} bytes");
    assert!(in_memory(2, len) > 0);
    drop(node);
    assert_eq!(in_memory(2, len), 0, "the keys of a node that ended");
}

/// A byte of a secret, in a form in which the secret is not in the test's own memory.
fn masked(secret: usize, at: usize) -> u8 {
    (at * 37 + secret * 101 + at * at * 11) as u8
}

const MASK: u8 = 0xa5;

/// The number of places with a secret in the memory of this process, without this thread's stack:
/// what calls leave there is overwritten by later ones.
fn in_memory(secret: usize, len: usize) -> usize {
    let mut buf = vec![0; 1 << 16];
    let own = [(&raw const secret).addr(), buf.as_ptr().addr()];
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut found = 0;
    for line in fs::read_to_string("/proc/self/maps").unwrap().lines() {
        let (range, rest) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|hex| usize::from_str_radix(hex, 16).unwrap());
        if !rest.starts_with("rw") || (start..end).contains(&own[0]) {
            continue;
        }
        let mut at = start;
        while at < end {
            // Windows overlap, so that no secret is cut.
            let want = buf.len().min(end - at);
            memory.seek(SeekFrom::Start(at as u64)).unwrap();
            let Ok(()) = memory.read_exact(&mut buf[..want]) else { break };
            let is_secret = |window: &[u8]| {
                window.iter().enumerate().all(|(at, byte)| byte ^ MASK == masked(secret, at))
            };
            for (offset, window) in buf[..want].windows(len).enumerate() {
                // Not what this function itself read.
                let here = at + offset;
                let reads_itself = (own[1]..own[1] + buf.len()).contains(&here);
                found += usize::from(!reads_itself && is_secret(window));
            }
            at += if want == buf.len() { want - len } else { want };
        }
        buf.fill(0);
    }
    found
}
