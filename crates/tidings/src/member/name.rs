//! The text of names: what people can see and type, and how everything else is written.

use super::{InvalidName, TooLong};
use core::fmt::{self, Debug};

/// Checks a name that somebody chose: that people can see all of it, and type it.
pub(super) fn check_chosen(name: &str, max: usize) -> Result<(), InvalidName> {
    check(name, max)?;
    if name.is_ascii() && !name.starts_with(' ') && !name.ends_with(' ') {
        return Ok(());
    }
    if let Some(character) = name.chars().find(|&c| is_hidden(c)) {
        return Err(InvalidName::Hidden { character });
    }
    let mut ends = name.chars().next().into_iter().chain(name.chars().next_back());
    match ends.find(|c| c.is_whitespace()) {
        Some(character) => Err(InvalidName::Padded { character }),
        None => Ok(()),
    }
}

/// Checks a name as other software has it: it only has to be harmless.
pub(super) fn check(name: &str, max: usize) -> Result<(), InvalidName> {
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    TooLong::check("the name", name.len(), max, None).map_err(InvalidName::TooLong)?;
    match name.chars().find(|c| c.is_control()) {
        Some(character) => Err(InvalidName::Control { character }),
        None => Ok(()),
    }
}

/// Writes a name as a part of a line: in quotes, with escapes, if it would not be told from the
/// rest, or from another name.
pub(super) fn write(name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let is_plain = |c: char| !c.is_whitespace() && !is_hidden(c) && !c.is_control();
    if name.chars().all(is_plain) && !name.starts_with('"') { f.pad(name) } else { name.fmt(f) }
}

/// Whether people cannot see a character: it changes the direction of others, joins them, or looks
/// like nothing or a space.
///
/// Chosen [names](crate::NodeId::new) have none of them. Whoever shows text that others sent, as
/// names and metadata in memberlist's format, escapes them, beside control characters.
pub fn is_hidden(c: char) -> bool {
    HIDDEN.iter().any(|&(first, last)| (first..=last).contains(&c))
}

/// Unicode's format characters (Cf), separators of lines and paragraphs, variation selectors, and
/// letters without a glyph, in order.
const HIDDEN: [(char, char); 21] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

#[cfg(test)]
mod tests {
    use crate::member::{InvalidName, NodeId};
    use alloc::format;
    use alloc::string::ToString;

    #[test]
    fn a_name_that_people_cannot_see_or_type_is_refused_with_the_character() {
        for hidden in
            ['\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{ad}', '\u{2028}']
        {
            for name in [format!("a{hidden}b"), format!("{hidden}a"), format!("a{hidden}")] {
                let error = NodeId::new(&name).unwrap_err();
                assert_eq!(error, InvalidName::Hidden { character: hidden });
                let code = format!("U+{:04X}", u32::from(hidden));
                assert!(error.to_string().contains(&code), "{error}");
            }
        }
        for name in [" a", "a ", "\u{a0}a", "a\u{3000}"] {
            assert!(matches!(NodeId::new(name), Err(InvalidName::Padded { .. })), "{name:?}");
        }
        for name in [
            "a b",
            "node-7.example",
            "k\u{f6}ln",
            "\u{6771}\u{4eac}",
            "\u{5d0}\u{5d1}",
            "\u{1f98a}",
        ] {
            assert_eq!(NodeId::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn other_softwares_names_are_taken_and_quoted() {
        for (name, shown) in [
            ("db-7", "db-7"),
            ("a b", "\"a b\""),
            (" a", "\" a\""),
            ("a\u{200b}", "\"a\\u{200b}\""),
            ("\u{202e}a", "\"\\u{202e}a\""),
            ("\"a", "\"\\\"a\""),
            ("k\u{f6}ln", "k\u{f6}ln"),
        ] {
            assert_eq!(NodeId::foreign(name).unwrap().to_string(), shown);
        }
        assert!(NodeId::foreign("a\nb").is_err(), "it would be two lines");
    }
}
