//! Ids: a prefix and a UUIDv7 in 26 characters of lower-case Crockford base32.

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Make an id from the time and 74 random bits.
pub fn new(prefix: &str, time_ms: i64, random: u128) -> String {
    let time = u128::from(time_ms.unsigned_abs()) << 80;
    let below = random & ((1 << 74) - 1);
    let (high, low) = (below >> 62, below & ((1 << 62) - 1));
    let uuid = time | 0x7 << 76 | high << 64 | 0b10 << 62 | low;
    let mut id = String::with_capacity(prefix.len() + 27);
    id.push_str(prefix);
    id.push('_');
    for place in (0..26).rev() {
        let digit = (uuid >> (place * 5)) & 31;
        id.push(char::from(ALPHABET[digit as usize]));
    }
    id
}

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hex of so many low digits, at most 32.
pub fn hex(value: u128, digits: usize) -> String {
    (0..digits).rev().map(|place| char::from(HEX[(value >> (place * 4) & 15) as usize])).collect()
}

#[cfg(test)]
mod tests;
