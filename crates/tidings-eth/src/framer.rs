//! The end of a JSON text in a stream of bytes, found by its structure.

use std::fmt;

/// Finds the end of one JSON object or array in bytes that arrive in pieces of any size.
///
/// Nodes answer over IPC with one JSON text after another, some with a newline behind each and some
/// with nothing, so the end is where the outermost bracket closes. Brackets in strings do not
/// count. That the text is valid JSON is not checked.
///
/// ```
/// use tidings_eth::JsonFramer;
///
/// let mut framer = JsonFramer::new(100);
/// assert_eq!(framer.receive(br#"{"a":"}"#)?, None);
/// assert_eq!(framer.receive(b"\"}\n")?.as_deref(), Some(&br#"{"a":"}"}"#[..]));
/// # Ok::<(), tidings_eth::FrameError>(())
/// ```
#[derive(Debug)]
pub struct JsonFramer {
    buf: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
    max_len: usize,
}

impl JsonFramer {
    /// The deepest nesting of a text. A block with its transactions has 5.
    pub const MAX_DEPTH: usize = 64;

    /// A framer for a text of at most `max_len` bytes.
    pub fn new(max_len: usize) -> Self {
        Self { buf: Vec::new(), depth: 0, in_string: false, escaped: false, max_len }
    }

    /// Takes bytes; the text once it is complete. What follows it is dropped.
    ///
    /// # Errors
    ///
    /// If the text does not begin with a bracket, is too long, or is nested more than
    /// [`JsonFramer::MAX_DEPTH`] deep.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>, FrameError> {
        let start = match self.depth {
            0 => bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(bytes.len()),
            _ => 0,
        };
        let bytes = &bytes[start..];
        for (at, &byte) in bytes.iter().enumerate() {
            if self.in_string {
                match byte {
                    _ if self.escaped => self.escaped = false,
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
                continue;
            }
            match byte {
                b'{' | b'[' => self.depth += 1,
                _ if self.depth == 0 => return Err(FrameError::NoBracket),
                b'}' | b']' => self.depth -= 1,
                b'"' => self.in_string = true,
                _ => {}
            }
            if self.depth > Self::MAX_DEPTH {
                return Err(FrameError::TooDeep);
            }
            if self.depth == 0 {
                self.push(&bytes[..=at])?;
                return Ok(Some(std::mem::take(&mut self.buf)));
            }
        }
        self.push(bytes)?;
        Ok(None)
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        if self.buf.len() + bytes.len() > self.max_len {
            return Err(FrameError::TooLong { max: self.max_len });
        }
        self.buf.extend_from_slice(bytes);
        Ok(())
    }
}

/// The reason why bytes are not taken for a JSON object or array.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FrameError {
    /// The first byte that is not white space is not an opening bracket.
    NoBracket,
    /// The text is nested more than [`JsonFramer::MAX_DEPTH`] deep.
    TooDeep,
    /// The text is too long.
    TooLong {
        /// The limit, in bytes.
        max: usize,
    },
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBracket => f.write_str("the reply is no JSON object or array"),
            Self::TooDeep => {
                write!(f, "the reply is nested more than {} deep", JsonFramer::MAX_DEPTH)
            }
            Self::TooLong { max } => write!(f, "the reply is too long; max_reply allows {max}"),
        }
    }
}

impl std::error::Error for FrameError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_ends_where_its_outermost_bracket_closes_however_it_is_cut() {
        for text in [r#"{}"#, r#"[{"a":["]",{}]},"\"]"]"#, r#"{"\\":"\\\"}"}"#, "[\"\u{7d}é\"]"] {
            for size in 1..=text.len() {
                let mut framer = JsonFramer::new(100);
                let all = format!(" \n{text}{{\"next\":");
                let found = all.as_bytes().chunks(size).find_map(|p| framer.receive(p).unwrap());
                assert_eq!(found.as_deref(), Some(text.as_bytes()), "pieces of {size}");
            }
        }
    }

    #[test]
    fn length_and_depth_have_limits() {
        let too_long = Err(FrameError::TooLong { max: 4 });
        assert_eq!(JsonFramer::new(4).receive(b"[1,2,3"), too_long);
        assert_eq!(JsonFramer::new(4).receive(b"[1,2]"), too_long);
        assert_eq!(JsonFramer::new(1000).receive(&[b'['; JsonFramer::MAX_DEPTH]), Ok(None));
        assert_eq!(
            JsonFramer::new(1000).receive(&[b'['; JsonFramer::MAX_DEPTH + 1]),
            Err(FrameError::TooDeep)
        );
    }

    #[test]
    fn what_does_not_begin_with_a_bracket_is_no_reply() {
        for text in [&b"HTTP/1.1 400"[..], b"1", b"\"{", b"}", b"\0"] {
            assert_eq!(JsonFramer::new(100).receive(text), Err(FrameError::NoBracket), "{text:?}");
        }
    }
}
