//! An agent's keys while it runs: changes are written back to the key file.

use crate::keys::{KeyFormat, read_keyring, to_text};
use crate::runtime::Node;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tidings_driver::prelude::{InvalidKey, Key, KeyError, Keyring};
use zeroize::Zeroizing;

/// The keys of an agent's node, and the file that they were read from.
pub(crate) struct Keys {
    node: Arc<Node>,
    format: KeyFormat,
    file: Option<PathBuf>,
    /// Held during a change, so that the file has the latest.
    changing: Mutex<()>,
}

/// A change of the keyring.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Add(Key),
    Use(Key),
    Remove(Key),
}

impl Change {
    /// A short sentence about it, once it is made.
    fn text(&self) -> &'static str {
        match self {
            Self::Add(_) => "key accepted from now on",
            Self::Use(_) => "this is the primary key from now on",
            Self::Remove(_) => "key removed",
        }
    }
}

/// A change that was made, and whether the file has it.
#[derive(Debug)]
pub(crate) struct Changed {
    /// For people.
    pub(crate) text: String,
    /// Whether the key file has the change.
    pub(crate) saved: bool,
}

impl Keys {
    pub(crate) fn new(node: Arc<Node>, format: KeyFormat, file: Option<PathBuf>) -> Self {
        Self { node, format, file, changing: Mutex::default() }
    }

    /// Parses a key, as the wire format writes it.
    pub(crate) fn parse(&self, text: &str) -> Result<Key, InvalidKey> {
        self.format.parse(text)
    }

    pub(crate) fn keyring(&self) -> Result<Keyring, String> {
        self.node.keyring().ok_or_else(|| KeyError::NoKeyring.to_string())
    }

    /// Changes the keyring, and writes it to the key file. A change that cannot be written is made
    /// all the same, because other nodes may have made it.
    pub(crate) fn change(&self, change: &Change) -> Result<Changed, String> {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let made = match change {
            Change::Add(key) => self.node.add_key(key.clone()),
            Change::Use(key) => self.node.use_key(key),
            Change::Remove(key) => self.node.remove_key(key),
        };
        made.map_err(|error| error.to_string())?;
        let done = change.text();
        let Some(file) = &self.file else {
            let text = format!("{done}; not saved: change --key too, before a restart");
            return Ok(Changed { text, saved: false });
        };
        let saved = save(file, &self.keyring()?);
        let file = file.display();
        Ok(match saved {
            Ok(()) => Changed { text: format!("{done}; saved in {file}"), saved: true },
            Err(error) => Changed {
                text: format!("{done}; not saved: {error}; change {file} too, before a restart"),
                saved: false,
            },
        })
    }

    /// Replaces the keyring by the one in the key file; returns the number of its keys, and `None`
    /// without a file.
    pub(crate) fn reload(&self, insecure: bool) -> Result<Option<usize>, String> {
        let Some(file) = &self.file else { return Ok(None) };
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let new = read_keyring(file, self.format, insecure).map_err(|error| error.message)?;
        let text = |error: KeyError| error.to_string();
        let old = self.keyring()?;
        for key in new.keys().filter(|key| old.keys().all(|old| old != *key)) {
            self.node.add_key(key.clone()).map_err(text)?;
        }
        self.node.use_key(new.primary()).map_err(text)?;
        for key in old.keys().filter(|key| new.keys().all(|new| new != *key)) {
            self.node.remove_key(key).map_err(text)?;
        }
        Ok(Some(new.keys().len()))
    }
}

/// Replaces a key file by one with these keys, so that a crash leaves the old one or the new one.
fn save(path: &Path, keyring: &Keyring) -> io::Result<()> {
    // A link stays one, and the file that it names is replaced.
    let path = fs::canonicalize(path)?;
    let found = fs::metadata(&path)?;
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = write_new(&new, keyring, found.mode()).and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        drop(fs::remove_file(&new));
    }
    written?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

fn write_new(path: &Path, keyring: &Keyring, mode: u32) -> io::Result<()> {
    let mut text = Zeroizing::new(String::with_capacity(keyring.keys().len() * MAX_KEY_LEN));
    for key in keyring.keys() {
        text.push_str(&Zeroizing::new(to_text(key)));
        text.push('\n');
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(mode & 0o777))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// A bound on the text of a key, so that no copy of the text is left behind.
const MAX_KEY_LEN: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use tidings_driver::prelude::Cipher;

    #[test]
    fn a_key_file_is_replaced_with_its_mode_and_through_a_link() {
        let dir = std::env::temp_dir().join(format!("tidings-keys-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let (path, link) = (dir.join("keys"), dir.join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let [first, second] = [1, 2].map(|byte| Key::new(Cipher::Aes256Gcm, [byte; 32]));
        let keyring = Keyring::new(first.clone()).with_key(second.clone()).unwrap();
        save(&link, &keyring).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text, format!("{}\n{}\n", to_text(&first), to_text(&second)));
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2, "nothing else is left");
        assert!(save(&dir.join("gone"), &keyring).is_err(), "a file that is gone stays so");
        assert!(save(Path::new("/dev/null"), &keyring).is_err());
        fs::remove_dir_all(&dir).unwrap();
    }
}
