//! The items that every adapter re-exports: all types in its signatures, events and errors.

pub use crate::builder::Builder;
#[cfg(feature = "encryption")]
pub use crate::keys::KeyError;
pub use crate::{
    CommandError, DriverConfig, InvalidSource, JoinError, LookupError, Notice, Observer, Seed,
    SeedError, SeedSource, SetSeedsError, SnapshotDefect, SourceError, StartError,
};
pub use crate::{look_up, services};
pub use bytes::Bytes;
#[cfg(feature = "memberlist")]
pub use tidings::Memberlist;
pub use tidings::{
    BroadcastError, BroadcastKey, ClusterName, Config, ConfigBuilder, ConfigError, Done, Event,
    ExchangeError, Failure, ForceLeaveError, Incarnation, InvalidBroadcastKey, InvalidName,
    InvalidNetwork, IpNetwork, Member, Meta, Network, NodeId, OnNameTaken, Options, Phase, Refusal,
    Reject, Rejected, SeedFailure, SendError, Services, SetAddrError, State, Stats, Target,
    TargetError, Ticket, TooLong, Unsent, Via, Wire,
};
#[cfg(feature = "encryption")]
pub use tidings::{Cipher, InvalidKey, Key, KeyId, Keyring, KeyringError, Plaintext};
#[cfg(feature = "record")]
pub use tidings_record::{Limits, RecordError};
