//! Predict in, KServe V2 REST out, and back, through the model's signature.
use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::request::RequestError;
use bytes::Bytes;
use std::collections::BTreeMap;
use towpath_wire::routing::{FieldRule, Signature};

/// A V2 inference request for `POST /v2/models/{m}/infer`.
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

/// Translate a predict body.
pub fn to_v2(
    body: &[u8],
    signature: &Signature,
    parameters: Option<&BTreeMap<String, FieldRule>>,
) -> Result<V2Call, RequestError> {
    let _ = (body, signature, parameters);
    todo!()
}

/// Translate the upstream's answer.
pub fn from_v2(
    answer: &[u8],
    batch: usize,
    signature: &Signature,
    served: &Served<'_>,
) -> Result<V2Answer, UpstreamFault> {
    let _ = (answer, batch, signature, served);
    todo!()
}
