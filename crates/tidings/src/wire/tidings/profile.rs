//! Encoding of a member's address, name, incarnation and metadata.

use crate::incarnation::Incarnation;
use crate::member::{Member, Meta, NodeId, ProtocolVersions, State};
use crate::membership::claim::{Claim, Profile};
use crate::stats::Reject;
use crate::wire::codec::{decode, encode};
use crate::wire::is_reachable;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use serde::{Deserialize, Serialize};

/// Appends a member's address, name, incarnation and metadata. The caller encodes whether the
/// address is IPv6 in the byte before.
pub(crate) fn encode_profile(buf: &mut Vec<u8>, member: &Member) {
    match member.addr().ip() {
        IpAddr::V4(ip) => buf.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => buf.extend_from_slice(&ip.octets()),
    }
    buf.extend_from_slice(&member.addr().port().to_le_bytes());
    let Member { id, incarnation, meta, .. } = member;
    encode(buf, &ProfileBody { id: id.clone(), incarnation: *incarnation, meta });
}

/// Decodes a claim with address and metadata; its state was decoded before.
///
/// `None` is a well-formed claim that is not acceptable: with an address that is not
/// [reachable](is_reachable), or with more than `max_meta` bytes of metadata.
pub(crate) fn decode_profile(
    bytes: &mut &[u8],
    state: State,
    ipv6: bool,
    max_meta: usize,
) -> Result<Option<Claim>, Reject> {
    let ip = if ipv6 {
        IpAddr::V6(Ipv6Addr::from(decode::<[u8; 16]>(bytes)?))
    } else {
        IpAddr::V4(Ipv4Addr::from(decode::<[u8; 4]>(bytes)?))
    };
    let port = u16::from_le_bytes(decode(bytes)?);
    let ProfileBody { id, incarnation, meta } = decode(bytes)?;
    let addr = SocketAddr::new(ip, port);
    if !is_reachable(addr) || meta.len() > max_meta {
        return Ok(None);
    }
    let profile =
        Some(Profile { addr, meta: Meta::new(meta), versions: ProtocolVersions::default() });
    Ok(Some(Claim { id, incarnation, state, profile }))
}

#[derive(Deserialize, Serialize)]
struct ProfileBody<'a> {
    id: NodeId,
    incarnation: Incarnation,
    #[serde(borrow)]
    meta: &'a [u8],
}
