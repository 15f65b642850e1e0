use proptest::prelude::*;
use serde_json::{Value, json};
use towpath_wire::routing::TensorSpec;

use super::*;
use crate::errors::FaultCode;

fn spec(name: &str, datatype: &str, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype: datatype.to_owned(), shape: shape.to_vec() }
}

fn classifier() -> Signature {
    Signature {
        inputs: vec![spec("text", "BYTES", &[-1])],
        outputs: vec![spec("label", "BYTES", &[-1]), spec("scores", "FP32", &[-1, 2])],
    }
}

fn churn() -> Signature {
    Signature {
        inputs: vec![
            spec("age", "INT8", &[-1]),
            spec("income", "FP32", &[-1, 1]),
            spec("plan", "BYTES", &[-1]),
            spec("active", "BOOL", &[-1]),
            spec("history", "UINT64", &[-1, 2, -1]),
        ],
        outputs: vec![spec("risk", "FP64", &[-1])],
    }
}

fn row() -> Value {
    json!({"age": 41, "income": 5.5, "plan": "gold", "active": true, "history": [[1], [2]]})
}

fn call(body: &Value, signature: &Signature) -> Result<(Value, usize), RequestError> {
    let call = to_v2(body.to_string().as_bytes(), signature, None)?;
    Ok((serde_json::from_slice(&call.body).unwrap(), call.batch))
}

fn refused(body: &Value, signature: &Signature) -> String {
    call(body, signature).unwrap_err().message
}

fn served<'a>() -> Served<'a> {
    Served { name: "m", version: Some(3), digest: Some("sha256:ab"), request_id: "req_1" }
}

fn answered(answer: &Value, batch: usize, signature: &Signature) -> Result<Value, UpstreamFault> {
    let answer = from_v2(answer.to_string().as_bytes(), batch, signature, &served())?;
    Ok(serde_json::from_slice(&answer.body).unwrap())
}

#[test]
fn rows_become_typed_columns() {
    let mut second = row();
    second["age"] = json!(-128);
    second["income"] = json!([1e3]);
    second["history"] = json!([[3], [18_446_744_073_709_551_615_u64]]);

    let (sent, batch) = call(&json!({"inputs": [row(), second]}), &churn()).unwrap();

    let expected = json!({"inputs": [
        {"name": "age", "shape": [2], "datatype": "INT8", "data": [41, -128]},
        {"name": "income", "shape": [2, 1], "datatype": "FP32", "data": [5.5, 1e3]},
        {"name": "plan", "shape": [2], "datatype": "BYTES", "data": ["gold", "gold"]},
        {"name": "active", "shape": [2], "datatype": "BOOL", "data": [true, true]},
        {"name": "history", "shape": [2, 2, 1], "datatype": "UINT64",
         "data": [1, 2, 3, 18_446_744_073_709_551_615_u64]},
    ]});
    assert_eq!((sent, batch), (expected, 2));
}

