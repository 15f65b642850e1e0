//! OpenAI embeddings on a V2 model with one text input and one vector output.
use crate::errors::UpstreamFault;
use crate::predict::{V2Answer, V2Call};
use crate::request::{OpenAiRequest, RequestError};
use towpath_wire::routing::Signature;

/// Translate the request.
pub fn to_v2(request: &OpenAiRequest, signature: &Signature) -> Result<V2Call, RequestError> {
    let _ = (request, signature);
    todo!()
}

/// Translate the upstream's answer; `model` in it is the name the caller used.
pub fn from_v2(
    answer: &[u8],
    request: &OpenAiRequest,
    batch: usize,
    signature: &Signature,
) -> Result<V2Answer, UpstreamFault> {
    let _ = (answer, request, batch, signature);
    todo!()
}
