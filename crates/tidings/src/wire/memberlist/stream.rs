//! The messages of memberlist's streams, inside the label.

use super::leaf::{self, Ack, Ping};
use super::lzw;
use super::msgpack::{
    DecodeError, decode_struct, encode_bool, encode_bytes, encode_bytes_or_nil, encode_number,
    encode_struct,
};
use super::packet::{self, COMPRESS};
use crate::stats::Reject;
use crate::wire::{Header, ParseProgress};
use alloc::borrow::Cow;
use alloc::vec::Vec;

/// The one message that a stream carries in each direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit<'a> {
    /// A complete encrypted message, without its type and length.
    Sealed(&'a [u8]),
    /// The part of a plaintext message that has arrived.
    Plain(&'a [u8]),
}

/// Splits off the message behind a stream's label; `None` if more bytes are needed.
///
/// # Errors
///
/// If an encrypted message has more than `limit` bytes.
pub(crate) fn unit(bytes: &[u8], limit: usize) -> Result<Option<Unit<'_>>, Reject> {
    match bytes.split_first() {
        None => Ok(None),
        Some((&ENCRYPT, rest)) => {
            let Some((length, sealed)) = rest.split_first_chunk() else { return Ok(None) };
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
            if length > limit {
                return Err(Reject::Oversized);
            }
            Ok(sealed.get(..length).map(Unit::Sealed))
        }
        Some(_) => Ok(Some(Unit::Plain(bytes))),
    }
}

/// One decoded message of a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Message<'a> {
    PushPull {
        join: bool,
        records: Records<'a>,
        state: &'a [u8],
    },
    Ping(Ping<'a>),
    Ack(Ack),
    User(&'a [u8]),
    /// An error reply, with its text.
    Error(Cow<'a, [u8]>),
}

/// Iterator over the records of a push/pull, which were all checked. It decodes them one by one,
/// because an empty record has one byte encoded and many decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    left: u64,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        self.left = self.left.checked_sub(1)?;
        decode_record(&mut self.bytes).ok()
    }
}

/// One member's record in a push/pull.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Record<'a> {
    pub(crate) name: Cow<'a, [u8]>,
    pub(crate) addr: Cow<'a, [u8]>,
    pub(crate) port: u16,
    pub(crate) meta: Cow<'a, [u8]>,
    pub(crate) incarnation: u32,
    pub(crate) state: u8,
    pub(crate) vsn: Cow<'a, [u8]>,
}

/// Decodes the message of a stream, of at most `limit` bytes; if it was compressed, into `scratch`.
///
/// `None` if more bytes are needed. With `whole`, no more will arrive: a message that ends early is
/// malformed. `progress` keeps the header, how many records were checked and how many bytes are
/// needed, from one call to the next: so a message that arrives byte by byte takes linear time.
pub(crate) fn read<'a>(
    plain: &'a [u8],
    whole: bool,
    limit: usize,
    progress: &mut ParseProgress,
    scratch: &'a mut Vec<u8>,
) -> Result<Option<Message<'a>>, Reject> {
    if !whole && plain.len() < progress.needed {
        return check_len(plain, limit);
    }
    let (message, whole) = match plain.split_first() {
        Some((&COMPRESS, body)) => {
            let compressed = match packet::decode_compressed(&mut &body[..]) {
                Ok(compressed) => compressed,
                Err(DecodeError::Incomplete { missing }) if !whole => {
                    progress.needed = plain.len().saturating_add(missing);
                    return check_len(plain, limit);
                }
                Err(_) => return Err(Reject::Malformed),
            };
            scratch.clear();
            lzw::decompress(&compressed, limit, scratch)?;
            (&scratch[..], true)
        }
        _ => (plain, whole),
    };
    match parse(message, limit, progress) {
        Ok(message) => Ok(Some(message)),
        Err(ParseError::Msgpack(DecodeError::Incomplete { missing })) if !whole => {
            progress.needed = plain.len().saturating_add(missing);
            check_len(plain, limit)
        }
        Err(ParseError::Msgpack(_)) => Err(Reject::Malformed),
        Err(ParseError::Reject(reject)) => Err(reject),
    }
}

/// Waits for more bytes, unless the limit is reached.
fn check_len<T>(plain: &[u8], limit: usize) -> Result<Option<T>, Reject> {
    if plain.len() < limit { Ok(None) } else { Err(Reject::Oversized) }
}

enum ParseError {
    Msgpack(DecodeError),
    Reject(Reject),
}

impl From<DecodeError> for ParseError {
    fn from(error: DecodeError) -> Self {
        Self::Msgpack(error)
    }
}

fn parse<'a>(
    message: &'a [u8],
    limit: usize,
    progress: &mut ParseProgress,
) -> Result<Message<'a>, ParseError> {
    let (&kind, mut rest) = message.split_first().ok_or(DecodeError::Incomplete { missing: 1 })?;
    Ok(match kind {
        PUSH_PULL => decode_push_pull(message, limit, progress)?,
        leaf::PING => Message::Ping(leaf::decode_ping(&mut rest)?),
        leaf::ACK => Message::Ack(leaf::decode_ack(&mut rest)?),
        leaf::USER => {
            let mut len = 0;
            decode_struct(&mut rest, &["UserMsgLen"], |_, value| {
                len = value.number(u64::MAX)?;
                Ok(())
            })?;
            Message::User(split_tail(rest, len, limit)?)
        }
        ERROR => {
            let mut text = Cow::default();
            decode_struct(&mut rest, &["Error"], |_, value| {
                text = value.bytes()?;
                Ok(())
            })?;
            Message::Error(text)
        }
        // Compression inside compression is not accepted: it has no use.
        _ => return Err(ParseError::Reject(Reject::Unexpected)),
    })
}