#[test]
fn the_only_input_needs_no_name() {
    let bare = call(&json!({"inputs": ["a", "b\n"]}), &classifier()).unwrap();
    let named = call(&json!({"inputs": [{"text": "a"}, {"text": "b\n"}]}), &classifier()).unwrap();

    assert_eq!(bare, named);
    assert_eq!(
        bare.0,
        json!({"inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["a", "b\n"]}]})
    );
}

#[test]
fn errors_name_the_place_and_the_type() {
    let changed = |name: &str, value: Value| {
        let mut changed = row();
        changed[name] = value;
        refused(&json!({"inputs": [row(), changed]}), &churn())
    };

    assert_eq!(
        changed("age", json!("41")),
        "`inputs[1].age` must be a whole number from -128 to 127 (INT8), not a string"
    );
    assert_eq!(
        changed("age", json!(128)),
        "`inputs[1].age` must be a whole number from -128 to 127 (INT8), not 128"
    );
    assert_eq!(
        changed("age", json!(1.5)),
        "`inputs[1].age` must be a whole number from -128 to 127 (INT8), not 1.5"
    );
    assert_eq!(
        changed("income", json!(1e39)),
        "`inputs[1].income[0]` must be a number (FP32), not 1e+39".replace("[0]", "")
    );
    assert_eq!(
        changed("income", json!([1e39])),
        "`inputs[1].income[0]` must be a number (FP32), not 1e+39"
    );
    assert_eq!(
        changed("income", json!(null)),
        "`inputs[1].income` must be a number (FP32), not null"
    );
    assert_eq!(
        changed("active", json!(1)),
        "`inputs[1].active` must be true or false (BOOL), not a number"
    );
    assert_eq!(
        changed("plan", json!(1)),
        "`inputs[1].plan` must be a string (BYTES), not a number"
    );
    assert_eq!(
        changed("history", json!([[1]])),
        "`inputs[1].history` has 1 elements, but must have 2"
    );
    assert_eq!(
        changed("history", json!([[1, 2], [3, 4]])),
        "`inputs[1].history[0]` has 2 elements, but must have 1, as the inputs before it have"
    );
    assert_eq!(
        changed("history", json!([1, 2])),
        "`inputs[1].history[0]` must be an array of 1, not a number"
    );
    assert_eq!(
        changed("history", json!([[1], ["x"]])),
        "`inputs[1].history[1][0]` must be a whole number from 0 to 18446744073709551615 (UINT64), not a string"
    );
    assert_eq!(changed("agee", json!(1)), "`inputs[1].agee` is not an input of the model");
}

#[test]
fn a_missing_input_is_named() {
    let mut short = row();
    short.as_object_mut().unwrap().remove("plan");

    let error = call(&json!({"inputs": [short]}), &churn()).unwrap_err();

    assert_eq!(error.code, RequestCode::MissingField);
    assert_eq!(error.param.as_deref(), Some("inputs[0].plan"));
}

#[test]
fn the_shape_of_the_body_is_checked() {
    let one = classifier();

    assert_eq!(refused(&json!([]), &one), "the body must be an object, not an array");
    assert_eq!(refused(&json!({}), &one), "`inputs` is missing");
    assert_eq!(refused(&json!({"inputs": "a"}), &one), "`inputs` must be an array, not a string");
    assert_eq!(refused(&json!({"inputs": []}), &one), "`inputs` is empty");
    assert_eq!(
        refused(&json!({"inputs": ["a"], "input": 1}), &one),
        "`input` is not a field of this request"
    );
    assert_eq!(
        refused(&json!({"inputs": [["a"]]}), &one),
        "`inputs[0]` must be a string (BYTES), not an array"
    );
    assert!(
        refused(&json!({"inputs": [5]}), &churn())
            .starts_with("`inputs[0]` must be an object with `age` (INT8)")
    );
    let twice = to_v2(br#"{"inputs":[{"text":"a","text":"b"}]}"#, &one, None).unwrap_err();
    assert_eq!(twice.message, "`inputs[0].text` appears twice");
    let torn = to_v2(b"{\"inputs\":[\"a\"", &one, None).unwrap_err();
    assert_eq!(torn.code, RequestCode::InvalidJson);
}

#[test]
fn whole_numbers_may_be_written_as_floats() {
    let signature = Signature { inputs: vec![spec("n", "INT64", &[-1])], outputs: vec![] };

    let call = to_v2(br#"{"inputs":[3.0, -2e2, 0]}"#, &signature, None).unwrap();

    let sent: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(sent["inputs"][0]["data"], json!([3, -200, 0]));
}

#[test]
fn a_fixed_batch_is_kept() {
    let signature = Signature { inputs: vec![spec("n", "FP32", &[2, 1])], outputs: vec![] };

    assert!(call(&json!({"inputs": [1, 2]}), &signature).is_ok());
    assert_eq!(
        refused(&json!({"inputs": [1]}), &signature),
        "`inputs` has 1 elements, but the model takes 2"
    );
}

#[test]
fn parameters_pass_as_far_as_the_runtime_lists_them() {
    let body = json!({"inputs": ["a"], "parameters": {"top_k": 3}});
    let read = |rules: Option<&BTreeMap<String, FieldRule>>| {
        to_v2(body.to_string().as_bytes(), &classifier(), rules)
    };
    let rule = FieldRule { minimum: Some(1.0), maximum: Some(2.0), ..FieldRule::default() };

    let sent: Value = serde_json::from_slice(&read(None).unwrap().body).unwrap();
    assert_eq!(sent["parameters"], json!({"top_k": 3}));
    assert_eq!(
        read(Some(&BTreeMap::new())).unwrap_err().message,
        "the model does not take the parameter `top_k`"
    );
    let rules = BTreeMap::from([("top_k".to_owned(), rule)]);
    assert_eq!(read(Some(&rules)).unwrap_err().message, "`parameters.top_k` must be from 1 to 2");
    let nested = json!({"inputs": ["a"], "parameters": {"x": []}});
    assert_eq!(
        refused(&nested, &classifier()),
        "`parameters.x` must be a string, a number, true or false, not an array"
    );
}

#[test]
fn a_signature_that_cannot_be_served_says_so() {
    let signature = Signature { inputs: vec![spec("x", "COMPLEX", &[-1])], outputs: vec![] };

    let error = call(&json!({"inputs": [1]}), &signature).unwrap_err();

    assert_eq!(error.code, RequestCode::UnsupportedOperation);
}

#[test]
fn columns_become_rows_in_the_order_of_the_inputs() {
    let answer = json!({"model_name": "engine", "parameters": {"input_tokens": 9}, "outputs": [
        {"name": "scores", "datatype": "FP32", "shape": [2, 2], "data": [0.1, 0.9, 0.8, 0.2]},
        {"name": "label", "datatype": "BYTES", "shape": [2], "data": ["neg", "pos"]},
        {"name": "internal", "datatype": "FP32", "shape": [1], "data": [1]},
    ]});

    let answer = from_v2(answer.to_string().as_bytes(), 2, &classifier(), &served()).unwrap();

    assert_eq!(answer.usage.input_tokens, Some(9));
    assert_eq!(
        std::str::from_utf8(&answer.body).unwrap(),
        concat!(
            r#"{"outputs":[{"label":"neg","scores":[0.1,0.9]},{"label":"pos","scores":[0.8,0.2]}],"#,
            r#""model":{"name":"m","version":3,"digest":"sha256:ab"},"usage":{"input_tokens":9},"#,
            r#""request_id":"req_1"}"#
        )
    );
}

#[test]
fn data_may_come_nested() {
    let signature = Signature { inputs: vec![], outputs: vec![spec("y", "FP32", &[-1, 2, 1])] };
    let answer = json!({"outputs": [
        {"name": "y", "shape": [2, 2, 1], "datatype": "FP32", "data": [[[1], [2]], [[3], [4]]]},
    ]});

    let shown = answered(&answer, 2, &signature).unwrap();

    assert_eq!(shown["outputs"], json!([{"y": [[1], [2]]}, {"y": [[3], [4]]}]));
    assert_eq!(shown["usage"], json!({}));
}

#[test]
fn answers_that_do_not_fit_are_faults() {
    let label = |shape: Value, data: Value| {
        let scores = json!({"name": "scores", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]});
        json!({"outputs": [scores, {"name": "label", "shape": shape, "datatype": "BYTES", "data": data}]})
    };
    let fault = |answer: Value| answered(&answer, 1, &classifier()).unwrap_err();

    assert_eq!(
        fault(label(json!([2]), json!(["a", "b"]))).message,
        "the model gave 2 of `label` for 1 inputs"
    );
    assert_eq!(fault(label(json!([1]), json!([]))).message, "`label` of the model has holes");
    assert_eq!(
        fault(label(json!([]), json!([]))).message,
        "the model gave 0 of `label` for 1 inputs"
    );
    assert_eq!(fault(json!({"outputs": []})).message, "the model gave no output `label`");
    assert_eq!(fault(json!({"error": "out of memory"})).code, FaultCode::UpstreamError);
    let huge =
        label(json!([1, 4_294_967_296_u64, 4_294_967_296_u64, 4_294_967_296_u64]), json!(["a"]));
    assert_eq!(fault(huge).message, "`label` of the model has holes");
    let html = from_v2(b"<html>", 1, &classifier(), &served()).unwrap_err();
    assert_eq!(html.message, "the model's server sent a web page instead of an answer");
}

/// Numbers that survive serde_json, which may lose a float's last bit.
fn eighths() -> impl Strategy<Value = f32> {
    any::<i16>().prop_map(|n| f32::from(n) / 8.0)
}

proptest! {
    /// A model that returns its inputs returns the caller's inputs, whatever the shapes.
    #[test]
    fn inputs_come_back_from_a_model_that_echoes(
        rows in prop::collection::vec((any::<i32>(), ".{0,8}", any::<bool>(), prop::array::uniform4(eighths())), 1..6),
    ) {
        let tensors = vec![
            spec("i", "INT32", &[-1]),
            spec("s", "BYTES", &[-1]),
            spec("b", "BOOL", &[-1]),
            spec("f", "FP32", &[-1, 2, 2]),
        ];
        let signature = Signature { inputs: tensors.clone(), outputs: tensors };
        let inputs: Vec<Value> = rows
            .iter()
            .map(|(i, s, b, f)| json!({"i": i, "s": s, "b": b, "f": [[f[0], f[1]], [f[2], f[3]]]}))
            .collect();

        let (sent, batch) = call(&json!({"inputs": inputs}), &signature).unwrap();
        let echo = json!({"outputs": sent["inputs"]});
        let shown = answered(&echo, batch, &signature).unwrap();

        prop_assert_eq!(&shown["outputs"], &Value::from(inputs));
    }

    #[test]
    fn foreign_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), batch in 0_usize..4) {
        let _ = to_v2(&bytes, &churn(), None);
        let _ = from_v2(&bytes, batch, &classifier(), &served());
    }

    #[test]
    fn foreign_answers_never_panic(
        shape in prop::collection::vec(any::<u64>(), 0..4),
        data in prop::collection::vec(any::<u8>(), 0..6),
        batch in 0_usize..4,
    ) {
        let answer = json!({"outputs": [
            {"name": "label", "shape": shape, "datatype": "BYTES", "data": data},
            {"name": "scores", "shape": shape, "datatype": "FP32", "data": data},
        ]});
        let _ = answered(&answer, batch, &classifier());
    }
}
