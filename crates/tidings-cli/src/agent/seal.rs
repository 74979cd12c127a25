//! Keys on their way from one agent to another, encrypted for the receiver alone.
//!
//! The messages of the cluster are encrypted already, but a flight recorder has them in plaintext,
//! at both ends. So the receiver makes a key pair for one use, and the sender encrypts with X25519,
//! HKDF-SHA256 and ChaCha20-Poly1305. Both private keys come from the operating system, not from
//! the generators of the node, which a recording has, and neither is stored or sent.

use data_encoding::HEXLOWER;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::rand::SystemRandom;
use std::collections::VecDeque;
use zeroize::Zeroizing;

/// The key pairs that an agent has made for keys to come, the oldest first.
#[derive(Default)]
pub(super) struct Offers(VecDeque<(String, EphemeralPrivateKey)>);

impl Offers {
    /// Makes a key pair for one use, and returns its public key in hexadecimal.
    pub(super) fn offer(&mut self) -> Result<String, String> {
        let (public, private) = key_pair()?;
        if self.0.len() == MAX_OFFERS {
            self.0.pop_front();
        }
        self.0.push_back((public.clone(), private));
        Ok(public)
    }

    /// Decrypts a key. The private key is gone afterwards: no message is opened twice.
    pub(super) fn open(
        &mut self,
        offer: &str,
        public: &str,
        sealed: &str,
    ) -> Result<Zeroizing<String>, String> {
        let found = self.0.iter().position(|(known, _)| known == offer);
        let (offer, private) = found.and_then(|at| self.0.remove(at)).ok_or("no such offer")?;
        let key = agree(private, public, [public, &offer])?;
        let mut bytes = Zeroizing::new(decode(sealed)?);
        let text = key.open_in_place(nonce(), Aad::empty(), &mut bytes);
        let text = text.map_err(|_| "the key cannot be decrypted")?;
        let text = std::str::from_utf8(text).map_err(|_| "the key is no text")?;
        Ok(Zeroizing::new(text.to_owned()))
    }
}

/// Encrypts the text of a key for the agent that made an offer; returns the sender's public key and
/// the ciphertext, in hexadecimal.
pub(super) fn seal(offer: &str, text: &str) -> Result<(String, String), String> {
    let (public, private) = key_pair()?;
    let key = agree(private, offer, [&public, offer])?;
    // Room for the tag: a buffer that grows would leave a copy of the text in memory.
    let mut bytes = Vec::with_capacity(text.len() + CHACHA20_POLY1305.tag_len());
    bytes.extend_from_slice(text.as_bytes());
    let sealed = key.seal_in_place_append_tag(nonce(), Aad::empty(), &mut bytes);
    sealed.map_err(|_| "the key cannot be encrypted")?;
    Ok((public, HEXLOWER.encode(&bytes)))
}

fn key_pair() -> Result<(String, EphemeralPrivateKey), String> {
    let failed = |_| "the operating system gives no random bytes".to_owned();
    let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).map_err(failed)?;
    let public = private.compute_public_key().map_err(failed)?;
    Ok((HEXLOWER.encode(public.as_ref()), private))
}

/// The key for one message, bound to both public keys, the sender's first.
fn agree(
    private: EphemeralPrivateKey,
    peer: &str,
    [sender, receiver]: [&str; 2],
) -> Result<LessSafeKey, String> {
    let peer = UnparsedPublicKey::new(&X25519, decode(peer)?);
    let derive = |secret: &[u8]| {
        let info = [CONTEXT, sender.as_bytes(), receiver.as_bytes()];
        let secret = Salt::new(HKDF_SHA256, &[]).extract(secret);
        let key = secret.expand(&info, &CHACHA20_POLY1305).map(UnboundKey::from);
        key.map(LessSafeKey::new)
    };
    let key = agree_ephemeral(private, &peer, derive).and_then(|key| key);
    key.map_err(|_| "the public key is invalid".into())
}

/// Each key encrypts one message.
fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    HEXLOWER.decode(text.as_bytes()).map_err(|_| "invalid hexadecimal digits".into())
}

/// Keeps the keys of this protocol apart from those of any other.
const CONTEXT: &[u8] = b"tidings agent keys install 1";
/// The offers that wait for a key.
const MAX_OFFERS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_key_is_opened_once_and_only_as_it_was_sent() {
        let mut offers = Offers::default();
        let offer = offers.offer().unwrap();
        let (public, sealed) = seal(&offer, "a key").unwrap();
        assert!(!sealed.contains(&HEXLOWER.encode(b"a key")));
        assert_eq!(*offers.open(&offer, &public, &sealed).unwrap(), "a key");
        assert_eq!(offers.open(&offer, &public, &sealed).unwrap_err(), "no such offer");

        let offer = offers.offer().unwrap();
        let (public, sealed) = seal(&offer, "a key").unwrap();
        let last = if sealed.ends_with('0') { "1" } else { "0" };
        let changed = format!("{}{last}", &sealed[..sealed.len() - 1]);
        let error = offers.open(&offer, &public, &changed).unwrap_err();
        assert_eq!(error, "the key cannot be decrypted");
    }

    #[test]
    fn offers_that_nobody_takes_are_bounded_in_number() {
        let mut offers = Offers::default();
        (0..100).for_each(|_| drop(offers.offer().unwrap()));
        assert_eq!(offers.0.len(), MAX_OFFERS);
    }
}
