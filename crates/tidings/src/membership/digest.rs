//! Digests: hashes of the membership table, equal on nodes whose tables agree.

use crate::member::{ClusterName, Member, NodeId};
use core::hash::Hasher;
use core::net::IpAddr;
use siphasher::sip::SipHasher13;

/// Hash function for members, the same on every node of a cluster and on every platform.
///
/// SipHash-1-3 under a key from the cluster's name. The digest of several members is the sum of
/// theirs: it does not depend on their order, and a change costs one subtraction and one addition.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Digester(SipHasher13);

impl Digester {
    pub(crate) fn new(cluster: &ClusterName) -> Self {
        let mut hasher = SipHasher13::new();
        hasher.write(cluster.as_str().as_bytes());
        Self(SipHasher13::new_with_keys(hasher.finish(), 0))
    }

    /// A member's place: the hash of its name. Ranges of members are ranges of places.
    pub(crate) fn place(&self, id: &NodeId) -> u64 {
        let mut hasher = self.0;
        hasher.write(id.as_str().as_bytes());
        hasher.finish()
    }

    /// Digest of a member that is present: name, address, incarnation and metadata.
    ///
    /// Suspicions are not included: they come and go, and nodes need not agree on them.
    pub(crate) fn member(&self, member: &Member) -> u64 {
        let mut hasher = self.0;
        hasher.write(&member.incarnation().generation.to_le_bytes());
        hasher.write(&member.incarnation().number.to_le_bytes());
        match member.addr().ip() {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            IpAddr::V6(ip) => hasher.write(&ip.octets()),
        }
        hasher.write(&member.addr().port().to_le_bytes());
        let id = member.id().as_str().as_bytes();
        hasher.write(&[id.len() as u8]);
        hasher.write(id);
        hasher.write(member.meta());
        hasher.finish()
    }
}

/// The digest in four bytes, as pings and acks carry it.
pub(crate) fn short(digest: u64) -> u32 {
    (digest ^ (digest >> 32)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incarnation::Incarnation;
    use crate::member::Meta;

    fn member(name: &str, addr: &str, number: u64, meta: &str) -> Member {
        let (id, incarnation) = (NodeId::new(name).unwrap(), Incarnation { generation: 7, number });
        Member::new(id, addr.parse().unwrap(), incarnation, Meta::from(meta))
    }

    #[test]
    fn a_digest_is_the_same_on_every_platform() {
        let digester = Digester::new(&ClusterName::new("test").unwrap());
        let member = member("n1", "10.0.0.1:7946", 3, "meta");
        assert_eq!(digester.place(member.id()), PLACE);
        assert_eq!(digester.member(&member), DIGEST);
    }

    const PLACE: u64 = 10_535_182_896_602_528_375;
    const DIGEST: u64 = 15_860_205_402_105_132_705;

    #[test]
    fn all_that_a_member_announces_is_in_its_digest_and_a_suspicion_is_not() {
        let digester = Digester::new(&ClusterName::new("test").unwrap());
        let digest = |member: &Member| digester.member(member);
        let first = member("n1", "10.0.0.1:7946", 3, "meta");
        for other in [
            member("n2", "10.0.0.1:7946", 3, "meta"),
            member("n1", "10.0.0.2:7946", 3, "meta"),
            member("n1", "10.0.0.1:7947", 3, "meta"),
            member("n1", "10.0.0.1:7946", 4, "meta"),
            member("n1", "10.0.0.1:7946", 3, "other"),
        ] {
            assert_ne!(digest(&first), digest(&other), "{other:?}");
        }
        let mut suspect = first.clone();
        suspect.state = crate::State::Suspect;
        assert_eq!(digest(&first), digest(&suspect));
    }
}
