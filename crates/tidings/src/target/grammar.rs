//! How hosts and ports are written.

use super::{Network, Services, TargetError};
use core::net::{IpAddr, Ipv6Addr};

/// A host and a port, each as it is written, where a port must be: Go's `net.SplitHostPort`.
pub(super) fn split_host_port(text: &str) -> Result<(&str, &str), TargetError> {
    let Some((before, port)) = text.rsplit_once(':') else {
        return Err(TargetError::MissingPort(text.into()));
    };
    let host = match text.strip_prefix('[') {
        None if before.contains(':') => return Err(TargetError::TooManyColons(text.into())),
        None => before,
        Some(rest) => {
            let Some((host, behind)) = rest.split_once(']') else {
                return Err(TargetError::MissingBracket(text.into()));
            };
            match behind.strip_prefix(':') {
                None => return Err(TargetError::MissingPort(text.into())),
                Some(rest) if rest.contains(':') => {
                    return Err(TargetError::TooManyColons(text.into()));
                }
                Some(_) => host,
            }
        }
    };
    if host.contains(BRACKETS) || port.contains(BRACKETS) {
        return Err(TargetError::UnexpectedBracket(text.into()));
    }
    Ok((host, port))
}

/// The same where there may be no port, as in memberlist: more than one colon without brackets is an
/// IPv6 address.
pub(super) fn split_place(text: &str) -> Result<(&str, Option<&str>), TargetError> {
    let host = match text.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            None => return Err(TargetError::MissingBracket(text.into())),
            Some((host, "")) => host,
            Some((host, _)) if host.contains('[') => host,
            Some(_) => return with_port(text),
        },
        None => match text.matches(':').count() {
            0 => text,
            1 => return with_port(text),
            _ if ip(text).is_some() => text,
            _ => return Err(TargetError::TooManyColons(text.into())),
        },
    };
    if host.contains(BRACKETS) {
        return Err(TargetError::UnexpectedBracket(text.into()));
    }
    Ok((host, None))
}

fn with_port(text: &str) -> Result<(&str, Option<&str>), TargetError> {
    split_host_port(text).map(|(host, port)| (host, Some(port)))
}

const BRACKETS: [char; 2] = ['[', ']'];

/// A port as Go takes it: nothing is 0, a sign is allowed, and what is no number is a service.
pub(super) fn port(text: &str, network: Network, services: &Services) -> Result<u16, TargetError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let unknown = || TargetError::UnknownService { service: text.into(), network };
        return services.port(text, network).ok_or_else(unknown);
    }
    let digits = digits.trim_start_matches('0');
    match digits.parse() {
        _ if digits.is_empty() => Ok(0),
        Ok(port) if !text.starts_with('-') => Ok(port),
        _ => Err(TargetError::InvalidPort(text.into())),
    }
}

/// An IP address and, for IPv6, what stands behind the last `%`, if anything does; `None` if the text is
/// no address.
pub(super) fn ip(text: &str) -> Option<(IpAddr, Option<&str>)> {
    if let Ok(ip) = text.parse() {
        return Some((ip, None));
    }
    let (ip, zone) = text.rsplit_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some((ip.into(), Some(zone).filter(|zone| !zone.is_empty())))
}

/// A domain name as Go takes it, and none that the system's lookup could take for an IPv4 address.
pub(super) fn domain_name(text: &str) -> Result<&str, TargetError> {
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.split('.').all(is_number) {
        return Err(TargetError::NotAnAddress(text.into()));
    }
    if name.len() <= 253 && name.split('.').all(is_label) {
        Ok(text)
    } else {
        Err(TargetError::NotAHost(text.into()))
    }
}

/// Whether `inet_aton` could take it for a number; it knows decimal, octal and hexadecimal ones.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Letters, digits, `_`, and `-` but at the ends; 63 bytes at most.
fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=63).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}
