//! The element types of V2 tensors.

use crate::json::{Cursor, Kind};
use crate::request::Trouble;

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Datatype {
    Bool,
    /// Whole numbers of this many bits.
    Signed(u32),
    Unsigned(u32),
    /// Numbers whose largest finite value is this exponent of 2 (rounded up), by width.
    Float(Width),
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Half,
    Brain,
    Single,
    Double,
}

/// An element is not of its type.
pub(crate) struct Mismatch {
    pub expected: String,
    pub found: String,
}

impl Datatype {
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "BOOL" => Self::Bool,
            "INT8" => Self::Signed(8),
            "INT16" => Self::Signed(16),
            "INT32" => Self::Signed(32),
            "INT64" => Self::Signed(64),
            "UINT8" => Self::Unsigned(8),
            "UINT16" => Self::Unsigned(16),
            "UINT32" => Self::Unsigned(32),
            "UINT64" => Self::Unsigned(64),
            "FP16" => Self::Float(Width::Half),
            "BF16" => Self::Float(Width::Brain),
            "FP32" => Self::Float(Width::Single),
            "FP64" => Self::Float(Width::Double),
            "BYTES" => Self::Bytes,
            _ => return None,
        })
    }

    /// The name, as [`Self::named`] takes it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Signed(8) => "INT8",
            Self::Signed(16) => "INT16",
            Self::Signed(32) => "INT32",
            Self::Signed(_) => "INT64",
            Self::Unsigned(8) => "UINT8",
            Self::Unsigned(16) => "UINT16",
            Self::Unsigned(32) => "UINT32",
            Self::Unsigned(_) => "UINT64",
            Self::Float(Width::Half) => "FP16",
            Self::Float(Width::Brain) => "BF16",
            Self::Float(Width::Single) => "FP32",
            Self::Float(Width::Double) => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Bytes of one element; `None` where elements differ.
    pub(crate) fn bytes(self) -> Option<usize> {
        match self {
            Self::Bool => Some(1),
            Self::Signed(bits) | Self::Unsigned(bits) => usize::try_from(bits / 8).ok(),
            Self::Float(Width::Half | Width::Brain) => Some(2),
            Self::Float(Width::Single) => Some(4),
            Self::Float(Width::Double) => Some(8),
            Self::Bytes => None,
        }
    }

    /// The whole number that a text names, if it is in range.
    pub(crate) fn whole(self, text: &str) -> Option<i128> {
        self.integer(text)?.or_else(|| text.parse().ok())
    }

    /// What to send, in words.
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Bytes => "a string".to_owned(),
            Self::Float(_) => "a number".to_owned(),
            Self::Signed(_) | Self::Unsigned(_) => {
                let (low, high) = self.bounds();
                format!("a whole number from {low} to {high}")
            }
        }
    }

    /// Smallest and largest whole number.
    pub(crate) fn bounds(self) -> (i128, i128) {
        match self {
            Self::Signed(bits) => (-(1 << (bits - 1)), (1 << (bits - 1)) - 1),
            Self::Unsigned(bits) => (0, (1 << bits) - 1),
            _ => (0, 0),
        }
    }

    /// Check the scalar here and append its text.
    pub(crate) fn copy(
        self,
        cursor: &mut Cursor<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Result<(), Mismatch>, Trouble> {
        let kind = cursor.kind()?;
        let fits = match self {
            Self::Bool => Kind::Bool,
            Self::Bytes => Kind::String,
            _ => Kind::Number,
        };
        if kind != fits {
            return Ok(Err(Mismatch { expected: self.expected(), found: kind.name().to_owned() }));
        }
        let value = cursor.skip()?;
        let raw = cursor.slice(value);
        let text = std::str::from_utf8(raw).unwrap_or_default();
        let number = match self {
            Self::Bool | Self::Bytes => Some(None),
            Self::Float(width) => width.holds(text).then_some(None),
            Self::Signed(_) | Self::Unsigned(_) => self.integer(text),
        };
        match number {
            None => return Ok(Err(Mismatch { expected: self.expected(), found: excerpt(text) })),
            Some(None) => out.extend_from_slice(raw),
            Some(Some(number)) => out.extend_from_slice(number.to_string().as_bytes()),
        }
        Ok(Ok(()))
    }

    /// Whether the number is in range; a whole number written as `3.0` or `3e0`, as many libraries do,
    /// comes back as what to send instead.
    #[expect(clippy::option_option, reason = "refused, as it is, or written anew")]
    fn integer(self, text: &str) -> Option<Option<i128>> {
        let (low, high) = self.bounds();
        if let Ok(number) = text.parse::<i128>() {
            return (low..=high).contains(&number).then_some(None);
        }
        // Beyond 2^53 a fraction or exponent no longer names one whole number.
        let number = text.parse::<f64>().ok()?;
        if number.fract() != 0.0 || number.abs() > 9_007_199_254_740_992.0 {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
        let number = number as i128;
        (low..=high).contains(&number).then_some(Some(number))
    }
}

impl Width {
    /// Whether the type has a finite value for this number.
    pub(crate) fn holds(self, text: &str) -> bool {
        let Ok(number) = text.parse::<f64>() else { return false };
        let largest = match self {
            Self::Half => 65_504.0,
            // The largest brain float and single: half a step above still rounds to them.
            Self::Brain => 3.39e38,
            Self::Single => f64::from(f32::MAX),
            Self::Double => f64::MAX,
        };
        number.abs() <= largest
    }
}

/// The number as it may be shown back.
fn excerpt(text: &str) -> String {
    if text.len() <= 40 {
        text.to_owned()
    } else {
        format!("{}…", text.get(..40).unwrap_or_default())
    }
}
