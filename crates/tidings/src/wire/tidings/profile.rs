//! Encoding of a member's address, name, incarnation and metadata.

use crate::member::{Member, Meta, ProtocolVersions, State};
use crate::membership::claim::{Claim, Profile};
use crate::stats::Reject;
use crate::wire::codec::{decode, encode};
use crate::wire::is_reachable;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Appends a member's address, name, incarnation and metadata. The caller encodes whether the
/// address is IPv6 in the byte before.
pub(crate) fn encode_profile(buf: &mut Vec<u8>, member: &Member) {
    match member.addr().ip() {
        IpAddr::V4(ip) => buf.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => buf.extend_from_slice(&ip.octets()),
    }
    buf.extend_from_slice(&member.addr().port().to_le_bytes());
    let Member { id, incarnation, meta, .. } = member;
    encode(buf, &(id, incarnation, meta.as_bytes()));
}

/// Decodes a claim with address and metadata; its state was decoded before.
///
/// `told` is whether its sender was only told of it. `None` is a well-formed claim that is not
/// acceptable: with an address that is not [reachable](is_reachable), or with more than `max_meta`
/// bytes of metadata.
pub(crate) fn decode_profile(
    bytes: &mut &[u8],
    state: State,
    (ipv6, told): (bool, bool),
    max_meta: usize,
) -> Result<Option<Claim>, Reject> {
    let ip = if ipv6 {
        IpAddr::V6(Ipv6Addr::from(decode::<[u8; 16]>(bytes)?))
    } else {
        IpAddr::V4(Ipv4Addr::from(decode::<[u8; 4]>(bytes)?))
    };
    let port = u16::from_le_bytes(decode(bytes)?);
    let (id, incarnation, meta) = decode::<(_, _, &[u8])>(bytes)?;
    let addr = SocketAddr::new(ip, port);
    if !is_reachable(addr) || meta.len() > max_meta {
        return Ok(None);
    }
    let profile =
        Some(Profile { addr, meta: Meta::new(meta), versions: ProtocolVersions::default(), told });
    Ok(Some(Claim { id, incarnation, state, profile }))
}
