use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};
use towpath_wire::routing::{Signature, TensorSpec};

use super::*;
use crate::protobuf;

fn spec(name: &str, datatype: &str, shape: &[i64]) -> TensorSpec {
    TensorSpec { name: name.into(), datatype: datatype.into(), shape: shape.to_vec() }
}

fn rest(value: &Value) -> Body {
    Body { bytes: value.to_string().into(), json_size: None }
}

fn binary(value: &Value, raw: &[u8]) -> Body {
    let mut bytes = value.to_string().into_bytes();
    let json_size = Some(bytes.len());
    bytes.extend_from_slice(raw);
    Body { bytes: bytes.into(), json_size }
}

fn read(value: &Value) -> Inference {
    Inference::from_rest(rest(value)).unwrap()
}

fn refusal(value: &Value) -> String {
    Inference::from_rest(rest(value)).unwrap_err().message
}

fn one(datatype: &str, shape: &[u64], data: &Value) -> Value {
    json!({"inputs": [{"name": "x", "datatype": datatype, "shape": shape, "data": data}]})
}

/// Send as gRPC and read as a gRPC server would.
fn over_grpc(inference: &Inference) -> Inference {
    let Frame::Message(message) = Frame::read(&inference.for_grpc("m").unwrap()) else {
        panic!("no frame");
    };
    assert_eq!(Named::read(&message).unwrap().name, "m");
    Inference::from_grpc(message).unwrap()
}

fn data(inference: &Inference) -> Value {
    serde_json::from_slice(&inference.inputs[0].json().unwrap()).unwrap()
}

#[test]
fn a_request_reaches_a_target_of_its_own_form_byte_by_byte() {
    let body = rest(&json!({"id": "1", "inputs": [], "vendor": 1}));
    assert!(Inference::from_rest(body).is_err());
    let body = rest(&one("FP32", &[1, 2], &json!([[1.50, 2e0]])));
    let sent = Inference::from_rest(body.clone()).unwrap().for_rest().unwrap();

    assert_eq!((sent.bytes, sent.json_size), (body.bytes, None));
}

#[test]
fn every_type_survives_the_way_to_grpc_and_back() {
    let cases = [
        ("BOOL", json!([true, false])),
        ("INT8", json!([-128, 127])),
        ("INT16", json!([-32768, 32767])),
        ("INT32", json!([-2147483648, 2147483647])),
        ("INT64", json!([i64::MIN, i64::MAX])),
        ("UINT8", json!([0, 255])),
        ("UINT16", json!([0, 65535])),
        ("UINT32", json!([0, 4294967295_u32])),
        ("UINT64", json!([0, u64::MAX])),
        ("FP16", json!([0.5, -65504.0])),
        ("BF16", json!([0.5, -256.0])),
        ("FP32", json!([0.1, -3.4e38])),
        ("FP64", json!([0.1, -1.7e308])),
        ("BYTES", json!(["", "Grüße \"x\"\n"])),
    ];
    for (datatype, values) in cases {
        let inference = read(&one(datatype, &[2], &values));
        let there = over_grpc(&inference);
        let back = Inference::from_rest(there.for_rest().unwrap()).unwrap();

        assert_eq!(data(&there), values, "{datatype}");
        assert_eq!(data(&back), values, "{datatype}");
    }
}

#[test]
fn whole_numbers_written_as_fractions_are_taken_and_others_are_not() {
    assert_eq!(data(&over_grpc(&read(&one("INT64", &[2], &json!([3.0, 4e0]))))), json!([3, 4]));
    for (datatype, value) in
        [("INT64", json!([3.5])), ("UINT8", json!([256])), ("FP16", json!([1e6]))]
    {
        let error = read(&one(datatype, &[1], &value)).for_grpc("m").unwrap_err();
        assert!(error.message.contains(datatype), "{}", error.message);
    }
}

