//! JSON that others wrote.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Parses JSON that may come from anybody, at most 128 levels deep.
///
/// `serde_json` itself parses text within an object of a certain name once more, with levels of its
/// own, if any crate of the program enables its feature `raw_value`.
///
/// # Errors
///
/// If it is no JSON, or too deep.
pub fn parse(text: &[u8]) -> serde_json::Result<Value> {
    serde_json::from_slice(text).map(|Plain(value)| value)
}

/// A value in which no name means anything.
struct Plain(Value);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Builder).map(Self)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Plain(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Plain(value))) = fields.next_entry::<String, _>()? {
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_parsed_as_it_is() {
        let text = r#"{"a":[1,-2,0.5,null,true,"x\n"],"b":{"c":18446744073709551615}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
        assert!(parse(b"{} x").is_err() && parse(b"{").is_err());
    }

    #[test]
    fn json_within_text_is_text_however_it_is_named_and_depth_has_a_limit() {
        let mut text = String::from("1");
        for _ in 0..12 {
            let escaped = text.replace('\\', "\\u005c").replace('"', "\\u0022");
            let deep = ("[".repeat(120), "]".repeat(120));
            text =
                format!("{}{{\"$serde_json::private::RawValue\":\"{escaped}\"}}{}", deep.0, deep.1);
            let within = text.clone();
            let parsed = parse(within.as_bytes()).unwrap();
            assert!(parsed.is_array());
        }
        assert!(parse("[".repeat(200).as_bytes()).is_err());
    }
}
