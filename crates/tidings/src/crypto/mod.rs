//! Keys, keyrings, and authenticated encryption.

pub(crate) mod aead;
pub(crate) mod cipher;
pub(crate) mod key;
pub(crate) mod keyring;
