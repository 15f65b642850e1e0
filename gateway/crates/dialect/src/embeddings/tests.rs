use bytes::Bytes;
use serde_json::{Value, json};
use towpath_wire::routing::Operation;

use super::*;

fn minilm() -> Signature {
    let spec = |name: &str, datatype: &str, shape: &[i64]| TensorSpec {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
    };
    Signature {
        inputs: vec![spec("text", "BYTES", &[-1])],
        outputs: vec![spec("embedding", "FP32", &[-1, 2])],
    }
}

fn request(body: &Value) -> OpenAiRequest {
    OpenAiRequest::read(Operation::Embeddings, Bytes::from(body.to_string())).unwrap()
}

fn sent(body: &Value) -> Result<(Value, usize), RequestError> {
    let call = to_v2(&request(body), &minilm())?;
    Ok((serde_json::from_slice(&call.body).unwrap(), call.batch))
}

fn answer() -> Value {
    json!({"parameters": {"input_tokens": 7}, "outputs": [
        {"name": "embedding", "datatype": "FP32", "shape": [2, 2], "data": [0.5, -1.25, 1e-3, 2]},
    ]})
}

#[test]
fn texts_become_one_column() {
    let column = |data: Value, n: usize| json!({"inputs": [{"name": "text", "shape": [n], "datatype": "BYTES", "data": data}]});

    assert_eq!(
        sent(&json!({"model": "m", "input": "a\"b"})).unwrap(),
        (column(json!(["a\"b"]), 1), 1)
    );
    assert_eq!(
        sent(&json!({"model": "m", "input": ["a", "", "\u{e9}"], "dimensions": 2})).unwrap(),
        (column(json!(["a", "", "\u{e9}"]), 3), 3)
    );
}

#[test]
fn vectors_come_back_as_floats() {
    let request = request(&json!({"model": "minilm", "input": ["a", "b"]}));

    let shown = from_v2(answer().to_string().as_bytes(), &request, 2, &minilm()).unwrap();

    let expected = json!({"object": "list", "model": "minilm",
    "usage": {"prompt_tokens": 7, "total_tokens": 7},
    "data": [
        {"object": "embedding", "index": 0, "embedding": [0.5, -1.25]},
        {"object": "embedding", "index": 1, "embedding": [1e-3, 2]},
    ]});
    assert_eq!(shown.usage.input_tokens, Some(7));
    assert_eq!(serde_json::from_slice::<Value>(&shown.body).unwrap(), expected);
}

#[test]
fn vectors_come_back_as_little_endian_floats_in_base64() {
    let request = request(&json!({"model": "m", "input": ["a", "b"], "encoding_format": "base64"}));

    let shown = from_v2(answer().to_string().as_bytes(), &request, 2, &minilm()).unwrap();

    let shown: Value = serde_json::from_slice(&shown.body).unwrap();
    let bytes = STANDARD.decode(shown["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let floats: Vec<_> =
        bytes.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    assert_eq!(floats, [0.5, -1.25]);
}

#[test]
fn what_the_model_cannot_do_is_refused() {
    let message = |body: Value| sent(&body).unwrap_err().message;

    assert_eq!(
        message(json!({"model": "m", "input": [1, 2]})),
        "`input` holds token ids, which this model does not take"
    );
    assert_eq!(
        message(json!({"model": "m", "input": "a", "dimensions": 64})),
        "the vectors of this model have 2 dimensions, not 64"
    );
    assert_eq!(
        message(
            json!({"model": "m", "input": "a", "user": "u", "truncate": null, "pooling": "cls"})
        ),
        "`m` does not take the field `pooling`"
    );
    let classifier = Signature { outputs: vec![], ..minilm() };
    let error = to_v2(&request(&json!({"model": "m", "input": "a"})), &classifier).unwrap_err();
    assert_eq!(error.code, RequestCode::UnsupportedOperation);
}

#[test]
fn answers_without_a_vector_for_each_input_are_faults() {
    let request =
        request(&json!({"model": "m", "input": ["a", "b", "c"], "encoding_format": "base64"}));
    let mut words = answer();
    words["outputs"][0]["data"][0] = json!("x");

    assert!(from_v2(answer().to_string().as_bytes(), &request, 3, &minilm()).is_err());
    assert!(from_v2(words.to_string().as_bytes(), &request, 2, &minilm()).is_err());
    assert!(from_v2(b"{}", &request, 3, &minilm()).is_err());
}
