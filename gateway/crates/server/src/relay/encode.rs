//! What goes to one target: path and body in its dialect.

use std::borrow::Cow;

use bytes::Bytes;
use towpath_dialect::kserve::{Body, Rules};
use towpath_dialect::{
    OpenAiRequest, Receiver, Reply, Request, RequestCode, RequestError, embeddings, predict,
};
use towpath_wire::routing::{Dialect, Operation, Signature};

use crate::live::ReadyTarget;
use crate::relay::Asked;

/// A call in the target's dialect.
pub struct Encoded<'t> {
    pub path: Cow<'t, str>,
    pub body: Bytes,
    /// Length of the JSON that the body begins with, where tensors follow it.
    pub json_size: Option<usize>,
    pub stream: bool,
    pub kind: Kind<'t>,
}

/// How the answer is to be read.
pub enum Kind<'t> {
    /// Of a model that both sides' dialects know.
    Model(Reply),
    /// A V2 answer with so many inputs.
    V2 { batch: usize, signature: &'t Signature },
    /// As a caller of the KServe protocol gets it.
    Inference,
}

impl<'t> Encoded<'t> {
    /// An inference for a server that speaks the KServe protocol over REST.
    fn v2(ready: &'t ReadyTarget, body: Body, kind: Kind<'t>) -> Self {
        let Body { bytes, json_size } = body;
        let path = Cow::Borrowed(ready.infer_path.as_str());
        Self { path, body: bytes, json_size, stream: false, kind }
    }
}

/// Translate what was asked for one target; `salt` keeps the project's prompts apart from others' in
/// caches of servers that can do so.
///
/// # Errors
/// The target's model or runtime does not take it.
pub fn encode<'t>(
    asked: &Asked,
    ready: &'t ReadyTarget,
    salt: Option<&str>,
) -> Result<Encoded<'t>, RequestError> {
    let spec = &ready.target.spec;
    match (asked, spec.dialect) {
        (Asked::Model(Request::OpenAi(request)), Dialect::KserveV2) => embed(request, ready),
        (Asked::Model(request), _) => {
            let sent = request.for_target(&receiver(ready, salt))?;
            let kind = Kind::Model(sent.reply);
            let path = with_query(sent.path, spec.query.as_deref());
            let (body, stream) = (sent.body, sent.stream);
            Ok(Encoded { path, body, json_size: None, stream, kind })
        }
        (Asked::Predict { body, .. }, Dialect::KserveV2) => {
            let signature = signature(ready)?;
            let call = predict::to_v2(body, signature, spec.request_fields.as_ref())?;
            let kind = Kind::V2 { batch: call.batch, signature };
            Ok(Encoded::v2(ready, Body { bytes: call.body, json_size: None }, kind))
        }
        (Asked::V2 { inference, .. }, Dialect::KserveV2) => {
            inference.check(&Rules {
                signature: spec.signature.as_ref(),
                parameters: spec.request_fields.as_ref(),
            })?;
            Ok(Encoded::v2(ready, inference.for_rest()?, Kind::Inference))
        }
        (Asked::V2 { .. }, _) => Err(unsupported("inferences of the KServe protocol")),
        (Asked::Predict { .. }, _) => Err(unsupported("predictions")),
    }
}

fn receiver<'t>(ready: &'t ReadyTarget, salt: Option<&'t str>) -> Receiver<'t> {
    let spec = &ready.target.spec;
    Receiver {
        dialect: spec.dialect,
        model: &spec.upstream_model,
        request_fields: spec.request_fields.as_ref(),
        quirks: ready.quirks,
        cache_salt: salt,
    }
}

/// Tokens are to be counted that this target cannot count.
pub fn is_uncountable(request: &Request, ready: &ReadyTarget) -> bool {
    request.is_uncountable_at(&receiver(ready, None))
}

/// A path with the query that every request to the target has.
fn with_query<'t>(path: &'static str, query: Option<&str>) -> Cow<'t, str> {
    query.map_or(Cow::Borrowed(path), |query| Cow::Owned(format!("{path}?{query}")))
}

fn embed<'t>(request: &OpenAiRequest, ready: &'t ReadyTarget) -> Result<Encoded<'t>, RequestError> {
    if request.operation() != Operation::Embeddings {
        return Err(unsupported("chats and completions"));
    }
    let signature = signature(ready)?;
    let call = embeddings::to_v2(request, signature)?;
    let kind = Kind::V2 { batch: call.batch, signature };
    Ok(Encoded::v2(ready, Body { bytes: call.body, json_size: None }, kind))
}

fn signature(ready: &ReadyTarget) -> Result<&Signature, RequestError> {
    ready.target.spec.signature.as_ref().ok_or_else(|| unsupported("calls without a signature"))
}

fn unsupported(what: &str) -> RequestError {
    RequestError {
        code: RequestCode::UnsupportedOperation,
        message: format!("The model's server does not take {what}."),
        param: Some("model".to_owned()),
        fix: Some("Use another model, or add a signature to this model's version.".to_owned()),
    }
}
