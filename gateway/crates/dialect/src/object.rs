//! Objects of callers' bodies that are translated: each member is taken by name, and what nobody took is
//! refused by its path, so that nothing is dropped in silence.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::json::Kind;
use crate::request::{RequestCode, RequestError};

/// One object, with the path where it stands in the body.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    path: String,
    members: Vec<(Cow<'a, str>, &'a RawValue)>,
}

struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A key that borrows unless it is escaped.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some((Name(name), value)) = map.next_entry()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(All)
    }
}

fn kind(raw: &RawValue) -> Kind {
    Kind::of(raw.get().bytes().next()).unwrap_or(Kind::Null)
}

/// A string value; the only way it can fail is half a surrogate pair.
pub(crate) fn string<'a>(path: &str, raw: &'a RawValue) -> Result<Cow<'a, str>, RequestError> {
    if kind(raw) != Kind::String {
        return Err(RequestError::wrong_type(path, "a string", kind(raw)));
    }
    serde_json::from_str::<Name<'a>>(raw.get())
        .map(|name| name.0)
        .map_err(|_| RequestError::invalid(path, format!("`{path}` holds half a surrogate pair")))
}

/// The elements of a list.
pub(crate) fn list<'a>(path: &str, raw: &'a RawValue) -> Result<Vec<&'a RawValue>, RequestError> {
    serde_json::from_str(raw.get())
        .map_err(|_| RequestError::wrong_type(path, "an array", kind(raw)))
}

/// Either a text, or a list of parts.
pub(crate) enum TextOr<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<&'a RawValue>),
}

impl<'a> TextOr<'a> {
    pub(crate) fn read(path: &str, raw: &'a RawValue) -> Result<Self, RequestError> {
        match kind(raw) {
            Kind::String => string(path, raw).map(Self::Text),
            Kind::Array => list(path, raw).map(Self::Parts),
            other => Err(RequestError::wrong_type(path, "a string or an array of parts", other)),
        }
    }
}

impl<'a> Object<'a> {
    /// The body itself.
    pub(crate) fn body(body: &'a [u8]) -> Result<Self, RequestError> {
        let wrong = |_| RequestError::new(RequestCode::InvalidJson, "the body is not JSON".into());
        Self::read(String::new(), serde_json::from_slice(body).map_err(wrong)?)
    }

    pub(crate) fn read(path: String, raw: &'a RawValue) -> Result<Self, RequestError> {
        if kind(raw) != Kind::Object {
            return Err(RequestError::wrong_type(&path, "an object", kind(raw)));
        }
        let Members(members) = serde_json::from_str(raw.get()).map_err(|_| {
            RequestError::invalid(path.clone(), format!("`{path}` holds half a surrogate pair"))
        })?;
        let object = Self { path, members };
        for (at, (name, _)) in object.members.iter().enumerate() {
            if object.members.iter().take(at).any(|(before, _)| before == name) {
                return Err(RequestError::twice(&object.at(name)));
            }
        }
        Ok(object)
    }

    /// Path of a member.
    pub(crate) fn at(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Take a member; null is one that is not there.
    pub(crate) fn take(&mut self, name: &str) -> Option<&'a RawValue> {
        let at = self.members.iter().position(|(known, _)| known == name)?;
        let (_, raw) = self.members.swap_remove(at);
        (raw.get() != "null").then_some(raw)
    }

    pub(crate) fn string(&mut self, name: &str) -> Result<Option<Cow<'a, str>>, RequestError> {
        let path = self.at(name);
        self.take(name).map(|raw| string(&path, raw)).transpose()
    }

    pub(crate) fn need_string(&mut self, name: &str) -> Result<String, RequestError> {
        let found = self.string(name)?.map(Cow::into_owned);
        found.ok_or_else(|| RequestError::missing(&self.at(name), "a string"))
    }

    pub(crate) fn object(&mut self, name: &str) -> Result<Option<Object<'a>>, RequestError> {
        let path = self.at(name);
        self.take(name).map(|raw| Object::read(path, raw)).transpose()
    }

    pub(crate) fn list(&mut self, name: &str) -> Result<Vec<&'a RawValue>, RequestError> {
        let path = self.at(name);
        self.take(name).map_or(Ok(Vec::new()), |raw| list(&path, raw))
    }

    /// A number, as it is written.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<&'a RawValue>, RequestError> {
        let path = self.at(name);
        match self.take(name) {
            Some(raw) if kind(raw) != Kind::Number => {
                Err(RequestError::wrong_type(&path, "a number", kind(raw)))
            }
            number => Ok(number),
        }
    }

    pub(crate) fn whole(&mut self, name: &str) -> Result<Option<u64>, RequestError> {
        let path = self.at(name);
        let Some(raw) = self.number(name)? else { return Ok(None) };
        crate::json::whole(raw.get().as_bytes()).map(Some).ok_or_else(|| {
            RequestError::invalid(path.clone(), format!("`{path}` must be a whole number from 0"))
        })
    }

    pub(crate) fn boolean(&mut self, name: &str) -> Result<Option<bool>, RequestError> {
        let path = self.at(name);
        match self.take(name).map(|raw| (raw.get(), kind(raw))) {
            None => Ok(None),
            Some(("true", _)) => Ok(Some(true)),
            Some(("false", _)) => Ok(Some(false)),
            Some((_, found)) => Err(RequestError::wrong_type(&path, "true or false", found)),
        }
    }

    /// Refuse a member that says anything but one of these values.
    pub(crate) fn only(&mut self, name: &str, values: &[&str]) -> Result<(), RequestError> {
        match self.take(name) {
            Some(raw) if !values.contains(&raw.get()) => {
                let given = values.first().filter(|_| values.len() == 1);
                let mut error = unsaid(&self.at(name));
                if let Some(only) = given {
                    error = error.fix(format!("Remove `{}`, or send `{only}`.", self.at(name)));
                }
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Leave these members out, whatever they say.
    pub(crate) fn leave(&mut self, names: &[&str]) {
        self.members.retain(|(name, _)| !names.contains(&name.as_ref()));
    }

    /// Refuse the first member that nobody has taken.
    pub(crate) fn done(self) -> Result<(), RequestError> {
        match self.members.iter().find(|(_, raw)| raw.get() != "null") {
            Some((name, _)) => {
                let shown: String = name.chars().take(64).collect();
                Err(unsaid(&self.at(&shown)))
            }
            None => Ok(()),
        }
    }
}

/// The refusal of what the target's dialect has no words for.
pub(crate) fn unsaid(path: &str) -> RequestError {
    RequestError::new(
        RequestCode::UnsupportedField,
        format!("`{path}` cannot be told to this model's server, which speaks another dialect"),
    )
    .about(path)
    .fix(format!("Remove `{path}`, or use a model whose server speaks the dialect of this route."))
}
