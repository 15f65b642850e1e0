//! What the organisation's secret is used for: opening credentials, and pseudonyms of users.

use std::fmt;

use http::{HeaderName, HeaderValue};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac;
use towpath_wire::routing::{AuthScheme, Credential};

use crate::ids;

/// Shortest secret that is taken.
pub const MIN_SECRET: usize = 32;

/// Why a credential cannot be opened. Says nothing of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("is not in the form `v1.<base64url>`")]
    Malformed,
    #[error("was sealed with another TOWPATH_SECRET_KEY, or altered")]
    WrongKey,
    #[error("holds characters that a header cannot carry")]
    NotAHeader,
}

/// Keys derived from `TOWPATH_SECRET_KEY`.
pub struct Secrets {
    seal: LessSafeKey,
    pseudonym: hmac::Key,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secrets(…)")
    }
}

impl Secrets {
    /// Derive all keys. `None` if the derivation fails, which it does not for keys of these lengths.
    pub fn new(secret: &str) -> Option<Self> {
        let seal = derive(secret, b"towpath/credential/v1")?;
        let pseudonym = derive(secret, b"towpath/pseudonym/v1")?;
        Some(Self {
            seal: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &seal).ok()?),
            pseudonym: hmac::Key::new(hmac::HMAC_SHA256, &pseudonym),
        })
    }

    /// Open a credential into the header that carries it.
    ///
    /// # Errors
    /// It was sealed with another secret or for another id, altered, or cannot stand in a header.
    pub fn open(
        &self,
        id: &str,
        credential: &Credential,
    ) -> Result<(HeaderName, HeaderValue), OpenError> {
        let sealed = credential.sealed.strip_prefix("v1.").ok_or(OpenError::Malformed)?;
        let mut bytes = base64url(sealed).ok_or(OpenError::Malformed)?;
        let (nonce, content) = bytes.split_at_mut_checked(NONCE_LEN).ok_or(OpenError::Malformed)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Malformed)?;
        let plain = self
            .seal
            .open_in_place(nonce, Aad::from(id.as_bytes()), content)
            .map_err(|_| OpenError::WrongKey)?;
        let (name, value) = match &credential.scheme {
            AuthScheme::Bearer => {
                let text = [b"Bearer ", &*plain].concat();
                (Ok(http::header::AUTHORIZATION), HeaderValue::from_bytes(&text))
            }
            AuthScheme::Header(name) => {
                (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(plain))
            }
        };
        let name = name.map_err(|_| OpenError::NotAHeader)?;
        let mut value = value.map_err(|_| OpenError::NotAHeader)?;
        value.set_sensitive(true);
        Ok((name, value))
    }

    /// The pseudonym of a caller's end user: stable, and useless without the secret.
    pub fn pseudonym(&self, user: &str) -> String {
        let tag = hmac::sign(&self.pseudonym, user.as_bytes());
        let half = tag.as_ref().first_chunk().map_or(0, |half| u128::from_be_bytes(*half));
        ids::hex(half, 32)
    }
}

struct Len32;

impl KeyType for Len32 {
    fn len(&self) -> usize {
        32
    }
}

fn derive(secret: &str, purpose: &[u8]) -> Option<[u8; 32]> {
    let mut key = [0; 32];
    let extracted = Salt::new(HKDF_SHA256, &[]).extract(secret.as_bytes());
    extracted.expand(&[purpose], Len32).ok()?.fill(&mut key).ok()?;
    Some(key)
}

/// Decode base64url without padding.
fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut pending, mut bits) = (0_u32, 0);
    for symbol in text.bytes() {
        let value = match symbol {
            b'A'..=b'Z' => symbol - b'A',
            b'a'..=b'z' => symbol - b'a' + 26,
            b'0'..=b'9' => symbol - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        pending = pending << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(pending >> bits & 0xff).ok()?);
        }
    }
    (bits < 6).then_some(bytes)
}

#[cfg(test)]
mod tests;
