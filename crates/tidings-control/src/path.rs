//! Where control sockets are.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};
use tidings_driver::prelude::NodeId;

/// The directory of this user's control sockets: `$XDG_RUNTIME_DIR/tidings`; without that variable
/// `/run/tidings` for root, `/tmp/tidings-UID` for others.
pub fn default_dir() -> PathBuf {
    let user = rustix::process::getuid();
    match env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => PathBuf::from(dir).join("tidings"),
        None if user.is_root() => "/run/tidings".into(),
        None => format!("/tmp/tidings-{}", user.as_raw()).into(),
    }
}

/// The control socket of this user's node with this name: `NAME.sock` in [`default_dir`].
///
/// Bytes of the name other than letters, digits, `-`, `_` and `.` are written as [`file_stem`]
/// does, and a name of over 48 bytes is cut: a socket's path has at most 107 bytes.
pub fn default_path(node: &NodeId) -> PathBuf {
    default_dir().join(file_stem(node.as_str(), MAX_STEM) + ".sock")
}

/// Whether only this user can change a directory; for root, only its owner. One that is not there
/// is private.
pub(crate) fn is_private(dir: &Path) -> bool {
    let Ok(found) = fs::symlink_metadata(dir) else { return true };
    is_changed_by_owner_alone(&found) && (is_owner(&found) || rustix::process::getuid().is_root())
}

/// Whether what was found is a directory that nobody but its owner, and root, can change.
pub(crate) fn is_changed_by_owner_alone(found: &fs::Metadata) -> bool {
    found.is_dir() && found.mode() & 0o022 == 0
}

/// Whether it belongs to this user.
pub(crate) fn is_owner(found: &fs::Metadata) -> bool {
    found.uid() == rustix::process::getuid().as_raw()
}

/// The sockets in [`default_dir`], in alphabetical order; some may be left by dead processes.
///
/// # Errors
///
/// If the directory exists and cannot be read.
pub fn sockets() -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(default_dir()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension() == Some(OsStr::new("sock"))).collect();
    paths.sort();
    Ok(paths)
}

/// A file name for a node: letters, digits, `-`, `_` and `.` stay, other bytes are `%` and two hex
/// digits. A result of over `max` bytes is cut, and ends with a hash of the whole name.
///
/// Nodes with different names have different files; `max` is at least 17.
pub fn file_stem(node: &str, max: usize) -> String {
    let mut name = String::new();
    for (at, byte) in node.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || (byte == b'.' && at > 0) {
            name.push(byte.into());
        } else {
            _ = write!(name, "%{byte:02X}");
        }
    }
    if name.len() > max {
        name.truncate(max.saturating_sub(17));
        _ = write!(name, "~{:016x}", fnv1a(node.as_bytes()));
    }
    name
}

/// The hash FNV-1a, which is the same in each version of this crate.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The longest name of a socket before `.sock`, in bytes.
const MAX_STEM: usize = 48;

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn any_nodes_name_is_a_file_name() {
        let file_stem = |name: &str| file_stem(name, 200);
        assert_eq!(file_stem("db-7.shop"), "db-7.shop");
        assert_eq!(file_stem("../x/%"), "%2E.%2Fx%2F%25");
        assert_eq!(file_stem("."), "%2E");
        assert_eq!(file_stem("ü"), "%C3%BC");
        let names = ["a/b", "a%2Fb", "a%2fb", "a_b", &"ü".repeat(127), &"/".repeat(255)];
        let longer = format!("{}a", "/".repeat(254));
        let names = names.map(file_stem).into_iter().chain([file_stem(&longer)]);
        let names: HashSet<_> = names.collect();
        assert_eq!(names.len(), 7, "names that differ have files that differ: {names:?}");
        assert!(names.iter().all(|name| name.len() <= 200 && !name.contains('/')));
    }

    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
    }

    #[test]
    fn a_long_name_has_a_socket_whose_path_is_short_enough() {
        let path = default_path(&NodeId::new(&"n".repeat(255)).unwrap());
        assert_eq!(path.file_name().unwrap().len(), 48 + ".sock".len());
    }
}
