//! Parameters of a request, a tensor or an answer: names with scalars.

use crate::json::{self, Cursor, Kind};
use crate::request::{RequestError, Trouble, shown};

/// Most parameters in one place.
const MOST: usize = 64;

/// One value, as gRPC's `InferParameter` has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Bool(bool),
    Int(i64),
    Uint(u64),
    Double(f64),
    Text(String),
}

/// Names with values, in the order they came.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Parameters(Vec<(String, Value)>);

impl Parameters {
    /// Read the object here; `place` is its name in errors.
    pub(super) fn read(cursor: &mut Cursor<'_>, place: &str) -> Result<Self, Trouble> {
        let kind = cursor.kind()?;
        if kind == Kind::Null {
            cursor.skip()?;
            return Ok(Self::default());
        }
        if kind != Kind::Object {
            return Err(RequestError::wrong_type(place, "an object", kind).into());
        }
        cursor.enter();
        let (mut first, mut found) = (true, Self::default());
        while let Some(key) = cursor.key(&mut first)? {
            let Some(name) = key.decode(cursor.bytes()) else {
                return Err(RequestError::invalid(
                    place,
                    format!("`{place}` has a name that is no text"),
                )
                .into());
            };
            let param = format!("{place}.{}", shown(cursor.bytes(), key));
            let value = value(cursor, &param)?;
            found.add(name, value, place)?;
        }
        Ok(found)
    }

    /// Add one more.
    pub(super) fn add(
        &mut self,
        name: String,
        value: Value,
        place: &str,
    ) -> Result<(), RequestError> {
        if self.get(&name).is_some() {
            return Err(RequestError::twice(&format!("{place}.{name}")));
        }
        if self.0.len() == MOST {
            let message = format!("`{place}` has more than {MOST} parameters");
            return Err(RequestError::invalid(place, message));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Add one of our own.
    pub(super) fn put(&mut self, name: &str, value: Value) {
        self.0.push((name.to_owned(), value));
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Take one out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(at).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A whole number from 0.
    pub(super) fn whole(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Int(number) => u64::try_from(*number).ok(),
            Value::Uint(number) => Some(*number),
            _ => None,
        }
    }

    /// Write them as a JSON object, `extra` last.
    pub(super) fn write(&self, extra: Option<(&str, &Value)>, out: &mut Vec<u8>) {
        out.push(b'{');
        for (n, (name, value)) in self.iter().chain(extra).enumerate() {
            if n > 0 {
                out.push(b',');
            }
            json::write_string(out, name);
            out.push(b':');
            out.extend_from_slice(&value.text());
        }
        out.push(b'}');
    }
}

impl Value {
    /// The value as JSON.
    pub(super) fn text(&self) -> Vec<u8> {
        match self {
            Self::Bool(value) => value.to_string().into_bytes(),
            Self::Int(value) => value.to_string().into_bytes(),
            Self::Uint(value) => value.to_string().into_bytes(),
            // JSON has no other numbers.
            Self::Double(value) if !value.is_finite() => b"null".to_vec(),
            Self::Double(value) => format!("{value:?}").into_bytes(),
            Self::Text(text) => {
                let mut out = Vec::with_capacity(text.len() + 2);
                json::write_string(&mut out, text);
                out
            }
        }
    }
}

fn value(cursor: &mut Cursor<'_>, param: &str) -> Result<Value, Trouble> {
    let kind = cursor.kind()?;
    match kind {
        Kind::Bool => Ok(Value::Bool(cursor.boolean()?)),
        Kind::String => {
            let text = cursor.string()?.decode(cursor.bytes()).ok_or_else(|| {
                RequestError::invalid(param, format!("`{param}` holds half a surrogate pair"))
            })?;
            Ok(Value::Text(text))
        }
        Kind::Number => {
            let range = cursor.number()?;
            let text = std::str::from_utf8(cursor.slice(range)).unwrap_or_default();
            let whole = text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Uint));
            Ok(whole.unwrap_or_else(|_| Value::Double(text.parse().unwrap_or_default())))
        }
        _ => {
            let expected = "a string, a number, true or false";
            Err(RequestError::wrong_type(param, expected, kind).into())
        }
    }
}
