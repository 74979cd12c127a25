//! Values as bytes: postcard, and what it has to hold to be believed.

use crate::claim::{Claim, Profile};
use crate::member::{Incarnation, Member, Meta, NodeId, State};
use crate::stats::Reject;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use postcard::ser_flavors::Flavor;
use serde::{Deserialize, Serialize};

/// Appends a value to `buf`.
pub(crate) fn put<T: Serialize + ?Sized>(buf: &mut Vec<u8>, value: &T) {
    postcard::serialize_with_flavor(value, Append(buf))
        .expect("our messages have no values that postcard refuses, and memory grows");
}

/// Takes a value off the front of `bytes`.
pub(crate) fn take<'a, T: Deserialize<'a>>(bytes: &mut &'a [u8]) -> Result<T, Reject> {
    let (value, rest) = postcard::take_from_bytes(bytes).map_err(|_| Reject::Malformed)?;
    *bytes = rest;
    Ok(value)
}

/// Appends who a member is and what it says about itself; whether its address is IPv6 is for the
/// caller to say beforehand.
pub(crate) fn put_profile(buf: &mut Vec<u8>, member: &Member) {
    match member.addr().ip() {
        IpAddr::V4(ip) => buf.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => buf.extend_from_slice(&ip.octets()),
    }
    buf.extend_from_slice(&member.addr().port().to_le_bytes());
    let Member { id, incarnation, meta, .. } = member;
    put(buf, &About { id: id.clone(), incarnation: *incarnation, meta });
}

/// Takes a claim with a profile: the state is known already.
///
/// `None` is a claim that is well formed and that we do not take: at an address that no node can
/// have, or with too much metadata.
pub(crate) fn take_profile(
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
    let About { id, incarnation, meta } = take(bytes)?;
    let addr = SocketAddr::new(ip, port);
    if !is_reachable(addr) || meta.len() > max_meta {
        return Ok(None);
    }
    let profile = Some(Profile { addr, meta: Meta::new(meta) });
    Ok(Some(Claim { id, incarnation, state, profile }))
}

#[derive(Deserialize, Serialize)]
struct About<'a> {
    id: NodeId,
    incarnation: Incarnation,
    #[serde(borrow)]
    meta: &'a [u8],
}

/// Whether one node can send to such an address: members with others are not taken, so that nobody
/// can be told to send to a group of hosts or to nowhere.
///
/// An IPv4 address has one form here, the short one.
fn is_reachable(addr: SocketAddr) -> bool {
    let ip = addr.ip();
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    let mapped = ip.to_canonical() != ip;
    addr.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !broadcast && !mapped
}

/// Postcard's way to write, onto a vector that somebody else owns.
struct Append<'a>(&'a mut Vec<u8>);

impl Flavor for Append<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}
