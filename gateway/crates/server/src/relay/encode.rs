//! What goes to one target: path and body in its dialect.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderValue;
use towpath_dialect::kserve::{Body, Inference, Rules};
use towpath_dialect::{
    OpenAiRequest, Receiver, Reply, Request, RequestCode, RequestError, V2Call, embeddings, predict,
};
use towpath_upstream::Payload;
use towpath_wire::routing::{Dialect, Operation, Signature};

use crate::grpc;
use crate::live::ReadyTarget;
use crate::relay::{Answers, Asked};

/// A call in the target's dialect.
pub struct Encoded<'t> {
    pub path: Cow<'t, str>,
    pub body: Bytes,
    /// What follows `body`, where it is not whole.
    pub rest: Vec<Bytes>,
    /// Of the body, where it is no JSON.
    pub content_type: Option<HeaderValue>,
    /// Length of the JSON that the body begins with, where tensors follow it.
    pub json_size: Option<usize>,
    pub stream: bool,
    /// Over HTTP/2, as a gRPC call.
    pub grpc: bool,
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
    /// A call with one JSON body and a plain answer.
    fn whole(path: Cow<'t, str>, body: Bytes, kind: Kind<'t>) -> Self {
        Self {
            path,
            body,
            rest: Vec::new(),
            content_type: None,
            json_size: None,
            stream: false,
            grpc: false,
            kind,
        }
    }

    /// The body, to be sent.
    pub fn payload(&self) -> Payload {
        if self.rest.is_empty() {
            return Payload::Whole(self.body.clone());
        }
        Payload::Pieces(std::iter::once(&self.body).chain(&self.rest).cloned().collect())
    }

    /// An inference for a server that speaks the KServe protocol, in either form.
    fn v2(
        ready: &'t ReadyTarget,
        inference: &Inference,
        answers: Answers,
        kind: Kind<'t>,
    ) -> Result<Self, RequestError> {
        let spec = &ready.target.spec;
        if spec.dialect == Dialect::KserveGrpc {
            let body = inference.for_grpc(&spec.upstream_model)?;
            let stream = answers == Answers::Any;
            let path = if stream { grpc::STREAM_PATH } else { grpc::INFER_PATH };
            return Ok(Self { grpc: true, stream, ..Self::whole(Cow::Borrowed(path), body, kind) });
        }
        let Body { bytes: body, json_size } = inference.for_rest()?;
        let path = Cow::Borrowed(ready.infer_path.as_str());
        Ok(Self { json_size, ..Self::whole(path, body, kind) })
    }

    /// The same of one that was translated from another dialect.
    fn translated(
        ready: &'t ReadyTarget,
        call: V2Call,
        signature: &'t Signature,
    ) -> Result<Self, RequestError> {
        let kind = Kind::V2 { batch: call.batch, signature };
        let body = Body { bytes: call.body, json_size: None };
        if ready.target.spec.dialect == Dialect::KserveGrpc {
            return Self::v2(ready, &Inference::from_rest(body)?, Answers::One, kind);
        }
        let path = Cow::Borrowed(ready.infer_path.as_str());
        Ok(Self::whole(path, body.bytes, kind))
    }
}

/// Translate what was asked for one target; `salt` keeps the project's prompts apart from others' in
/// caches of servers that can do so, `goes_on` says that the request ends in an answer that broke off.
///
/// # Errors
/// The target's model or runtime does not take it.
pub fn encode<'t>(
    asked: &Asked,
    ready: &'t ReadyTarget,
    salt: Option<&str>,
    goes_on: bool,
) -> Result<Encoded<'t>, RequestError> {
    let spec = &ready.target.spec;
    match (asked, spec.dialect) {
        (Asked::Model(Request::OpenAi(request)), Dialect::KserveV2 | Dialect::KserveGrpc) => {
            embed(request, ready)
        }
        (Asked::Model(request), _) => {
            let sent = request.for_target(&Receiver { goes_on, ..receiver(ready, salt) })?;
            let kind = Kind::Model(sent.reply);
            let path = with_query(sent.path, spec.query.as_deref());
            let content_type = sent.content_type.map(HeaderValue::try_from).transpose();
            let content_type = content_type.map_err(|_| unsupported("this form"))?;
            let (rest, stream) = (sent.rest, sent.stream);
            Ok(Encoded { rest, content_type, stream, ..Encoded::whole(path, sent.body, kind) })
        }
        (Asked::Predict { body, .. }, Dialect::KserveV2 | Dialect::KserveGrpc) => {
            let signature = signature(ready)?;
            let call = predict::to_v2(body, signature, spec.request_fields.as_ref())?;
            Encoded::translated(ready, call, signature)
        }
        (Asked::V2 { inference, answers, .. }, Dialect::KserveV2 | Dialect::KserveGrpc) => {
            inference.check(&Rules {
                signature: spec.signature.as_ref(),
                parameters: spec.request_fields.as_ref(),
            })?;
            Encoded::v2(ready, inference, *answers, Kind::Inference)
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
        goes_on: false,
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
    Encoded::translated(ready, call, signature)
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
