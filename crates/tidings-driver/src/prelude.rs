//! The words in which an application and its node talk: what every adapter re-exports.

#[cfg(feature = "encryption")]
pub use crate::KeyError;
pub use crate::{BindError, CommandError, Handle, JoinFailed, LookupError, look_up, services};
pub use bytes::Bytes;
#[cfg(feature = "memberlist")]
pub use tidings::Memberlist;
pub use tidings::{
    BroadcastError, BroadcastKey, ClusterName, Config, ConfigBuilder, ConfigError, Event,
    ExchangeError, Failure, Incarnation, InvalidBroadcastKey, InvalidName, JoinError, Member, Meta,
    NodeId, Options, Phase, Rejected, SeedFailure, SendError, Services, State, Stats, Target,
    TargetError, TooLong, Via, Wire,
};
#[cfg(feature = "encryption")]
pub use tidings::{Cipher, InvalidKey, Key, KeyId, Keyring, KeyringError, Plaintext};
pub use tidings_record::{Limits, RecordError};
