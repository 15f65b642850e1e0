//! Predict bodies in, KServe V2 answers back.

use towpath_dialect::{Served, predict};
use towpath_wire::routing::Signature;

use crate::{is_json, signature, tensor};

fn signatures() -> [Signature; 2] {
    let text = signature(("text", "BYTES", &[-1, 1]), ("label", "BYTES", &[-1, 1]));
    let typed = Signature {
        inputs: vec![
            tensor(("age", "INT64", &[-1, 1])),
            tensor(("income", "FP32", &[-1, 1])),
            tensor(("member", "BOOL", &[-1, 1])),
            tensor(("word", "BYTES", &[-1, 2])),
        ],
        outputs: vec![tensor(("score", "FP32", &[-1, 2])), tensor(("label", "BYTES", &[-1, 1]))],
    };
    [text, typed]
}

/// The same bytes as a caller's body and as an upstream's answer.
pub fn fuzz_predict(data: &[u8]) {
    let served = Served { name: "m", version: Some(1), digest: None, request_id: "req_1" };
    for signature in signatures() {
        if let Ok(call) = predict::to_v2(data, &signature, None) {
            assert!(is_json(&call.body), "a translated body is not JSON");
        }
        for batch in 1..3 {
            if let Ok(answer) = predict::from_v2(data, batch, &signature, &served) {
                assert!(is_json(&answer.body), "a translated answer is not JSON");
            }
        }
    }
}
