//! A tensor, as JSON or as raw bytes, and from one to the other.

use bytes::Bytes;
use half::{bf16, f16};

use crate::json::{self, Cursor, Kind};
use crate::kserve::MAX_DIMENSIONS;
use crate::kserve::parameters::Parameters;
use crate::predict::{Datatype, Width};
use crate::request::{RequestError, Trouble};

/// Length before each element of a raw `BYTES` tensor.
const LENGTH: usize = 4;

/// One input or output.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    pub name: String,
    pub datatype: Datatype,
    pub shape: Vec<u64>,
    /// Without those of the protocol itself.
    pub parameters: Parameters,
    pub data: Data,
}

/// Its elements, checked to be as many as the shape says.
#[derive(Clone, Debug)]
pub(super) enum Data {
    /// A JSON array, flat or nested.
    Json(Bytes),
    /// Little-endian, one after the other; texts with their length before them.
    Raw(Bytes),
}

impl Tensor {
    /// Elements that the shape asks for.
    pub(super) fn size(shape: &[u64]) -> Option<usize> {
        let size = shape.iter().try_fold(1_u64, |all, &dim| all.checked_mul(dim))?;
        usize::try_from(size).ok()
    }

    /// The elements as raw bytes.
    pub(super) fn raw(&self) -> Result<Bytes, RequestError> {
        match &self.data {
            Data::Raw(bytes) => Ok(bytes.clone()),
            Data::Json(text) => {
                let width = self.datatype.bytes().unwrap_or(LENGTH + 16);
                let size = Self::size(&self.shape).unwrap_or_default();
                let mut out = Vec::with_capacity(size.saturating_mul(width).min(text.len() * 4));
                let cursor = &mut Cursor::new(text);
                self.flatten(cursor, &mut out).map_err(|trouble| trouble.in_body(text))?;
                Ok(out.into())
            }
        }
    }

    /// The elements as a JSON array, flat where they were raw.
    pub(super) fn json(&self) -> Result<Bytes, RequestError> {
        match &self.data {
            Data::Json(text) => Ok(text.clone()),
            Data::Raw(bytes) => {
                let mut out = Vec::with_capacity(bytes.len() * 3);
                out.push(b'[');
                self.write_elements(bytes, &mut out)?;
                out.push(b']');
                Ok(out.into())
            }
        }
    }

    fn flatten(&self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Trouble> {
        cursor.enter();
        let mut first = true;
        while cursor.element(&mut first)? {
            if cursor.kind()? == Kind::Array {
                // As deep as `counted` let it be.
                self.flatten(cursor, out)?;
            } else {
                self.push(cursor, out)?;
            }
        }
        Ok(())
    }

    fn push(&self, cursor: &mut Cursor<'_>, out: &mut Vec<u8>) -> Result<(), Trouble> {
        let wrong = |text: &str| {
            let shown: String = text.chars().take(40).collect();
            let name = &self.name;
            let message = format!(
                "`{name}` holds {shown}, which is not {} ({})",
                self.datatype.expected(),
                self.datatype.name()
            );
            Trouble::from(RequestError::invalid(name, message))
        };
        match self.datatype {
            Datatype::Bool => out.push(u8::from(cursor.boolean()?)),
            Datatype::Bytes => {
                let text = cursor.string()?;
                let text = text.decode(cursor.bytes()).ok_or_else(|| wrong("no text"))?;
                push_text(text.as_bytes(), out);
            }
            Datatype::Signed(_) | Datatype::Unsigned(_) => {
                let range = cursor.number()?;
                let text = std::str::from_utf8(cursor.slice(range)).unwrap_or_default();
                let number = self.datatype.whole(text).ok_or_else(|| wrong(text))?;
                self.push_whole(number, out);
            }
            Datatype::Float(width) => {
                let range = cursor.number()?;
                let text = std::str::from_utf8(cursor.slice(range)).unwrap_or_default();
                if !width.holds(text) {
                    return Err(wrong(text));
                }
                let number: f64 = text.parse().unwrap_or_default();
                match width {
                    Width::Half => out.extend_from_slice(&f16::from_f64(number).to_le_bytes()),
                    Width::Brain => out.extend_from_slice(&bf16::from_f64(number).to_le_bytes()),
                    // Read anew: by way of a double it might be rounded twice.
                    Width::Single => {
                        let number: f32 = text.parse().unwrap_or_default();
                        out.extend_from_slice(&number.to_le_bytes());
                    }
                    Width::Double => out.extend_from_slice(&number.to_le_bytes()),
                }
            }
        }
        Ok(())
    }

    /// Append a whole number that is in range.
    pub(super) fn push_whole(&self, number: i128, out: &mut Vec<u8>) {
        let width = self.datatype.bytes().unwrap_or_default();
        out.extend_from_slice(number.to_le_bytes().get(..width).unwrap_or_default());
    }

    fn write_elements(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), RequestError> {
        let mut first = true;
        let mut comma = |out: &mut Vec<u8>| {
            if !std::mem::take(&mut first) {
                out.push(b',');
            }
        };
        let Some(width) = self.datatype.bytes() else {
            for text in texts(bytes) {
                let text =
                    text.and_then(|text| std::str::from_utf8(text).ok()).ok_or_else(|| {
                        let message = format!("`{}` holds bytes that are no text", self.name);
                        RequestError::invalid(&self.name, message)
                            .fix("Send and ask for it as binary data.")
                    })?;
                comma(out);
                json::write_string(out, text);
            }
            return Ok(());
        };
        for element in bytes.chunks_exact(width) {
            comma(out);
            self.write_element(element, out).ok_or_else(|| {
                let message = format!("`{}` holds a number that JSON does not have", self.name);
                RequestError::invalid(&self.name, message).fix("Ask for it as binary data.")
            })?;
        }
        Ok(())
    }

    /// Write one element; `None` if JSON cannot say it.
    fn write_element(&self, element: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let text = match self.datatype {
            Datatype::Bytes => return None,
            Datatype::Bool => (element != [0]).to_string(),
            Datatype::Signed(_) | Datatype::Unsigned(_) => {
                let negative = matches!(self.datatype, Datatype::Signed(_))
                    && element.last().is_some_and(|byte| *byte >= 0x80);
                let mut wide = [if negative { 0xff } else { 0 }; 16];
                wide.get_mut(..element.len())?.copy_from_slice(element);
                i128::from_le_bytes(wide).to_string()
            }
            Datatype::Float(Width::Half) => {
                number(f16::from_le_bytes(element.try_into().ok()?).to_f32())?
            }
            Datatype::Float(Width::Brain) => {
                number(bf16::from_le_bytes(element.try_into().ok()?).to_f32())?
            }
            Datatype::Float(Width::Single) => number(f32::from_le_bytes(element.try_into().ok()?))?,
            Datatype::Float(Width::Double) => {
                let wide = f64::from_le_bytes(element.try_into().ok()?);
                wide.is_finite().then(|| format!("{wide:?}"))?
            }
        };
        out.extend_from_slice(text.as_bytes());
        Some(())
    }
}

/// The shortest text that names this number and no other.
fn number(value: f32) -> Option<String> {
    value.is_finite().then(|| format!("{value:?}"))
}

/// Append a text as raw `BYTES` have it.
pub(super) fn push_text(text: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text);
}

