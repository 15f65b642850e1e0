//! OpenAI embeddings on a V2 model with one text input and one vector output.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use towpath_wire::routing::{Signature, TensorSpec};

use crate::answer::Usage;
use crate::errors::UpstreamFault;
use crate::json::{self, Cursor};
use crate::predict::{Column, Outputs, Tensor, V2Answer, V2Call, write_call};
use crate::request::{Encoding, Input, OpenAiRequest, RequestCode, RequestError};

/// Fields of a request that have a meaning here.
const FIELDS: [&str; 4] = ["model", "input", "encoding_format", "dimensions"];

/// Translate the request.
///
/// # Errors
/// The model does not turn text into vectors, or the request asks for what it cannot do.
pub fn to_v2(request: &OpenAiRequest, signature: &Signature) -> Result<V2Call, RequestError> {
    let vector = shape(signature).ok_or_else(|| not_an_embedder(request))?;
    if let Some(wanted) = request.dimensions() {
        let size = vector.shape.last().copied().unwrap_or(-1);
        if i64::try_from(wanted).ok() != Some(size) {
            let message = match size {
                -1 => "the vectors of this model have one size alone".to_owned(),
                size => format!("the vectors of this model have {size} dimensions, not {wanted}"),
            };
            return Err(RequestError::new(RequestCode::UnsupportedField, message)
                .about("dimensions")
                .fix("Remove `dimensions`."));
        }
    }
    if let Some(name) = request.field_besides(&FIELDS) {
        let message = format!("`{}` does not take the field `{name}`", request.model());
        let fix = format!("Remove `{name}`; it takes `input`, `encoding_format`.");
        return Err(RequestError::new(RequestCode::UnsupportedField, message).about(name).fix(fix));
    }
    if request.input() == Input::Tokens {
        let message = "`input` holds token ids, which this model does not take".to_owned();
        return Err(RequestError::invalid("input", message)
            .fix("Send `input` as a string or an array of strings."));
    }
    let mut columns = Column::of(signature)?;
    let body = request.body();
    let value = request.value_of("input").unwrap_or_default();
    let mut batch = 0;
    if let [column] = columns.as_mut_slice() {
        if request.input() == Input::Text {
            column.push_raw(body.get(value).unwrap_or_default());
            batch = 1;
        } else {
            let mut cursor = Cursor::at(body, value.start);
            let mut first = true;
            cursor.enter();
            while let Ok(true) = cursor.element(&mut first) {
                let text = cursor.skip().unwrap_or_default();
                column.push_raw(cursor.slice(text));
                batch += 1;
            }
        }
    }
    Ok(V2Call { body: write_call(&columns, batch, b""), batch })
}

/// Translate the upstream's answer; `model` in it is the name the caller used.
///
/// # Errors
/// The answer is no V2 answer, or does not hold a vector for each input.
pub fn from_v2(
    answer: &[u8],
    request: &OpenAiRequest,
    batch: usize,
    signature: &Signature,
) -> Result<V2Answer, UpstreamFault> {
    let wrong = || UpstreamFault::nonsense("the model's server gave no vectors", answer);
    let name = &shape(signature).ok_or_else(wrong)?.name;
    let outputs = Outputs::read(answer)?;
    let tensors = outputs.fitting(signature, batch)?;
    let vectors = tensors.iter().find(|t| &t.name == name).ok_or_else(wrong)?;
    if vectors.shape.len() != 2 {
        return Err(wrong());
    }
    let mut out = Vec::with_capacity(answer.len() + 64 * (batch + 4));
    out.extend_from_slice(br#"{"object":"list","data":["#);
    for row in 0..batch {
        if row > 0 {
            out.push(b',');
        }
        out.extend_from_slice(
            format!("{{\"object\":\"embedding\",\"index\":{row},\"embedding\":").as_bytes(),
        );
        match request.encoding() {
            Encoding::Float => vectors.write_row(answer, row, &mut out),
            Encoding::Base64 => {
                let text = base64_row(answer, vectors, row).ok_or_else(wrong)?;
                json::write_string(&mut out, &text);
            }
        }
        out.push(b'}');
    }
    out.extend_from_slice(br#"],"model":"#);
    json::write_string(&mut out, request.model());
    if let Some(tokens) = outputs.input_tokens {
        let usage = format!(",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}}");
        out.extend_from_slice(usage.as_bytes());
    }
    out.push(b'}');
    let usage = Usage { input_tokens: outputs.input_tokens, ..Usage::default() };
    Ok(V2Answer { body: out.into(), usage })
}

/// The vector output, if the signature is that of an embedding model.
fn shape(signature: &Signature) -> Option<&TensorSpec> {
    let text = |spec: &TensorSpec| {
        spec.datatype == "BYTES" && matches!(spec.shape.as_slice(), [-1] | [-1, 1])
    };
    let vector = |spec: &&TensorSpec| spec.datatype == "FP32" && spec.shape.len() == 2;
    match signature.inputs.as_slice() {
        [only] if text(only) => signature.outputs.iter().find(vector),
        _ => None,
    }
}

fn not_an_embedder(request: &OpenAiRequest) -> RequestError {
    let message = format!("`{}` does not turn text into vectors", request.model());
    RequestError::new(RequestCode::UnsupportedOperation, message).about("model")
}

/// A row's floats, little-endian, in base64: what OpenAI's clients ask for by default.
fn base64_row(answer: &[u8], tensor: &Tensor, row: usize) -> Option<String> {
    let elements = tensor.row(row);
    let mut bytes = Vec::with_capacity(elements.len() * 4);
    for element in elements {
        let text = std::str::from_utf8(answer.get(element.clone())?).ok()?;
        bytes.extend_from_slice(&text.parse::<f32>().ok()?.to_le_bytes());
    }
    Some(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests;
