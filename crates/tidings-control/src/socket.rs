//! The socket file of a control server.

use crate::path::{is_changed_by_owner_alone, is_owner};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};
use std::error::Error;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A listening socket, whose file is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    pub(crate) listener: UnixListener,
    path: PathBuf,
    /// Locked as long as the socket is in use, so that two servers do not take over one dead one's.
    _lock: File,
}

impl SocketFile {
    /// Listens at a path, which only this user can connect to. The file of a server that has died
    /// is replaced.
    pub(crate) fn bind(path: &Path) -> Result<Self, BindError> {
        let failed = |error: io::Error| BindError::Failed { path: path.into(), error };
        if let Some(dir) = path.parent().filter(|dir| *dir == crate::path::default_dir()) {
            make_private_dir(dir)?;
        }
        let addr = SockAddr::unix(path).map_err(|_| BindError::TooLong(path.into()))?;
        let lock = take_lock(path)?;
        match fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(BindError::NotASocket(path.into()));
            }
            Ok(_) if UnixStream::connect(path).is_ok() => {
                return Err(BindError::InUse(path.into()));
            }
            Ok(_) => fs::remove_file(path).map_err(failed)?,
            Err(_) => {}
        }
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        socket.bind(&addr).map_err(failed)?;
        // Nobody can connect before it listens.
        let listening = fs::set_permissions(path, Permissions::from_mode(0o600))
            .and_then(|()| socket.listen(BACKLOG));
        if let Err(error) = listening {
            drop(fs::remove_file(path));
            return Err(failed(error));
        }
        let listener = UnixListener::from(OwnedFd::from(socket));
        Ok(Self { listener, path: path.into(), _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
    }
}

/// Makes a directory that only this user can use, or checks that it is one.
fn make_private_dir(dir: &Path) -> Result<(), BindError> {
    let failed = |error: io::Error| BindError::Failed { path: dir.into(), error };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
    let found = fs::symlink_metadata(dir).map_err(failed)?;
    // Root listens in no other user's directory, though its client may connect there.
    if !is_changed_by_owner_alone(&found) || !is_owner(&found) {
        return Err(BindError::NotPrivate(dir.into()));
    }
    Ok(())
}

/// Locks the file beside a socket; it stays there, because a lock on a removed file is no lock.
fn take_lock(path: &Path) -> Result<File, BindError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let failed = |error| BindError::Failed { path: PathBuf::from(&name), error };
    let mut options = OpenOptions::new();
    let lock = options.create(true).write(true).truncate(false).mode(0o600).open(&name);
    let lock = lock.map_err(failed)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(Errno::WOULDBLOCK) => Err(BindError::InUse(path.into())),
        Err(error) => Err(failed(error.into())),
    }
}

/// A control socket cannot be made.
#[derive(Debug)]
#[non_exhaustive]
pub enum BindError {
    /// A running program serves this path.
    InUse(PathBuf),
    /// The path is a file that is not a socket.
    NotASocket(PathBuf),
    /// The path is longer than the address of a socket.
    TooLong(PathBuf),
    /// The directory belongs to another user, or others can write to it.
    NotPrivate(PathBuf),
    /// The operating system refuses.
    Failed {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse(path) => {
                write!(f, "a running program has the control socket {}", path.display())
            }
            Self::NotASocket(path) => {
                write!(f, "{} exists and is not a socket; it is left as it is", path.display())
            }
            Self::TooLong(path) => {
                write!(f, "{} is too long for a socket; 107 bytes are allowed", path.display())
            }
            Self::NotPrivate(path) => {
                write!(f, "{} is not a directory that only this user can change", path.display())
            }
            Self::Failed { path, error } => {
                write!(f, "cannot make the control socket {}: {error}", path.display())
            }
        }
    }
}

impl Error for BindError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Failed { error, .. } => Some(error),
            _ => None,
        }
    }
}

/// The connections that wait to be accepted.
const BACKLOG: i32 = 128;
