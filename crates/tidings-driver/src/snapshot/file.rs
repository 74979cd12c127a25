//! A snapshot's file: read at start, set aside if it cannot be used, and replaced as a whole.

use super::contents::{Contents, MAX_BYTES, SnapshotDefect};
use crate::notice::Notice;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Reads the snapshot of the node with this name in this cluster; `None` if there is none.
///
/// One that cannot be used is renamed to `FILE.bad`.
pub(crate) fn load(
    path: &Path,
    cluster: &str,
    name: &str,
) -> Result<Option<Contents>, Box<Notice>> {
    let failed = |error| Box::new(Notice::SnapshotFailed { path: path.into(), error });
    let reason = match read(path) {
        Ok(None) => SnapshotDefect::Damaged,
        Ok(Some(bytes)) => match Contents::decode(&bytes, cluster, name) {
            Ok(contents) => return Ok(Some(contents)),
            Err(defect) => defect,
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let set_aside = beside(path, ".bad");
    fs::rename(path, &set_aside).map_err(failed)?;
    Err(Box::new(Notice::SnapshotSetAside { path: path.into(), set_aside, reason }))
}

/// The bytes of a file; `None` if it is longer than any snapshot.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= MAX_BYTES).then_some(bytes))
}

/// Replaces a file as a whole: whoever reads it, also after a crash, sees the old or the new bytes.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = beside(path, ".tmp");
    let mut file = create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&temporary, path)?;
    sync_directory(path)
}

/// Makes a file that only this user can read: with keys, outsiders do not learn the members.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        // Of a write that was interrupted; or a link, which is not followed.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)
        }
        opened => opened,
    }
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

/// The path with something behind it.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::env;

    fn contents(generation: u64) -> Contents {
        Contents {
            cluster: "shop".into(),
            name: "a".into(),
            generation,
            left: false,
            members: Vec::new(),
            // Several blocks of a disk.
            seeds: vec!["10.0.0.7:7946".parse().unwrap(); 5000],
        }
    }

    fn temporary(name: &str) -> PathBuf {
        env::temp_dir().join(format!("tidings-snapshot-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_file_that_is_not_there_is_no_snapshot() {
        assert!(load(&temporary("nowhere"), "shop", "a").unwrap().is_none());
        let error = load(&env::temp_dir(), "shop", "a").unwrap_err().to_string();
        assert!(error.contains("not a regular file"), "{error}");
    }

    #[test]
    fn a_snapshot_that_cannot_be_used_is_set_aside_in_place_of_an_earlier_one() {
        let path = temporary("bad");
        for (bytes, cluster, name) in [
            (contents(1).encode(), "other", "a"),
            (contents(2).encode(), "shop", "b"),
            (b"no snapshot".to_vec(), "shop", "a"),
            (Vec::new(), "shop", "a"),
            (vec![0; MAX_BYTES as usize + 1], "shop", "a"),
        ] {
            write(&path, &bytes).unwrap();
            let notice = load(&path, cluster, name).unwrap_err();
            let Notice::SnapshotSetAside { set_aside, .. } = &*notice else { panic!("{notice}") };
            assert_eq!(*set_aside, beside(&path, ".bad"));
            assert_eq!(fs::read(set_aside).unwrap(), bytes, "{notice}");
            assert!(!path.exists());
        }
        fs::remove_file(beside(&path, ".bad")).unwrap();
    }

    #[test]
    fn a_write_that_fails_leaves_the_snapshot() {
        let path = temporary("kept");
        write(&path, &contents(1).encode()).unwrap();
        fs::create_dir(beside(&path, ".tmp")).unwrap();
        assert!(write(&path, &contents(2).encode()).is_err());
        assert_eq!(load(&path, "shop", "a").unwrap(), Some(contents(1)));
        fs::remove_dir(beside(&path, ".tmp")).unwrap();
        fs::remove_file(path).unwrap();
    }

    /// The child of the next test.
    #[test]
    #[ignore = "runs until it is killed"]
    fn a_process_that_writes_until_it_is_killed() {
        let Some(path) = env::var_os("TIDINGS_SNAPSHOT") else { return };
        let path = PathBuf::from(path);
        for generation in 1.. {
            write(&path, &contents(generation).encode()).unwrap();
        }
    }

    #[test]
    fn a_process_that_is_killed_while_it_writes_leaves_a_snapshot_that_loads() {
        let path = temporary("killed");
        let child = "snapshot::file::tests::a_process_that_writes_until_it_is_killed";
        let mut generations = std::collections::BTreeSet::new();
        for round in 0..100 {
            let mut command = std::process::Command::new(env::current_exe().unwrap());
            command.args([child, "--exact", "--ignored"]).env("TIDINGS_SNAPSHOT", &path);
            let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
            // It has written something, and is somewhere in the next write.
            let before = fs::metadata(&path).and_then(|metadata| metadata.modified()).ok();
            let is_new = || fs::metadata(&path).and_then(|it| it.modified()).ok() != before;
            while !is_new() {
                assert_eq!(child.try_wait().unwrap(), None, "it runs until it is killed");
                std::thread::yield_now();
            }
            for _ in 0..round * 500 {
                std::hint::spin_loop();
            }
            child.kill().unwrap();
            child.wait().unwrap();
            let loaded = load(&path, "shop", "a").unwrap().expect("it was written");
            assert_eq!(loaded, contents(loaded.generation));
            generations.insert(loaded.generation);
        }
        assert!(!generations.is_empty());
        fs::remove_file(&path).unwrap();
        drop(fs::remove_file(beside(&path, ".tmp")));
    }
}
