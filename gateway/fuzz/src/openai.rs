//! Bodies of the OpenAI dialect: callers' requests and upstreams' answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use towpath_dialect::{Answer, OpenAiRequest, Rewrite, embeddings};
use towpath_wire::routing::{FieldRule, Operation};

use crate::{is_json, signature};

const OPERATIONS: [Operation; 3] = [Operation::Chat, Operation::Completions, Operation::Embeddings];

/// A caller's body, read and rewritten for targets that list their fields and for one that does not.
pub fn fuzz_request(data: &[u8]) {
    let rule =
        |minimum, maximum| FieldRule { minimum, maximum, max_bytes: Some(64), max_items: Some(2) };
    let listed: BTreeMap<String, FieldRule> = [
        ("messages", rule(None, None)),
        ("prompt", rule(None, None)),
        ("input", rule(None, None)),
        ("temperature", rule(Some(0.0), Some(2.0))),
        ("max_tokens", rule(Some(1.0), Some(8192.0))),
    ]
    .map(|(name, rule)| (name.to_owned(), rule))
    .into();
    for operation in OPERATIONS {
        let Ok(request) = OpenAiRequest::read(operation, Bytes::copy_from_slice(data)) else {
            continue;
        };
        assert!(is_json(data), "a body that is not JSON was read");
        assert!(!request.model().is_empty(), "a request without a model was read");
        for request_fields in [None, Some(&listed)] {
            let rewrite = Rewrite { request_fields, ..Rewrite::to("upstream \"model\"") };
            let Ok(body) = request.for_upstream(&rewrite) else { continue };
            let again = OpenAiRequest::read(operation, body);
            let again = again.map(|again| (again.model().to_owned(), again.stream()));
            let expected = (rewrite.model.to_owned(), request.stream());
            assert!(
                again.is_ok_and(|again| again == expected),
                "a rewritten body reads differently"
            );
        }
        let embedder = signature(("text", "BYTES", &[-1, 1]), ("vector", "FP32", &[-1, 3]));
        if let Ok(call) = embeddings::to_v2(&request, &embedder) {
            assert!(is_json(&call.body), "a translated body is not JSON");
        }
    }
}

/// An upstream's plain answer, as one of chat and as one of an embedder.
pub fn fuzz_answer(data: &[u8]) {
    if Answer::read(data).is_ok() {
        assert!(is_json(data), "an answer that is not JSON was taken");
    }
    let embedder = signature(("text", "BYTES", &[-1, 1]), ("vector", "FP32", &[-1, 3]));
    for format in ["float", "base64"] {
        let body = format!(r#"{{"model":"m","input":["a","b"],"encoding_format":"{format}"}}"#);
        let Ok(request) = OpenAiRequest::read(Operation::Embeddings, Bytes::from(body)) else {
            continue;
        };
        if let Ok(answer) = embeddings::from_v2(data, &request, 2, &embedder) {
            assert!(is_json(&answer.body), "a translated answer is not JSON");
        }
    }
}
