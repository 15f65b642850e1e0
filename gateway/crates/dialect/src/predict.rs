//! Predict in, KServe V2 REST out, and back, through the model's signature.
//!
//! Callers send rows, engines take columns. Values are checked one by one and copied as the text they
//! came as, so no number changes on the way.

mod columns;
mod datatype;
mod rows;

use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_wire::routing::{FieldRule, Signature};

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::json::{self, Cursor, Kind};
use crate::request::{RequestCode, RequestError, Trouble, check_range, expect, shown};

pub(crate) use columns::Column;
pub(crate) use datatype::{Datatype, Width};
pub(crate) use rows::{Outputs, Tensor};

/// A V2 inference request, for `POST /v2/models/{m}/infer`.
#[derive(Clone, Debug)]
pub struct V2Call {
    pub body: Bytes,
    /// Inputs in it; the answer must have as many outputs.
    pub batch: usize,
}

/// The caller's answer.
#[derive(Clone, Debug)]
pub struct V2Answer {
    pub body: Bytes,
    /// As far as the engine reports it (`parameters.input_tokens`).
    pub usage: Usage,
}

/// What served a prediction, for the answer's `model` and `request_id`.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    pub name: &'a str,
    pub version: Option<u32>,
    pub digest: Option<&'a str>,
    pub request_id: &'a str,
}

/// Translate a predict body, `{"inputs": […], "parameters": {…}}`. An input is an object by input name,
/// or the value itself where the signature has one input. `parameters` are the target's `request_fields`;
/// `None`: all pass.
///
/// # Errors
/// The body is not JSON, or an input does not fit the signature.
pub fn to_v2(
    body: &[u8],
    signature: &Signature,
    parameters: Option<&BTreeMap<String, FieldRule>>,
) -> Result<V2Call, RequestError> {
    RequestError::check_utf8(body)?;
    translate(body, signature, parameters).map_err(|trouble| trouble.in_body(body))
}

