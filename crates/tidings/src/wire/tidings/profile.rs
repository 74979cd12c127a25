//! Who a member is and what it says about itself, as bytes.

use crate::member::{Member, Meta, ProtocolVersions, State};
use crate::membership::claim::{Claim, Profile};
use crate::stats::Reject;
use crate::wire::codec::{put, take};
use crate::wire::is_reachable;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Appends who a member is and what it says about itself; whether its address is IPv6 is for the
/// caller to say beforehand.
pub(crate) fn encode_profile(buf: &mut Vec<u8>, member: &Member) {
    match member.addr().ip() {
        IpAddr::V4(ip) => buf.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => buf.extend_from_slice(&ip.octets()),
    }
    buf.extend_from_slice(&member.addr().port().to_le_bytes());
    let Member { id, incarnation, meta, .. } = member;
    put(buf, &(id, incarnation, meta.as_bytes()));
}

/// Takes a claim with a profile: the state is known already.
///
/// `None` is a claim that is well formed and that we do not take: at an address that no node can
/// have, or with too much metadata.
pub(crate) fn decode_profile(
    bytes: &mut &[u8],
    state: State,
    ipv6: bool,
    max_meta: usize,
) -> Result<Option<Claim>, Reject> {
    let ip = if ipv6 {
        IpAddr::V6(Ipv6Addr::from(take::<[u8; 16]>(bytes)?))
    } else {
        IpAddr::V4(Ipv4Addr::from(take::<[u8; 4]>(bytes)?))
    };
    let port = u16::from_le_bytes(take(bytes)?);
    let (id, incarnation, meta) = take::<(_, _, &[u8])>(bytes)?;
    let addr = SocketAddr::new(ip, port);
    if !is_reachable(addr) || meta.len() > max_meta {
        return Ok(None);
    }
    let profile =
        Some(Profile { addr, meta: Meta::new(meta), versions: ProtocolVersions::default() });
    Ok(Some(Claim { id, incarnation, state, profile }))
}
