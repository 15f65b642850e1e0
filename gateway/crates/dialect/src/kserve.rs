//! The KServe Open Inference Protocol, version 2: inferences as REST and as gRPC write them, and one form
//! for both.
//!
//! A request is read once and keeps the bytes it came as. A target that speaks the caller's own form gets
//! these bytes; for one of the other form the tensors are written anew, numbers as raw little-endian bytes,
//! which both forms have in common.

mod answer;
mod check;
mod grpc;
mod parameters;
mod rest;
mod stream;
mod tensor;

use bytes::Bytes;

use crate::answer::Usage;

pub use answer::{Answer, Skimmed};
pub use check::Rules;
pub use grpc::{Frame, Named, model_metadata, server_metadata, yes_or_no};
pub use rest::{Body, model_metadata as model_metadata_json};
pub use stream::{Passed, StreamError, StreamFollower, message_id, only_answer};

use parameters::Parameters;
use tensor::Tensor;

/// What model metadata give as the platform: callers learn nothing of what runs behind it.
const PLATFORM: &str = "towpath";
/// Most tensors of a request or answer.
const MAX_TENSORS: usize = 1_024;
/// Most dimensions of a tensor, and deepest nesting of `data`.
const MAX_DIMENSIONS: usize = 16;

/// An inference as a caller asks for it.
#[derive(Clone, Debug)]
pub struct Inference {
    id: Option<String>,
    inputs: Vec<Tensor>,
    /// Empty: all of them.
    outputs: Vec<Wanted>,
    parameters: Parameters,
    /// All outputs as bytes, unless an output says otherwise.
    binary_output: bool,
    /// The first member that the protocol does not have, for refusals by name.
    foreign: Option<String>,
    form: Form,
}

/// An output that a caller asks for.
#[derive(Clone, Debug)]
struct Wanted {
    name: String,
    /// As bytes after the JSON.
    binary: bool,
    parameters: Parameters,
}

/// A request as it came.
#[derive(Clone, Debug)]
enum Form {
    Rest(Body),
    /// A `ModelInferRequest`.
    Grpc(Bytes),
}

impl Inference {
    /// Bytes of the request that the model will read, for estimates.
    pub fn input_bytes(&self) -> u64 {
        match &self.form {
            Form::Rest(body) => body.bytes.len() as u64,
            Form::Grpc(message) => message.len() as u64,
        }
    }

    /// Rows of the first input, for what has one output a row.
    pub fn batch(&self) -> usize {
        let rows = self.inputs.first().and_then(|input| input.shape.first()).copied();
        rows.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(1)
    }
}

/// Tokens as an engine reports them among an answer's parameters.
fn usage(parameters: &Parameters) -> Usage {
    Usage {
        input_tokens: parameters.whole("input_tokens"),
        output_tokens: parameters.whole("output_tokens"),
        ..Usage::default()
    }
}

#[cfg(test)]
mod tests;