#[test]
fn ids_parameters_and_wanted_outputs_travel() {
    let inference = read(&json!({
        "id": "call-1",
        "parameters": {"truncate": true, "seed": -7, "big": u64::MAX, "share": 0.5, "mode": "a"},
        "inputs": [{"name": "x", "datatype": "INT8", "shape": [1], "data": [1], "parameters": {"p": 1}}],
        "outputs": [{"name": "y", "parameters": {"classification": 3}}, {"name": "z"}],
    }));
    let there = over_grpc(&inference);

    assert_eq!(there.id.as_deref(), Some("call-1"));
    assert_eq!(there.parameters, inference.parameters);
    assert_eq!(there.inputs[0].parameters, inference.inputs[0].parameters);
    let names: Vec<_> = there.outputs.iter().map(|output| output.name.as_str()).collect();
    assert_eq!(names, ["y", "z"]);
    assert_eq!(there.outputs[0].parameters, inference.outputs[0].parameters);
}

#[test]
fn tensors_after_the_json_are_read_in_their_order() {
    let head = json!({"inputs": [
        {"name": "a", "datatype": "INT16", "shape": [2], "parameters": {"binary_data_size": 4}},
        {"name": "b", "datatype": "BOOL", "shape": [1], "data": [true]},
        {"name": "c", "datatype": "BYTES", "shape": [2], "parameters": {"binary_data_size": 10}},
    ]});
    let raw = b"\x01\x00\xff\xff\x02\x00\x00\x00hi\x00\x00\x00\x00";
    let inference = Inference::from_rest(binary(&head, raw)).unwrap();

    let values: Vec<_> =
        inference.inputs.iter().map(|input| input.json().unwrap().to_vec()).collect();
    assert_eq!(values, [b"[1,-1]".to_vec(), b"[true]".to_vec(), br#"["hi",""]"#.to_vec()]);
}

#[test]
fn bytes_that_do_not_add_up_are_refused_by_name() {
    let head = |size: u64, datatype: &str, shape: &[u64]| {
        json!({"inputs": [{"name": "a", "datatype": datatype, "shape": shape,
            "parameters": {"binary_data_size": size}}]})
    };
    let refused =
        |head: &Value, raw: &[u8]| Inference::from_rest(binary(head, raw)).unwrap_err().message;

    assert!(refused(&head(4, "INT16", &[2]), b"abc").contains("3 bytes that are left"));
    assert!(refused(&head(3, "INT16", &[2]), b"abc").contains("takes 4"));
    assert!(refused(&head(2, "INT16", &[1]), b"abc").contains("1 bytes follow"));
    assert!(refused(&head(5, "BYTES", &[1]), b"\x09\0\0\0x").contains("goes past the end"));
    assert!(refused(&head(8, "INT64", &[1 << 40, 1 << 40]), &[0; 8]).contains("more than"));
    let too_long = Body { bytes: "{}".into(), json_size: Some(3) };
    let error = Inference::from_rest(too_long).unwrap_err().message;
    assert!(error.contains("`Inference-Header-Content-Length` is 3"), "{error}");
}

#[test]
fn what_is_no_inference_says_where_it_is_not() {
    let tensor = |change: Value| {
        let mut tensor = json!({"name": "x", "datatype": "INT8", "shape": [1], "data": [1]});
        for (name, value) in change.as_object().unwrap() {
            tensor[name] = value.clone();
        }
        refusal(&json!({"inputs": [tensor]}))
    };
    assert!(refusal(&json!([])).contains("must be an object"));
    assert!(refusal(&json!({})).contains("`inputs` is missing"));
    assert!(tensor(json!({"name": ""})).contains("`inputs[0].name` is missing"));
    assert!(tensor(json!({"datatype": "INT9"})).contains("`INT9`"));
    assert!(tensor(json!({"shape": [-1]})).contains("`inputs[0].shape[0]`"));
    assert!(tensor(json!({"shape": [2]})).contains("1 elements"));
    assert!(tensor(json!({"data": ["1"]})).contains("`x.data[0]` must be a whole number"));
    assert!(tensor(json!({"data": 1})).contains("an array"));
    assert!(tensor(json!({"parameters": {"binary_data_size": 1}})).contains("both"));
    assert!(tensor(json!({"parameters": {"shared_memory_region": "r"}})).contains("shared memory"));
    let two = json!({"name": "x", "datatype": "INT8", "shape": [1], "data": [1]});
    assert!(refusal(&json!({"inputs": [two, two]})).contains("twice"));
    assert!(refusal(&json!({"inputs": [two], "id": 5})).contains("`id` must be a string"));
}

#[test]
fn the_signature_decides_names_types_and_shapes() {
    let signature = Signature {
        inputs: vec![spec("x", "FP32", &[-1, 2]), spec("n", "INT64", &[-1])],
        outputs: vec![spec("y", "FP32", &[-1, 1])],
    };
    let rules = Rules { signature: Some(&signature), parameters: None };
    let x = json!({"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]});
    let n = json!({"name": "n", "datatype": "INT64", "shape": [1], "data": [1]});
    let check = |body: Value| read(&body).check(&rules).map_err(|error| error.message);
    let with = |change: Value| {
        let mut x = x.clone();
        for (name, value) in change.as_object().unwrap() {
            x[name] = value.clone();
        }
        check(json!({"inputs": [x, n]})).unwrap_err()
    };

    assert_eq!(check(json!({"inputs": [n, x], "outputs": [{"name": "y"}]})), Ok(()));
    assert_eq!(with(json!({"name": "z"})), "`z` is not an input of the model");
    assert_eq!(with(json!({"datatype": "FP64"})), "`x` is FP64, but the model takes FP32");
    assert_eq!(
        with(json!({"shape": [2, 1]})),
        "`x` has the shape [2, 1], but the model takes [-1, 2]"
    );
    assert_eq!(check(json!({"inputs": [x]})).unwrap_err(), "`n` is missing");
    let unknown = check(json!({"inputs": [x, n], "outputs": [{"name": "q"}]})).unwrap_err();
    assert_eq!(unknown, "`q` is not an output of the model");
}

#[test]
fn engines_of_our_own_get_the_parameters_they_list() {
    let known = serde_json::from_value(json!({"top_k": {"maximum": 5.0}})).unwrap();
    let rules = Rules { signature: None, parameters: Some(&known) };
    let check = |change: Value| {
        let mut body = one("INT8", &[1], &json!([1]));
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        read(&body).check(&rules).map_err(|error| error.message)
    };

    assert_eq!(check(json!({"parameters": {"top_k": 5, "binary_data_output": true}})), Ok(()));
    assert!(check(json!({"parameters": {"top_k": 6}})).unwrap_err().contains("top_k"));
    assert!(check(json!({"parameters": {"sequence_id": 1}})).unwrap_err().contains("sequence_id"));
    assert!(check(json!({"vendor": 1})).unwrap_err().contains("vendor"));
    let outputs = json!({"outputs": [{"name": "y", "parameters": {"classification": 1}}]});
    assert!(check(outputs).unwrap_err().contains("classification"));
}

fn answer() -> Value {
    json!({
        "model_name": "m", "model_version": "2", "id": "call-1", "parameters": {"input_tokens": 7},
        "outputs": [
            {"name": "y", "datatype": "FP32", "shape": [1, 2], "data": [[0.25, -1.5]]},
            {"name": "l", "datatype": "BYTES", "shape": [1], "data": ["good"]},
        ],
    })
}

#[test]
fn an_answer_survives_the_way_to_a_grpc_caller_and_back() {
    let read = Answer::from_rest(&rest(&answer())).unwrap();
    let message = read.for_grpc().unwrap();
    let back = Answer::from_grpc(&message).unwrap();
    let text: Value = serde_json::from_slice(&back.for_json().unwrap()).unwrap();
    let mut flat = answer();
    flat["outputs"][0]["data"] = json!([0.25, -1.5]);

    assert_eq!(text, flat);
    assert_eq!(back.usage().input_tokens, Some(7));
    assert_eq!(Answer::skim_grpc(&message).unwrap().input_tokens, Some(7));
    assert_eq!(Skimmed::read(&rest(&answer())).unwrap().usage.input_tokens, Some(7));
}

#[test]
fn callers_get_bytes_where_they_asked_for_bytes() {
    let mut asked = one("INT8", &[1], &json!([1]));
    asked["outputs"] = json!([{"name": "y", "parameters": {"binary_data": true}}, {"name": "l"}]);
    let sent = Answer::from_rest(&rest(&answer())).unwrap().for_rest(&read(&asked)).unwrap();
    let (head, raw) = sent.parts().unwrap();
    let head: Value = serde_json::from_slice(&head).unwrap();

    assert_eq!(head["outputs"][0]["parameters"], json!({"binary_data_size": 8}));
    assert_eq!(head["outputs"][1]["data"], json!(["good"]));
    assert_eq!(raw, [0.25_f32.to_le_bytes(), (-1.5_f32).to_le_bytes()].concat());
}

#[test]
fn answers_that_are_none_are_the_servers_fault() {
    let faults = [json!({"error": "no such model"}), json!({"model_name": "m"}), json!([1])];
    for fault in faults {
        assert!(Answer::from_rest(&rest(&fault)).is_err(), "{fault}");
        assert!(Skimmed::read(&rest(&fault)).is_err(), "{fault}");
    }
    let html = Body { bytes: "<html>".into(), json_size: None };
    assert!(Skimmed::read(&html).is_err());
    assert!(Answer::from_grpc(&Bytes::from_static(b"\0\0\0\0\x09x")).is_err());
}

#[test]
fn numbers_json_does_not_have_are_told_and_pass_as_bytes() {
    let head = json!({"model_name": "m", "outputs": [
        {"name": "y", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
    ]});
    let body = binary(&head, &f32::NAN.to_le_bytes());
    let answer = Answer::from_rest(&body).unwrap();

    assert!(answer.for_json().unwrap_err().message.contains("`y`"));
    assert!(answer.for_grpc().is_ok());
}

#[test]
fn typed_contents_become_raw_ones() {
    // x: INT32 [2], contents.int_contents packed [1, -1]; t: BYTES [1], contents.bytes_contents ["hi"]
    let mut message = Vec::new();
    let tensor = |name: &str, datatype: &str, shape: u8, contents: &[u8]| {
        let mut tensor = Vec::new();
        protobuf::write_text(1, name, &mut tensor);
        protobuf::write_text(2, datatype, &mut tensor);
        protobuf::write_sized(3, &[shape], &mut tensor);
        protobuf::write_sized(5, contents, &mut tensor);
        tensor
    };
    let minus = [&[1_u8][..], &[0xff; 9], &[1]].concat();
    let mut ints = Vec::new();
    protobuf::write_sized(2, &minus, &mut ints);
    protobuf::write_sized(5, &tensor("x", "INT32", 2, &ints), &mut message);
    let mut texts = Vec::new();
    protobuf::write_sized(8, b"hi", &mut texts);
    protobuf::write_sized(5, &tensor("t", "BYTES", 1, &texts), &mut message);
    let inference = Inference::from_grpc(message.into()).unwrap();

    assert_eq!(data(&inference), json!([1, -1]));
    assert_eq!(inference.inputs[1].json().unwrap(), r#"["hi"]"#);
}

#[test]
fn a_grpc_request_keeps_the_fields_nobody_here_knows() {
    let mut message = Vec::new();
    protobuf::write_text(1, "public-name", &mut message);
    protobuf::write_text(2, "3", &mut message);
    let mut tensor = Vec::new();
    protobuf::write_text(1, "x", &mut tensor);
    protobuf::write_text(2, "INT8", &mut tensor);
    protobuf::write_sized(3, &[1], &mut tensor);
    protobuf::write_sized(5, &tensor, &mut message);
    protobuf::write_sized(7, &[5], &mut message);
    protobuf::write_sized(99, b"later", &mut message);
    let sent = Inference::from_grpc(message.into()).unwrap().for_grpc("inner").unwrap();
    let text = String::from_utf8_lossy(&sent);

    assert!(text.contains("inner") && text.contains("later"), "{text}");
    assert!(!text.contains("public-name"), "{text}");
}

proptest! {
    #[test]
    fn floats_come_back_as_they_went(values in prop::collection::vec(any::<f32>(), 1..50)) {
        prop_assume!(values.iter().all(|value| value.is_finite()));
        let there = over_grpc(&read(&one("FP32", &[values.len() as u64], &json!(values))));
        let back: Vec<f32> = serde_json::from_slice(&there.inputs[0].json().unwrap()).unwrap();
        prop_assert_eq!(back, values);
    }

    #[test]
    fn texts_come_back_as_they_went(values in prop::collection::vec(".*", 1..20)) {
        let there = over_grpc(&read(&one("BYTES", &[values.len() as u64], &json!(values))));
        prop_assert_eq!(data(&there), json!(values));
    }
}
