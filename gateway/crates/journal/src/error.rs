//! Why the journal cannot be opened, or takes no record.

use std::io;
use std::path::PathBuf;

/// Why a journal cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("journal setting `{setting}`: {message}")]
    Setting { setting: &'static str, message: String },
    #[error("cannot {action} `{}`", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "the journal `{}` is in use by another gateway; stop that one, or give this one a folder of its own",
        .0.display()
    )]
    InUse(PathBuf),
    #[error(
        "`{}` has journal format {found}, this gateway has {known}; start the gateway that wrote it, and let it ship its records first",
        path.display()
    )]
    Other { path: PathBuf, found: u32, known: u32 },
    #[error(
        "`{}` belongs to the gateway `{found}`, this is `{own}`; each gateway needs a journal folder of its own",
        path.display()
    )]
    Foreign { path: PathBuf, found: String, own: String },
}

/// Why no record can be begun. Each reason but `TooLarge` also makes the journal not ready.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BeginError {
    #[error(
        "the journal is full: {unshipped} records wait to be shipped and {open} are open, in {max_bytes} bytes; it frees itself once the control plane takes records again, or raise `journal_max_bytes`"
    )]
    Full { unshipped: u64, open: u64, max_bytes: u64 },
    #[error("the journal cannot grow: {reason}; free space, this is retried every second")]
    NoSpace { reason: String },
    #[error(
        "the journal cannot be written to disk: {reason}; check the disk and restart the gateway"
    )]
    Failed { reason: String },
    #[error(
        "the record needs {bytes} bytes, more than the {max} a record may have; send shorter labels"
    )]
    TooLarge { bytes: usize, max: usize },
}

impl BeginError {
    /// Stable name of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full { .. } => "journal_full",
            Self::NoSpace { .. } => "journal_no_space",
            Self::Failed { .. } => "journal_failed",
            Self::TooLarge { .. } => "record_too_large",
        }
    }
}