/// The texts of raw `BYTES`; the last is `None` where a length goes past the end.
fn texts(bytes: &[u8]) -> impl Iterator<Item = Option<&[u8]>> {
    let mut rest = Some(bytes);
    std::iter::from_fn(move || {
        let bytes = rest.take().filter(|bytes| !bytes.is_empty())?;
        let split = bytes.split_first_chunk::<LENGTH>().and_then(|(length, after)| {
            after.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        });
        rest = split.map(|(_, after)| after);
        Some(split.map(|(text, _)| text))
    })
}

/// Check that raw bytes hold this many elements.
pub(super) fn check_raw(
    name: &str,
    datatype: Datatype,
    shape: &[u64],
    bytes: &[u8],
) -> Result<(), RequestError> {
    let wanted = Tensor::size(shape);
    let Some(width) = datatype.bytes() else {
        let mut count = 0_usize;
        for text in texts(bytes) {
            if text.is_none() {
                let message = format!("element {count} of `{name}` goes past the end of its bytes");
                return Err(RequestError::invalid(name, message));
            }
            count += 1;
        }
        return if wanted == Some(count) { Ok(()) } else { Err(miscounted(name, count, shape)) };
    };
    let size = wanted.and_then(|wanted| wanted.checked_mul(width));
    if size == Some(bytes.len()) {
        return Ok(());
    }
    let message = format!(
        "`{name}` has {} bytes, but {shape:?} of {} takes {}",
        bytes.len(),
        datatype.name(),
        size.map_or("more than there can be".to_owned(), |size| size.to_string()),
    );
    Err(RequestError::invalid(name, message))
}

/// Check that the array here holds this many elements of this type, and pass it.
pub(super) fn counted(
    cursor: &mut Cursor<'_>,
    name: &str,
    datatype: Datatype,
    shape: &[u64],
) -> Result<(), Trouble> {
    let kind = cursor.kind()?;
    if kind != Kind::Array {
        let place = format!("{name}.data");
        return Err(RequestError::wrong_type(&place, "an array", kind).into());
    }
    let mut count = 0;
    count_level(cursor, name, datatype, 0, &mut count)?;
    if Tensor::size(shape) == Some(count) {
        Ok(())
    } else {
        Err(miscounted(name, count, shape).into())
    }
}

fn count_level(
    cursor: &mut Cursor<'_>,
    name: &str,
    datatype: Datatype,
    depth: usize,
    count: &mut usize,
) -> Result<(), Trouble> {
    if depth == MAX_DIMENSIONS {
        let message = format!("`{name}` is nested deeper than {MAX_DIMENSIONS} levels");
        return Err(RequestError::invalid(name, message).into());
    }
    let fits = match datatype {
        Datatype::Bool => Kind::Bool,
        Datatype::Bytes => Kind::String,
        _ => Kind::Number,
    };
    cursor.enter();
    let mut first = true;
    while cursor.element(&mut first)? {
        let kind = cursor.kind()?;
        if kind == Kind::Array {
            count_level(cursor, name, datatype, depth + 1, count)?;
        } else if kind == fits {
            cursor.skip()?;
            *count += 1;
        } else {
            let param = format!("{name}.data[{count}]");
            let expected = format!("{} ({})", datatype.expected(), datatype.name());
            return Err(RequestError::wrong_type(&param, &expected, kind).into());
        }
    }
    Ok(())
}

fn miscounted(name: &str, count: usize, shape: &[u64]) -> RequestError {
    let message = format!("`{name}` has {count} elements, which is not its shape {shape:?}");
    RequestError::invalid(name, message).fix("Send as many elements as the shape says.")
}
