//! Protocol buffers, as far as KServe's protocol and OpenTelemetry's need them: fields one by one, each with
//! the bytes it takes.
//!
//! Nothing is built before it is bounded, and what is not read keeps its bytes, so that a message can pass
//! with one field replaced.

use bytes::{BufMut, Bytes};

/// The bytes are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

/// One field's content, by wire type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Varint(u64),
    Fixed64([u8; 8]),
    /// A text, bytes, a message or packed numbers.
    Sized(Bytes),
    Fixed32([u8; 4]),
}

/// One field of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub number: u64,
    pub field: Field,
    /// Its bytes, tag included.
    pub whole: Bytes,
}

impl Field {
    /// A text.
    ///
    /// # Errors
    /// It is none.
    pub fn text(&self) -> Result<String, Broken> {
        let Self::Sized(bytes) = self else { return Err(Broken) };
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| Broken)
    }

    /// The bytes of a text, a message or packed numbers.
    ///
    /// # Errors
    /// It is a number.
    pub fn sized(&self) -> Result<&Bytes, Broken> {
        match self {
            Self::Sized(bytes) => Ok(bytes),
            _ => Err(Broken),
        }
    }

    /// A number.
    ///
    /// # Errors
    /// It is none of variable length.
    pub fn varint(&self) -> Result<u64, Broken> {
        match self {
            Self::Varint(number) => Ok(*number),
            _ => Err(Broken),
        }
    }
}

/// The fields of a message, in the order they came.
#[derive(Clone, Debug)]
pub struct Fields {
    message: Bytes,
    at: usize,
}

impl Fields {
    pub fn of(message: &Bytes) -> Self {
        Self { message: message.clone(), at: 0 }
    }

    /// The next field; `None` at the end.
    ///
    /// # Errors
    /// What comes is no field.
    #[expect(clippy::should_implement_trait, reason = "it can fail, and ends with that")]
    pub fn next(&mut self) -> Result<Option<Member>, Broken> {
        if self.at == self.message.len() {
            return Ok(None);
        }
        let start = self.at;
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(self.fixed()?),
            2 => {
                let size = usize::try_from(self.varint()?).map_err(|_| Broken)?;
                let end = self.at.checked_add(size).filter(|end| *end <= self.message.len());
                let end = end.ok_or(Broken)?;
                let bytes = self.message.slice(self.at..end);
                self.at = end;
                Field::Sized(bytes)
            }
            5 => Field::Fixed32(self.fixed()?),
            // Groups, which this protocol never had.
            _ => return Err(Broken),
        };
        let number = tag >> 3;
        if number == 0 {
            return Err(Broken);
        }
        Ok(Some(Member { number, field, whole: self.message.slice(start..self.at) }))
    }

    /// The next number of packed ones; `None` at the end.
    ///
    /// # Errors
    /// What comes is no number.
    pub fn packed(&mut self) -> Result<Option<u64>, Broken> {
        if self.at == self.message.len() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Result<u64, Broken> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.message.get(self.at).ok_or(Broken)?;
            self.at += 1;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(Broken);
            }
            value |= part << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Broken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let end = self.at + N;
        let bytes = self.message.get(self.at..end).and_then(|bytes| bytes.try_into().ok());
        self.at = end;
        bytes.ok_or(Broken)
    }
}

/// Append a number; 0 is written by leaving it out.
pub fn write_number(number: u64, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        write_varint(number << 3, out);
        write_varint(value, out);
    }
}

/// Append a text, bytes or a message, even an empty one.
pub fn write_sized(number: u64, bytes: &[u8], out: &mut Vec<u8>) {
    write_varint(number << 3 | 2, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Append a text unless it is empty.
pub fn write_text(number: u64, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        write_sized(number, text.as_bytes(), out);
    }
}

/// Append a double, even zero.
pub fn write_double(number: u64, value: f64, out: &mut Vec<u8>) {
    write_varint(number << 3 | 1, out);
    out.put_f64_le(value);
}

/// Append eight bytes, even if they are zero.
pub fn write_fixed64(number: u64, value: u64, out: &mut Vec<u8>) {
    write_varint(number << 3 | 1, out);
    out.put_u64_le(value);
}

/// Append four bytes, even if they are zero.
pub fn write_fixed32(number: u64, value: u32, out: &mut Vec<u8>) {
    write_varint(number << 3 | 5, out);
    out.put_u32_le(value);
}

/// Append a message, even an empty one, that `write` appends the fields of.
pub fn write_message(number: u64, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    write_varint(number << 3 | 2, out);
    // Its length stands before it and is known behind it: most fit in the one byte that is kept free.
    let start = out.len();
    out.push(0);
    write(out);
    match u8::try_from(out.len() - start - 1) {
        Ok(short @ ..0x80) => out[start] = short,
        _ => {
            let mut length = Vec::with_capacity(10);
            write_varint((out.len() - start - 1) as u64, &mut length);
            out.splice(start..=start, length);
        }
    }
}

/// Append a number, with no tag.
pub fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}
