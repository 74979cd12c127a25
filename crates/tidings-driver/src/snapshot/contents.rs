//! What a snapshot says, and its bytes.

use crate::state::DriverState;
use serde::{Deserialize, Serialize};
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use tidings::{NodeId, Phase, State};

/// What a node remembers from one life to the next.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Contents {
    pub(crate) cluster: String,
    /// The node's own name.
    pub(crate) name: String,
    /// The generation of this life.
    pub(crate) generation: u64,
    /// Whether it left on purpose.
    pub(crate) left: bool,
    pub(crate) members: Vec<Known>,
    /// The addresses of its sources of seeds.
    pub(crate) seeds: Vec<SocketAddr>,
}

/// A member of the cluster.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Known {
    pub(crate) name: String,
    pub(crate) addr: SocketAddr,
    /// Whether it failed.
    pub(crate) lost: bool,
}

impl Contents {
    /// What a node knows now.
    pub(crate) fn of(state: &DriverState) -> Self {
        let (node, local) = (state.node(), state.node().local());
        let known = |lost| {
            move |member: &tidings::Member| Known {
                name: member.id().as_str().into(),
                addr: member.addr(),
                lost,
            }
        };
        // Whom others have only told of may not be there, or not be a member.
        let counts =
            |member: &&tidings::Member| member.id() != local.id() && node.is_validated(member.id());
        let others = || node.all_members().filter(counts);
        let is_lost = |member: &&tidings::Member| member.state() == State::Failed;
        let is_here =
            |member: &&tidings::Member| matches!(member.state(), State::Alive | State::Suspect);
        let (here, lost) =
            shares(others().filter(is_here).count(), others().filter(is_lost).count());
        let mut members: Vec<_> = others().filter(is_here).take(here).map(known(false)).collect();
        members.extend(others().filter(is_lost).take(lost).map(known(true)));
        let mut seeds = state.seeds().to_vec();
        // A zone is a number of this run of the system.
        seeds.retain(|addr| !has_zone(addr));
        // A node that has met nobody yet remembers what it came with.
        let last = state.last_life();
        if members.is_empty() {
            members.clone_from(&last.members);
        }
        if seeds.is_empty() {
            seeds.clone_from(&last.seeds);
        }
        Self {
            cluster: node.config().cluster().as_str().into(),
            name: local.id().as_str().into(),
            generation: local.incarnation().generation,
            left: node.phase() != Phase::Running,
            members,
            seeds,
        }
    }

    // ---- bytes ----

    /// The magic number, the version, the length, the contents, and the checksum of all of it.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let contents = postcard::to_allocvec(self).expect("all of its types can be encoded");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend((contents.len() as u64).to_le_bytes());
        bytes.extend(contents);
        bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
        bytes
    }

    /// Decodes a snapshot of the node with this name in this cluster.
    pub(crate) fn decode(bytes: &[u8], cluster: &str, name: &str) -> Result<Self, SnapshotDefect> {
        let contents = Self::decode_any(bytes)?;
        if contents.cluster != cluster {
            return Err(SnapshotDefect::OtherCluster { cluster: contents.cluster });
        }
        if contents.name != name {
            return Err(SnapshotDefect::OtherName { name: contents.name });
        }
        Ok(contents)
    }

    fn decode_any(bytes: &[u8]) -> Result<Self, SnapshotDefect> {
        let damaged = || SnapshotDefect::Damaged;
        let (rest, checksum) = bytes.split_last_chunk().ok_or_else(damaged)?;
        if crc32fast::hash(rest) != u32::from_le_bytes(*checksum) {
            return Err(damaged());
        }
        let rest = rest.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (version, rest) = rest.split_first_chunk().ok_or_else(damaged)?;
        let version = u16::from_le_bytes(*version);
        if version > VERSION {
            return Err(SnapshotDefect::Newer { version });
        }
        let (len, contents) = rest.split_first_chunk().ok_or_else(damaged)?;
        if version != VERSION || u64::from_le_bytes(*len) != contents.len() as u64 {
            return Err(damaged());
        }
        let (contents, rest) =
            postcard::take_from_bytes::<Self>(contents).map_err(|_| damaged())?;
        let named = |known: &Known| NodeId::foreign(&known.name).is_ok();
        if !rest.is_empty() || !contents.members.iter().all(named) {
            return Err(damaged());
        }
        Ok(contents)
    }
}

/// How many members that live and how many that were lost are kept, of so many.
fn shares(here: usize, lost: usize) -> (usize, usize) {
    let lost = lost.min((MAX_MEMBERS / 4).max(MAX_MEMBERS.saturating_sub(here)));
    (here.min(MAX_MEMBERS - lost), lost)
}

fn has_zone(addr: &SocketAddr) -> bool {
    matches!(addr, SocketAddr::V6(addr) if addr.scope_id() != 0)
}

/// The reason why a snapshot is not used.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SnapshotDefect {
    /// It is not a snapshot, or its checksum is wrong, or it is longer than any.
    Damaged,
    /// A newer version of this program wrote it.
    Newer {
        /// The version of its format.
        version: u16,
    },
    /// It is of a node in another cluster.
    OtherCluster {
        /// That cluster's name.
        cluster: String,
    },
    /// It is of a node with another name.
    OtherName {
        /// That node's name.
        name: String,
    },
}

