//! One function per parser of foreign bytes. Each takes any bytes, must not panic, and asserts what has to
//! hold for whatever the parser accepts.
//!
//! They run over `seeds/` and generated inputs in every `cargo test`, and guided by coverage in `make fuzz`.

mod dialects;
mod journal;
mod kserve;
mod media;
mod openai;
mod predict;
mod stream;
mod table;

pub use dialects::{fuzz_reply, fuzz_translate};
pub use journal::{fuzz_recovery, fuzz_segment};
pub use kserve::{fuzz_protobuf, fuzz_tensors};
pub use media::fuzz_multipart;
pub use openai::{fuzz_answer, fuzz_request};
pub use predict::fuzz_predict;
pub use stream::fuzz_stream;
pub use table::fuzz_table;

use towpath_wire::routing::{Signature, TensorSpec};

/// A signature of one tensor in and one out.
fn signature(input: (&str, &str, &[i64]), output: (&str, &str, &[i64])) -> Signature {
    Signature { inputs: vec![tensor(input)], outputs: vec![tensor(output)] }
}

fn tensor((name, datatype, shape): (&str, &str, &[i64])) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec() }
}

/// Whether these bytes are one JSON value.
fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<&serde_json::value::RawValue>(bytes).is_ok()
}

#[cfg(test)]
mod tests;