/// Translate the upstream's answer: outputs in the order of the inputs, one object by output name each.
///
/// # Errors
/// The answer is no V2 answer, or does not fit the signature and the batch.
pub fn from_v2(
    answer: &[u8],
    batch: usize,
    signature: &Signature,
    served: &Served<'_>,
) -> Result<V2Answer, UpstreamFault> {
    let outputs = Outputs::read(answer)?;
    let tensors = outputs.fitting(signature, batch)?;
    let mut out = Vec::with_capacity(answer.len() + 256);
    out.extend_from_slice(br#"{"outputs":["#);
    for row in 0..batch {
        if row > 0 {
            out.push(b',');
        }
        out.push(b'{');
        for (n, tensor) in tensors.iter().enumerate() {
            if n > 0 {
                out.push(b',');
            }
            json::write_string(&mut out, &tensor.name);
            out.push(b':');
            tensor.write_row(answer, row, &mut out);
        }
        out.push(b'}');
    }
    out.extend_from_slice(br#"],"model":{"name":"#);
    json::write_string(&mut out, served.name);
    out.extend_from_slice(br#","version":"#);
    match served.version {
        Some(version) => out.extend_from_slice(version.to_string().as_bytes()),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#","digest":"#);
    match served.digest {
        Some(digest) => json::write_string(&mut out, digest),
        None => out.extend_from_slice(b"null"),
    }
    out.extend_from_slice(br#"},"usage":{"#);
    if let Some(tokens) = outputs.input_tokens {
        out.extend_from_slice(format!("\"input_tokens\":{tokens}").as_bytes());
    }
    out.extend_from_slice(br#"},"request_id":"#);
    json::write_string(&mut out, served.request_id);
    out.push(b'}');
    let usage = Usage { input_tokens: outputs.input_tokens, ..Usage::default() };
    Ok(V2Answer { body: out.into(), usage })
}

fn translate(
    body: &[u8],
    signature: &Signature,
    rules: Option<&BTreeMap<String, FieldRule>>,
) -> Result<V2Call, Trouble> {
    let cursor = &mut Cursor::new(body);
    cursor.space();
    let kind = cursor.kind()?;
    if kind != Kind::Object {
        let message = format!("the body must be an object, not {}", kind.name());
        return Err(RequestError::new(RequestCode::InvalidField, message)
            .fix("Send `{\"inputs\": […]}`.")
            .into());
    }
    let mut columns = Column::of(signature)?;
    let (mut batch, mut parameters) = (None, None);
    cursor.enter();
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        if key.is(body, "inputs") {
            if batch.is_some() {
                return Err(RequestError::twice("inputs").into());
            }
            batch = Some(columns::read(cursor, &mut columns)?);
        } else if key.is(body, "parameters") {
            if parameters.is_some() {
                return Err(RequestError::twice("parameters").into());
            }
            parameters = Some(read_parameters(cursor, rules)?);
        } else {
            let name = shown(body, key);
            let message = format!("`{name}` is not a field of this request");
            return Err(RequestError::new(RequestCode::UnsupportedField, message)
                .about(name)
                .fix("Send `inputs` and, if needed, `parameters`.")
                .into());
        }
    }
    cursor.end()?;
    let batch = batch.ok_or_else(|| RequestError::missing("inputs", "an array of inputs"))?;
    let parameters = parameters.flatten().unwrap_or_default();
    Ok(V2Call { body: write_call(&columns, batch, &parameters), batch })
}

/// The V2 request of filled columns; `parameters` is an object's text, or empty.
pub(crate) fn write_call(columns: &[Column<'_>], batch: usize, parameters: &[u8]) -> Bytes {
    let size: usize = columns.iter().map(|c| c.data.len() + 96).sum();
    let mut out = Vec::with_capacity(size + parameters.len() + 64);
    out.extend_from_slice(br#"{"inputs":["#);
    for (n, column) in columns.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        column.write(batch, &mut out);
    }
    out.push(b']');
    if !parameters.is_empty() {
        out.extend_from_slice(br#","parameters":"#);
        out.extend_from_slice(parameters);
    }
    out.push(b'}');
    out.into()
}

/// The text of `parameters`, whose values V2 wants to be scalars; `None` for null.
fn read_parameters(
    cursor: &mut Cursor<'_>,
    rules: Option<&BTreeMap<String, FieldRule>>,
) -> Result<Option<Vec<u8>>, Trouble> {
    let start = cursor.position();
    if cursor.kind()? == Kind::Null {
        cursor.skip()?;
        return Ok(None);
    }
    expect(cursor, "parameters", Kind::Object, "an object")?;
    cursor.enter();
    let mut first = true;
    while let Some(key) = cursor.key(&mut first)? {
        let name = shown(cursor.bytes(), key);
        let param = format!("parameters.{name}");
        let kind = cursor.kind()?;
        if !matches!(kind, Kind::String | Kind::Number | Kind::Bool) {
            let expected = "a string, a number, true or false";
            return Err(RequestError::wrong_type(&param, expected, kind).into());
        }
        let value = cursor.skip()?;
        let Some(rules) = rules else { continue };
        let Some(rule) = rules.get(&name) else {
            let known: Vec<_> = rules.keys().map(|k| format!("`{k}`")).collect();
            let message = format!("the model does not take the parameter `{name}`");
            let error = RequestError::new(RequestCode::UnsupportedField, message).about(param);
            return Err(if known.is_empty() {
                error.fix(format!("Remove `{name}`; it takes none.")).into()
            } else {
                error.fix(format!("Remove `{name}`; it takes {}.", known.join(", "))).into()
            });
        };
        check_range(&param, cursor.slice(value), rule)?;
    }
    if first {
        return Ok(None);
    }
    Ok(Some(cursor.slice(start..cursor.position()).to_vec()))
}

#[cfg(test)]
mod tests;