/// The application's `len` bytes at the end of a message, if they are complete.
fn split_tail(rest: &[u8], len: u64, limit: usize) -> Result<&[u8], ParseError> {
    let len = usize::try_from(len).ok().filter(|&len| len <= limit);
    let len = len.ok_or(ParseError::Reject(Reject::Oversized))?;
    let missing = len.saturating_sub(rest.len());
    Ok(rest.get(..len).ok_or(DecodeError::Incomplete { missing })?)
}

fn decode_push_pull<'a>(
    message: &'a [u8],
    limit: usize,
    progress: &mut ParseProgress,
) -> Result<Message<'a>, ParseError> {
    let header = match progress.header {
        Some(header) => header,
        None => {
            let header = decode_header(message)?;
            progress.at = header.len;
            *progress.header.insert(header)
        }
    };
    let Header { join, nodes, state, len } = header;
    if nodes.saturating_mul(MIN_RECORD).saturating_add(state) > limit as u64 {
        return Err(ParseError::Reject(Reject::Oversized));
    }
    let mut rest = message.get(progress.at..).ok_or(DecodeError::Malformed)?;
    while progress.records < nodes {
        decode_record(&mut rest)?;
        progress.at = message.len() - rest.len();
        progress.records += 1;
    }
    let first = message.get(len..).ok_or(DecodeError::Malformed)?;
    let state = split_tail(rest, state, limit)?;
    Ok(Message::PushPull { join, records: Records { bytes: first, left: nodes }, state })
}

fn decode_header(message: &[u8]) -> Result<Header, DecodeError> {
    let mut rest = &message[1..];
    let (mut nodes, mut state, mut join) = (0, 0, false);
    decode_struct(&mut rest, &["Nodes", "UserStateLen", "Join"], |n, value| {
        match n {
            0 => nodes = value.number(u64::MAX)?,
            1 => state = value.number(u64::MAX)?,
            _ => join = value.bool()?,
        }
        Ok(())
    })?;
    Ok(Header { join, nodes, state, len: message.len() - rest.len() })
}

fn decode_record<'a>(bytes: &mut &'a [u8]) -> Result<Record<'a>, DecodeError> {
    const NAMES: [&str; 7] = ["Name", "Addr", "Port", "Meta", "Incarnation", "State", "Vsn"];
    let mut record = Record::default();
    decode_struct(bytes, &NAMES, |n, value| {
        match n {
            0 => record.name = value.bytes()?,
            1 => record.addr = value.bytes()?,
            2 => record.port = value.u16()?,
            3 => record.meta = value.bytes()?,
            4 => record.incarnation = value.u32()?,
            5 => record.state = value.number(u8::MAX.into())? as u8,
            _ => record.vsn = value.bytes()?,
        }
        Ok(())
    })?;
    Ok(record)
}

/// Appends the header of a push/pull. Then follow `records` records, and `state` bytes of the
/// application.
pub(crate) fn encode_push_pull(buf: &mut Vec<u8>, join: bool, records: u32, state: u32) {
    buf.push(PUSH_PULL);
    encode_struct(buf, 3);
    encode_bool(buf, "Join", join);
    encode_number(buf, "Nodes", records);
    encode_number(buf, "UserStateLen", state);
}

pub(crate) fn encode_record(buf: &mut Vec<u8>, record: &Record<'_>) {
    encode_struct(buf, 7);
    encode_bytes(buf, "Addr", &record.addr);
    encode_number(buf, "Incarnation", record.incarnation);
    encode_bytes_or_nil(buf, "Meta", &record.meta);
    encode_bytes(buf, "Name", &record.name);
    encode_number(buf, "Port", record.port.into());
    encode_number(buf, "State", record.state.into());
    encode_bytes(buf, "Vsn", &record.vsn);
}

pub(crate) fn encode_user(buf: &mut Vec<u8>, data: &[u8]) {
    buf.push(leaf::USER);
    encode_struct(buf, 1);
    encode_number(
        buf,
        "UserMsgLen",
        u32::try_from(data.len()).expect("max_frame is at most 64 MiB"),
    );
    buf.extend_from_slice(data);
}

pub(crate) fn encode_error(buf: &mut Vec<u8>, error: &str) {
    buf.push(ERROR);
    encode_struct(buf, 1);
    encode_bytes(buf, "Error", error.as_bytes());
}

/// The least number of bytes that counts for a record. The records of memberlist's nodes have 60 or
/// more; a struct without fields has one, and decompression makes a million of them from 2 kB.
const MIN_RECORD: u64 = 32;

const PUSH_PULL: u8 = 6;
pub(crate) const ENCRYPT: u8 = 10;
const ERROR: u8 = 13;
