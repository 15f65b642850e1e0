//! `towpath-gateway revoke`: stop a key at this gateway while the control plane is away.
//!
//! A line in the gateway's own folder, which the running gateway takes within a second and every later
//! start takes again. The control plane knows nothing of it: the key must be revoked there, too.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use towpath_policy::KeyHash;
use towpath_wire::routing::Revocation;

use crate::link::{Store, StoreError, rebuild};

/// Why nothing was revoked.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    #[error("usage: towpath-gateway revoke --data DIR KEY|KEY_ID|-")]
    Usage,
    #[error("`{0}` is no folder of a gateway")]
    Folder(String),
    #[error("no key of the gateway's table has the id `{0}`")]
    Unknown(String),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the key cannot be read: {0}")]
    Input(#[from] io::Error),
}

impl RevokeError {
    /// What to do about it.
    pub fn fix(&self) -> &'static str {
        match self {
            Self::Usage => "Name the gateway's data folder, and the key or its id; `-` reads it.",
            Self::Folder(_) => "Name the folder that the gateway was started with as `--data`.",
            Self::Unknown(_) => {
                "Give the whole key instead: it need not be in the table to be revoked."
            }
            Self::Store(_) => "Run it as the user that the gateway runs as.",
            Self::Input(_) => "Write the key, and nothing else, to standard input.",
        }
    }
}

/// Revoke a key; returns what to tell whoever asked.
///
/// # Errors
/// The folder is none of a gateway, or the id is not in its table.
pub fn run(arguments: &[&str]) -> Result<String, RevokeError> {
    let (data, what) = match arguments {
        ["--data", data, what] | [what, "--data", data] => (PathBuf::from(data), *what),
        _ => return Err(RevokeError::Usage),
    };
    let mut given = String::new();
    if what == "-" {
        io::stdin().lock().take(MAX_KEY).read_to_string(&mut given)?;
    } else {
        given.push_str(what);
    }
    revoke(&data, given.trim())
}

/// What every key begins with, and no id.
const KEYS: &str = "tp_";
/// Longest key that is read: ours have some sixty characters.
const MAX_KEY: u64 = 4_096;

fn revoke(data: &Path, given: &str) -> Result<String, RevokeError> {
    let folder = data.join("table");
    if !folder.is_dir() || given.is_empty() {
        return Err(RevokeError::Folder(data.display().to_string()));
    }
    let mut store = Store::open(folder)?;
    let (table, _) = rebuild(&store.load()?);
    let revocation = if let Some(key) = table.key_of(given) {
        Revocation { key_id: given.to_owned(), hash: key.hash.to_hex() }
    } else if !given.starts_with(KEYS) {
        return Err(RevokeError::Unknown(given.chars().take(64).collect()));
    } else {
        let hash = KeyHash::of(given.as_bytes());
        let known = table.key(&hash).map(|key| key.id.to_string());
        Revocation { key_id: known.unwrap_or_default(), hash: hash.to_hex() }
    };
    store.revoke_here(&revocation)?;
    let name = match revocation.key_id.as_str() {
        "" => "the key, which is not in the table",
        id => id,
    };
    Ok(format!("revoked {name} at this gateway; revoke it at the control plane, too"))
}
