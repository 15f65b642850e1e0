//! Where an upstream listens: read once, when the table is built.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::uri::Scheme;
use http::{HeaderValue, Uri};

use crate::tls::Tls;

/// A replica's address with everything prepared that a request needs. Cheap to clone; equal addresses
/// share connections whatever their prefixes.
#[derive(Clone)]
pub struct Address(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    place: Place,
    /// Scheme, host and port in one form, or the socket's path.
    origin: Arc<str>,
    /// Name of the pool: the origin and everything that decides whether a connection may be opened, so
    /// that no call gets a connection that was opened under other rules.
    pool: Arc<str>,
    reach: Reach,
    /// Absent: the pool's own.
    tls: Option<Tls>,
    host: HeaderValue,
    /// Before every path; without a slash at its end.
    prefix: String,
}

/// Who chose the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The platform: it is connected to as it stands.
    Own,
    /// Somebody by URL: the rules of [`crate::Egress`] hold.
    Checked,
}

/// What to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Tcp { host: String, port: u16 },
    Tls { host: String, port: u16 },
    Unix(PathBuf),
}

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("`{0}` is no address; write `http://host:port/prefix`, `https://…` or `unix:/path`")]
    Malformed(String),
    #[error("the address `{0}` has a user name or password; use a credential instead")]
    UserInfo(String),
    #[error("the address `{0}` has a query; only a path may follow the host")]
    Query(String),
    #[error("the address `{0}` has `.` or `..` in its path")]
    Dots(String),
    #[error("the socket path `{0}` is not absolute or longer than {MAX_SOCKET_PATH} bytes")]
    Socket(String),
}

/// Longest path that a Unix socket's address has room for on Linux, the zero at its end not counted.
pub const MAX_SOCKET_PATH: usize = 107;

impl Address {
    /// Read `http://host:port/prefix`, `https://…` or `unix:/path`. `unix_prefix` stands before the paths
    /// on Unix sockets, whose addresses have no room for one: `/v1` for the OpenAI dialect, else empty.
    ///
    /// # Errors
    /// It is none of these, or holds what does not belong in an address.
    pub fn parse(text: &str, unix_prefix: &str) -> Result<Self, AddressError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::unix(path, unix_prefix);
        }
        let malformed = || AddressError::Malformed(shown(text));
        let uri: Uri = text.parse().map_err(|_| malformed())?;
        let authority = uri.authority().ok_or_else(malformed)?;
        if authority.as_str().contains('@') {
            return Err(AddressError::UserInfo(shown(text)));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(AddressError::Query(shown(text)));
        }
        let host = authority.host();
        if host.is_empty() {
            return Err(malformed());
        }
        let port = match authority.port_u16() {
            // `host:` or a port beyond 65535.
            None if authority.as_str().len() > host.len() => return Err(malformed()),
            port => port,
        };
        let prefix = uri.path().trim_end_matches('/').to_owned();
        if prefix.split('/').any(|part| part == "." || part == "..") {
            return Err(AddressError::Dots(shown(text)));
        }
        let plain_host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let (place, origin) = match uri.scheme_str() {
            Some("http") => {
                let port = port.unwrap_or(80);
                (Place::Tcp { host: plain_host, port }, format!("http://{host}:{port}"))
            }
            Some("https") => {
                let port = port.unwrap_or(443);
                (Place::Tls { host: plain_host, port }, format!("https://{host}:{port}"))
            }
            _ => return Err(malformed()),
        };
        let header = HeaderValue::from_str(authority.as_str()).map_err(|_| malformed())?;
        let origin = origin.to_ascii_lowercase().into();
        Ok(Self::new(place, origin, header, prefix))
    }

    fn unix(path: &str, prefix: &str) -> Result<Self, AddressError> {
        if !Path::new(path).is_absolute() || path.len() > MAX_SOCKET_PATH || path.contains('\0') {
            return Err(AddressError::Socket(shown(path)));
        }
        let place = Place::Unix(PathBuf::from(path));
        let prefix = prefix.trim_end_matches('/').to_owned();
        let host = HeaderValue::from_static("localhost");
        Ok(Self::new(place, format!("unix:{path}").into(), host, prefix))
    }

    fn new(place: Place, origin: Arc<str>, host: HeaderValue, prefix: String) -> Self {
        let pool = Arc::clone(&origin);
        let reach = Reach::Own;
        Self(Arc::new(Inner { place, origin, pool, reach, tls: None, host, prefix }))
    }

    /// The same address, chosen by somebody outside the platform: the rules of [`crate::Egress`] hold.
    #[must_use]
    pub fn checked(&self) -> Self {
        let pool = format!("{} checked", self.0.pool).into();
        Self(Arc::new(Inner { pool, reach: Reach::Checked, ..Inner::clone(&self.0) }))
    }

    /// The same address, trusted by these certificate authorities instead of the pool's.
    #[must_use]
    pub fn trusting(&self, tls: &Tls) -> Self {
        let pool = format!("{} by {}", self.0.pool, tls.name()).into();
        Self(Arc::new(Inner { pool, tls: Some(tls.clone()), ..Inner::clone(&self.0) }))
    }

    /// Host and port, unless it is a socket.
    pub fn host_and_port(&self) -> Option<(String, u16)> {
        match &self.0.place {
            Place::Tcp { host, port } | Place::Tls { host, port } => Some((host.clone(), *port)),
            Place::Unix(_) => None,
        }
    }

    /// The same server without the prefix, for what is asked of the server and not of its API.
    #[must_use]
    pub fn root(&self) -> Self {
        Self(Arc::new(Inner { prefix: String::new(), ..Inner::clone(&self.0) }))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    /// Name of the pool that its connections are kept in.
    pub(crate) fn pool(&self) -> &Arc<str> {
        &self.0.pool
    }

    pub(crate) fn reach(&self) -> Reach {
        self.0.reach
    }

    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.0.tls.as_ref()
    }

    pub(crate) fn host(&self) -> &HeaderValue {
        &self.0.host
    }

    pub(crate) fn scheme(&self) -> Scheme {
        match self.0.place {
            Place::Tls { .. } => Scheme::HTTPS,
            Place::Tcp { .. } | Place::Unix(_) => Scheme::HTTP,
        }
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.0.prefix
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.origin, self.0.prefix)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.0.pool == other.0.pool && self.0.prefix == other.0.prefix
    }
}

impl Eq for Address {}

impl Hash for Address {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.pool.hash(state);
        self.0.prefix.hash(state);
    }
}

/// An address as it may stand in an error: its start, and never a password.
fn shown(text: &str) -> String {
    let text = match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let scheme = text.get(..scheme + 3).unwrap_or_default();
            Cow::Owned(format!("{scheme}…{}", text.get(at..).unwrap_or_default()))
        }
        _ => Cow::Borrowed(text),
    };
    text.chars().take(200).collect()
}

/// A name as one segment of a path: whatever could end or climb out of the segment is escaped.
pub fn path_segment(name: &str) -> Cow<'_, str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~' | b'.');
    if name.bytes().all(plain) && name != "." && name != ".." {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() * 2);
    for byte in name.bytes() {
        if plain(byte) && byte != b'.' {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