impl fmt::Display for SnapshotDefect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("it is damaged"),
            Self::Newer { version } => {
                write!(f, "it has format {version}; this program reads up to {VERSION}")
            }
            Self::OtherCluster { cluster } => write!(f, "it is of the cluster {cluster:?}"),
            Self::OtherName { name } => write!(f, "it is of the node {name:?}"),
        }
    }
}

impl Error for SnapshotDefect {}

const MAGIC: &[u8] = b"tidings\x00snapshot";
/// The version of the format.
const VERSION: u16 = 1;
/// The largest number of members, of which those that were lost have at least a quarter.
const MAX_MEMBERS: usize = 4096;
/// The longest snapshot, in bytes: members with the longest names, and seeds.
pub(super) const MAX_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn contents() -> Contents {
        let known = |name: &str, lost| Known {
            name: name.into(),
            addr: "10.0.0.7:7946".parse().unwrap(),
            lost,
        };
        Contents {
            cluster: "shop".into(),
            name: "a".into(),
            generation: 7,
            left: false,
            members: vec![known("lost", true), known("b", false)],
            seeds: vec!["[2001:db8::7]:80".parse().unwrap()],
        }
    }

    fn addr() -> impl Strategy<Value = SocketAddr> {
        (any::<bool>(), any::<u128>(), any::<u16>()).prop_map(|(four, ip, port)| match four {
            true => SocketAddr::from(((ip as u32).to_be_bytes(), port)),
            false => SocketAddr::from((ip.to_be_bytes(), port)),
        })
    }

    fn any_contents() -> impl Strategy<Value = Contents> {
        let known = ("[a-zü]{1,80}", addr(), any::<bool>());
        let known = known.prop_map(|(name, addr, lost)| Known { name, addr, lost });
        let names = ("[a-z]{0,9}", "[a-z]{0,9}", any::<u64>(), any::<bool>());
        let lists = (prop::collection::vec(known, 0..40), prop::collection::vec(addr(), 0..40));
        (names, lists).prop_map(|((cluster, name, generation, left), (members, seeds))| Contents {
            cluster,
            name,
            generation,
            left,
            members,
            seeds,
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(contents in any_contents()) {
            let bytes = contents.encode();
            let decoded = Contents::decode(&bytes, &contents.cluster, &contents.name);
            prop_assert_eq!(decoded, Ok(contents));
        }

        #[test]
        fn any_bytes_are_decoded_without_a_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            checked in any::<bool>(),
        ) {
            let mut file = contents().encode();
            file.truncate(MAGIC.len() + 2);
            file.extend((bytes.len() as u64).to_le_bytes());
            file.extend(&bytes);
            if checked {
                file.extend(crc32fast::hash(&file).to_le_bytes());
            }
            drop(Contents::decode(&file, "shop", "a"));
            drop(Contents::decode(&bytes, "shop", "a"));
        }
    }

    #[test]
    fn every_damage_to_one_byte_and_every_truncation_is_found() {
        let bytes = contents().encode();
        for at in 0..bytes.len() {
            let cut = Contents::decode(&bytes[..at], "shop", "a");
            assert_eq!(cut, Err(SnapshotDefect::Damaged), "cut at {at}");
            for flip in 1..=255 {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let decoded = Contents::decode(&bytes, "shop", "a");
                assert_eq!(decoded, Err(SnapshotDefect::Damaged), "byte {at} ^ {flip}");
            }
        }
        let longer = [&bytes[..], b"\0"].concat();
        assert_eq!(Contents::decode(&longer, "shop", "a"), Err(SnapshotDefect::Damaged));
    }

    #[test]
    fn a_snapshot_of_somebody_else_or_of_a_newer_format_says_so() {
        let said = |bytes: &[u8], cluster, name| {
            Contents::decode(bytes, cluster, name).unwrap_err().to_string()
        };
        let bytes = contents().encode();
        assert_eq!(said(&bytes, "other", "a"), "it is of the cluster \"shop\"");
        assert_eq!(said(&bytes, "shop", "b"), "it is of the node \"a\"");
        let mut newer = bytes[..bytes.len() - 4].to_vec();
        newer[MAGIC.len()] += 1;
        newer.extend(crc32fast::hash(&newer).to_le_bytes());
        assert_eq!(said(&newer, "shop", "a"), "it has format 2; this program reads up to 1");
    }

    #[test]
    fn members_that_were_lost_have_at_least_a_quarter_of_the_room() {
        assert_eq!(shares(10, 20), (10, 20));
        assert_eq!(shares(100_000, 100_000), (3072, 1024));
        assert_eq!(shares(100_000, 7), (4089, 7));
        assert_eq!(shares(10, 100_000), (10, 4086));
        assert_eq!(shares(4000, 100_000), (3072, 1024));
    }

    #[test]
    fn the_longest_snapshot_is_read() {
        let addr = "[2001:db8:ffff:ffff:ffff:ffff:ffff:ffff]:65535".parse().unwrap();
        let known = Known { name: "x".repeat(NodeId::MAX_LEN), addr, lost: true };
        let mut longest = contents();
        longest.members = vec![known; MAX_MEMBERS];
        longest.seeds = vec![addr; crate::discovery::MAX_SEEDS];
        assert!((longest.encode().len() as u64) < MAX_BYTES);
    }
}
