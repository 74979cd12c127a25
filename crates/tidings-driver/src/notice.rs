//! Notices: what goes wrong beside a node, and does not disturb it.

use crate::discovery::{SeedSource, SourceError};
use crate::snapshot::SnapshotDefect;
use std::path::PathBuf;
use std::sync::Arc;
use std::{fmt, io};

/// Something that went wrong beside a node: with a source of seeds, or with its snapshot.
///
/// The node runs on. `{}` writes a line for people.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice {
    /// A source of seeds failed; its earlier addresses remain. The next failure is told after it
    /// has worked in between.
    SourceFailed {
        /// The source.
        source: SeedSource,
        /// The reason.
        error: SourceError,
    },
    /// The sources have more addresses than a node takes; the last ones are left out.
    TooManySeeds {
        /// The number of addresses.
        found: usize,
        /// The limit.
        max: usize,
    },
    /// The snapshot cannot be used, and was renamed; the node starts without.
    SnapshotSetAside {
        /// The snapshot's file.
        path: PathBuf,
        /// The file that it is now, in place of an earlier one.
        set_aside: PathBuf,
        /// The reason.
        reason: SnapshotDefect,
    },
    /// The snapshot cannot be read, written or renamed. The next failure is told after it has
    /// worked in between.
    SnapshotFailed {
        /// The snapshot's file.
        path: PathBuf,
        /// The operating system's reason.
        error: io::Error,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SourceFailed { source, error } => write!(f, "seeds of {source}: {error}"),
            Self::TooManySeeds { found, max } => {
                write!(f, "the sources have {found} seeds; a node takes {max}")
            }
            Self::SnapshotSetAside { path, set_aside, reason } => write!(
                f,
                "the snapshot {} is not used: {reason}; it is {} now",
                path.display(),
                set_aside.display()
            ),
            Self::SnapshotFailed { path, error } => {
                write!(f, "the snapshot {}: {error}", path.display())
            }
        }
    }
}

/// Where notices go: nowhere, or to the application.
#[derive(Clone, Default)]
pub(crate) struct Notices(Option<Arc<dyn Fn(Notice) + Send + Sync>>);

impl Notices {
    pub(crate) fn to(tell: impl Fn(Notice) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(crate) fn tell(&self, notice: Notice) {
        if let Some(tell) = &self.0 {
            tell(notice);
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Notices").field(&self.0.is_some()).finish()
    }
}
