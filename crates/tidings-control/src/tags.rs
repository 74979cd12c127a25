//! Tags: metadata that is a set of `KEY=VALUE` lines.

use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use tidings_driver::prelude::Meta;

/// Tags of a member, in alphabetical order: its metadata, if that is one `KEY=VALUE` a line.
///
/// A value may have any character but a line break; a key may have no `=` either, and is not empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tags(BTreeMap<String, String>);

impl Tags {
    /// The tags in metadata; `None` if it is something else. Empty metadata has no tags.
    pub fn of(meta: &Meta) -> Option<Self> {
        let mut tags = Self::default();
        for line in meta.as_str()?.lines().filter(|line| !line.is_empty()) {
            let (key, value) = line.split_once('=')?;
            tags.set(key, value).ok()?;
        }
        Some(tags)
    }

    /// Sets a tag, in place of an earlier value.
    ///
    /// # Errors
    ///
    /// If the key is empty or has a `=`, or one of both has a line break.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidTag> {
        if key.is_empty() {
            return Err(InvalidTag::NoKey);
        }
        if key.contains('=') || [key, value].iter().any(|text| text.contains(['\n', '\r'])) {
            return Err(InvalidTag::Forbidden(key.into()));
        }
        self.0.insert(key.into(), value.into());
        Ok(())
    }

    /// Sets a tag that is written as `KEY=VALUE`.
    ///
    /// # Errors
    ///
    /// If there is no `=`, and as [`set`](Self::set).
    pub fn set_text(&mut self, text: &str) -> Result<(), InvalidTag> {
        let (key, value) = text.split_once('=').ok_or_else(|| InvalidTag::NoValue(text.into()))?;
        self.set(key, value)
    }

    /// Deletes a tag; returns whether it was there.
    pub fn delete(&mut self, key: &str) -> bool {
        self.0.remove(key).is_some()
    }

    /// The value of a tag.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All keys and values, by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn to_json(&self) -> Value {
        let tags = self.iter().map(|(key, value)| (key.to_owned(), Value::from(value)));
        Value::Object(tags.collect())
    }

    /// The metadata that has these tags.
    pub fn to_meta(&self) -> Meta {
        let lines: Vec<_> = self.iter().map(|(key, value)| format!("{key}={value}")).collect();
        Meta::from(lines.join("\n"))
    }
}

/// `KEY=VALUE`, with commas between.
impl fmt::Display for Tags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (key, value)) in self.iter().enumerate() {
            write!(f, "{}{key}={value}", if n == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// Text that is not a tag.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum InvalidTag {
    /// There is no `=`.
    NoValue(String),
    /// There is no key before the `=`.
    NoKey,
    /// This key, or its value, has a line break, or the key has a `=`.
    Forbidden(String),
}

impl fmt::Display for InvalidTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(text) => write!(f, "{text:?} is not a tag, as in role=db"),
            Self::NoKey => f.write_str("a tag has a key before the `=`, as in role=db"),
            Self::Forbidden(key) => {
                write!(f, "the tag {key:?} has a line break, or a `=` in its key")
            }
        }
    }
}

impl Error for InvalidTag {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_from_metadata() {
        let mut tags = Tags::default();
        tags.set_text("role=db").unwrap();
        tags.set("zone", "a=b, c").unwrap();
        assert_eq!(tags.to_meta().as_bytes(), b"role=db\nzone=a=b, c");
        assert_eq!(Tags::of(&tags.to_meta()), Some(tags.clone()));
        assert_eq!(tags.to_string(), "role=db, zone=a=b, c");
        assert!(tags.delete("role") && !tags.delete("role"));
        assert_eq!((tags.value("zone"), tags.value("role")), (Some("a=b, c"), None));
        assert_eq!(Tags::of(&Meta::EMPTY), Some(Tags::default()));
    }

    #[test]
    fn other_metadata_is_no_tags_and_other_text_no_tag() {
        for meta in [&b"a text"[..], b"=x", b"\xff"] {
            assert_eq!(Tags::of(&Meta::new(meta)), None);
        }
        let mut tags = Tags::default();
        assert_eq!(tags.set_text("role"), Err(InvalidTag::NoValue("role".into())));
        assert_eq!(tags.set_text("=db"), Err(InvalidTag::NoKey));
        assert_eq!(tags.set("a", "x\ny"), Err(InvalidTag::Forbidden("a".into())));
        assert!(tags.is_empty());
    }
}
