//! What every caller's dialect has in common: a body of named fields, of which the gateway reads a few.

use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_wire::routing::FieldRule;

use crate::json::{self, Cursor};
use crate::request::read::{self, Trouble, shown};
use crate::request::rewrite::{check_range, unsupported};
use crate::request::{Field, RequestError};

/// A body that is kept, and what was found in it.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub body: Bytes,
    fields: Vec<Field>,
    /// Never empty.
    pub model: String,
    pub stream: bool,
    /// Bytes of text that the model will read.
    pub input_bytes: u64,
}

impl Envelope {
    /// Read a body in one pass. `each` passes the value of any field but `model` and `stream`, and adds to
    /// the count of input bytes.
    ///
    /// # Errors
    /// The body is no JSON object, or a field has a wrong type.
    pub(crate) fn read(
        body: Bytes,
        mut each: impl FnMut(&mut Cursor<'_>, &[u8], &mut u64) -> Result<(), Trouble>,
    ) -> Result<Self, RequestError> {
        let (mut model, mut stream, mut input_bytes) = (None, false, 0);
        let fields = read::members(&body, |cursor, key| {
            match key {
                b"model" => model = read::string(cursor, "model")?,
                b"stream" => stream = read::boolean(cursor, "stream")?,
                _ => each(cursor, key, &mut input_bytes)?,
            }
            Ok(())
        })?;
        Ok(Self { model: read::model(model)?, body, fields, stream, input_bytes })
    }

    /// The body for a target of the same dialect: model renamed; where the target lists its fields, checked
    /// and filtered by that list, `always` and `bookkeeping` aside.
    ///
    /// # Errors
    /// A field that the target does not take, or a value outside its range.
    pub(crate) fn rewritten(
        &self,
        model: &str,
        rules: Option<&BTreeMap<String, FieldRule>>,
        always: &[&str],
        bookkeeping: &[&str],
    ) -> Result<Bytes, RequestError> {
        if rules.is_none() && model == self.model {
            return Ok(self.body.clone());
        }
        let mut out = Vec::with_capacity(self.body.len() + model.len() + 16);
        out.push(b'{');
        for field in &self.fields {
            let is = |name: &&str| field.name.is(&self.body, name);
            let value = self.body.get(field.value.clone()).unwrap_or_default();
            let named = is(&"model");
            if let Some(rules) = rules.filter(|_| !named && !always.iter().any(is)) {
                let name = shown(&self.body, field.name);
                match rules.get(&name) {
                    _ if value == b"null" => continue,
                    Some(rule) => check_range(&name, value, rule)?,
                    None if bookkeeping.iter().any(is) => continue,
                    None => return Err(unsupported(&self.model, &name, rules)),
                }
            }
            if out.len() > 1 {
                out.push(b',');
            }
            if named {
                out.extend_from_slice(br#""model":"#);
                json::write_string(&mut out, model);
            } else {
                let whole = field.name.start - 1..field.value.end;
                out.extend_from_slice(self.body.get(whole).unwrap_or_default());
            }
        }
        out.push(b'}');
        Ok(out.into())
    }

    /// The value of a field as it stands in the body; empty where it is not there.
    pub(crate) fn value(&self, name: &str) -> &[u8] {
        let field = self.fields.iter().find(|field| field.name.is(&self.body, name));
        field.and_then(|field| self.body.get(field.value.clone())).unwrap_or_default()
    }

    /// A field is there and not null.
    pub(crate) fn has(&self, name: &str) -> bool {
        !matches!(self.value(name), b"" | b"null")
    }
}
