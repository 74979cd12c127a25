//! The syntax of hosts and ports.

use super::{Network, Services, TargetError};
use core::net::{IpAddr, Ipv6Addr};

/// Splits `HOST:PORT` into its unparsed parts, as Go's `net.SplitHostPort` does.
pub(super) fn split_host_port(text: &str) -> Result<(&str, &str), TargetError> {
    let Some((before, port)) = text.rsplit_once(':') else {
        return Err(TargetError::MissingPort(text.into()));
    };
    let host = match text.strip_prefix('[') {
        None if before.contains(':') => return Err(TargetError::TooManyColons(text.into())),
        None => before,
        Some(rest) => {
            let Some((host, tail)) = rest.split_once(']') else {
                return Err(TargetError::MissingBracket(text.into()));
            };
            match tail.strip_prefix(':') {
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

/// Splits `HOST[:PORT]`, as memberlist does: more than one colon without brackets is an IPv6
/// address.
pub(super) fn split_optional_port(text: &str) -> Result<(&str, Option<&str>), TargetError> {
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

/// Parses a port as Go does: empty is 0, a sign is allowed, and other text is a service's name.
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

/// Parses an IP address, and the zone of an IPv6 address: the text after its last `%`, if there is
/// any; `None` if the text is not an address.
pub(super) fn ip(text: &str) -> Option<(IpAddr, Option<&str>)> {
    if let Ok(ip) = text.parse() {
        return Some((ip, None));
    }
    let (ip, zone) = text.rsplit_once('%')?;
    let ip: Ipv6Addr = ip.parse().ok()?;
    Some((ip.into(), Some(zone).filter(|zone| !zone.is_empty())))
}

/// Checks a domain name as Go does, and that the system's lookup cannot take it for an IPv4
/// address.
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

/// Whether `inet_aton` takes the label for a number, decimal, octal or hexadecimal.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hex {
        Some(hex) => hex.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// Whether the label has 1 to 63 letters, digits, `_` and `-`, without `-` at either end.
fn is_label(label: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=63).contains(&label.len())
        && label.bytes().all(plain)
        && !label.starts_with('-')
        && !label.ends_with('-')
}
