//! Where an upstream listens, read once when the table is built.

/// A replica's address with everything a request needs prepared. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {}

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("`{0}` is no address")]
    Malformed(String),
}

impl Address {
    /// `http://host:port/prefix`, `https://…` or `unix:/path`. `unix_prefix` stands before paths on Unix
    /// sockets, whose addresses have no room for one (`/v1` for the OpenAI dialect, else empty).
    pub fn parse(text: &str, unix_prefix: &str) -> Result<Self, AddressError> {
        let _ = (text, unix_prefix);
        todo!()
    }
}
