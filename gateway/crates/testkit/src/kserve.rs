//! Correct answers of a KServe V2 server: values depend on nothing but their place in the batch.
//!
//! Tensors come and go as JSON or, where the request says so, as bytes after it.

use serde_json::{Value, json};

use crate::script::{Script, UsageReport};

/// The signature of a model nobody described: a text in, a label and a score out.
pub(crate) fn default_signature() -> Value {
    json!({
        "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1, 1]}],
        "outputs": [
            {"name": "label", "datatype": "BYTES", "shape": [-1, 1]},
            {"name": "score", "datatype": "FP32", "shape": [-1, 1]},
        ],
    })
}

pub(crate) fn metadata(model: &str, signature: &Value) -> Value {
    json!({
        "name": model,
        "versions": ["1"],
        "platform": "fake",
        "inputs": signature["inputs"],
        "outputs": signature["outputs"],
    })
}

/// Words of all texts of the request: its input tokens.
pub(crate) fn input_tokens(body: &Value) -> u64 {
    fn words(value: &Value) -> u64 {
        match value {
            Value::String(text) => text.split_whitespace().count() as u64,
            Value::Array(items) => items.iter().map(words).sum(),
            _ => 0,
        }
    }
    let inputs = body["inputs"].as_array().map(Vec::as_slice).unwrap_or_default();
    inputs.iter().map(|input| words(&input["data"])).sum()
}

/// Elements of a raw tensor: texts as they are, of all others only how many.
fn elements(datatype: &str, mut bytes: &[u8]) -> Vec<Value> {
    let width = match datatype {
        "BYTES" => {
            let mut texts = Vec::new();
            while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
                let length = u32::from_le_bytes(*length) as usize;
                let (text, after) = rest.split_at(length.min(rest.len()));
                texts.push(String::from_utf8_lossy(text).into());
                bytes = after;
            }
            return texts;
        }
        "BOOL" | "INT8" | "UINT8" => 1,
        "INT16" | "UINT16" | "FP16" | "BF16" => 2,
        "INT32" | "UINT32" | "FP32" => 4,
        _ => 8,
    };
    vec![Value::Null; bytes.len() / width]
}

/// Take in the tensors that follow the JSON: each becomes its `data`.
///
/// # Errors
/// They are not as long as the JSON says.
pub(crate) fn unpack(document: &mut Value, mut raw: &[u8]) -> Result<(), String> {
    let inputs = document["inputs"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    for input in inputs {
        let Some(size) = input["parameters"]["binary_data_size"].as_u64() else { continue };
        let size = usize::try_from(size).map_err(|error| error.to_string())?;
        let bytes = raw.split_off(..size).ok_or("a tensor goes past the end of the body")?;
        let datatype = input["datatype"].as_str().unwrap_or_default();
        input["data"] = elements(datatype, bytes).into();
    }
    if raw.is_empty() { Ok(()) } else { Err(format!("{} bytes are left over", raw.len())) }
}

/// An answer as a body: outputs that were asked for as bytes follow the JSON, whose length then comes back.
pub(crate) fn pack(mut answer: Value, asked: &Value) -> (Vec<u8>, Option<usize>) {
    let all = asked["parameters"]["binary_data_output"] == true;
    let mut raw = Vec::new();
    let outputs = answer["outputs"].as_array_mut().map(Vec::as_mut_slice).unwrap_or_default();
    for output in outputs {
        let wanted = tensors(&asked["outputs"]);
        let named = wanted.iter().find(|wanted| wanted["name"] == output["name"]);
        if all || named.is_some_and(|named| named["parameters"]["binary_data"] == true) {
            let before = raw.len();
            let datatype = output["datatype"].as_str().unwrap_or_default().to_owned();
            for element in tensors(&output["data"]) {
                write_raw(&datatype, &element, &mut raw);
            }
            output["parameters"] = json!({"binary_data_size": raw.len() - before});
            if let Some(output) = output.as_object_mut() {
                output.remove("data");
            }
        }
    }
    let mut body = answer.to_string().into_bytes();
    let json_size = (!raw.is_empty()).then_some(body.len());
    body.extend(raw);
    (body, json_size)
}

fn write_raw(datatype: &str, element: &Value, out: &mut Vec<u8>) {
    let float = element.as_f64().unwrap_or_default();
    let whole = element.as_i64().unwrap_or_default().to_le_bytes();
    match datatype {
        "BYTES" => {
            let text = element.as_str().unwrap_or_default();
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(text.as_bytes());
        }
        "BOOL" => out.push(u8::from(element == true)),
        "FP32" => out.extend((float as f32).to_le_bytes()),
        "FP64" => out.extend(float.to_le_bytes()),
        "INT8" | "UINT8" => out.extend(&whole[..1]),
        "INT16" | "UINT16" => out.extend(&whole[..2]),
        "INT32" | "UINT32" => out.extend(&whole[..4]),
        _ => out.extend(whole),
    }
}

/// The answer to a request, or what is wrong with it.
pub(crate) fn infer(
    model: &str,
    signature: &Value,
    body: &Value,
    script: &Script,
) -> Result<Value, String> {
    let specs = tensors(&signature["inputs"]);
    let given = tensors(&body["inputs"]);
    let mut batch = 0;
    for spec in &specs {
        let name = spec["name"].as_str().unwrap_or_default();
        let input = given
            .iter()
            .find(|input| input["name"] == name)
            .ok_or_else(|| format!("input `{name}` is missing"))?;
        batch = check(name, spec, input)?;
    }
    if let Some(extra) = given.iter().find(|input| specs.iter().all(|s| s["name"] != input["name"]))
    {
        return Err(format!("there is no input {}", extra["name"]));
    }
    let outputs: Vec<Value> =
        tensors(&signature["outputs"]).iter().map(|spec| output(spec, batch)).collect();
    let mut answer = json!({"model_name": model, "model_version": "1", "outputs": outputs});
    if !body["id"].is_null() {
        answer["id"] = body["id"].clone();
    }
    if script.usage != UsageReport::Missing {
        answer["parameters"] = json!({"input_tokens": input_tokens(body)});
    }
    Ok(answer)
}

fn tensors(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// Check one input and return the size of the batch.
fn check(name: &str, spec: &Value, input: &Value) -> Result<u64, String> {
    if input["datatype"] != spec["datatype"] {
        return Err(format!(
            "input `{name}` has datatype {}, expected {}",
            input["datatype"], spec["datatype"]
        ));
    }
    let shape: Vec<u64> = tensors(&input["shape"]).iter().filter_map(Value::as_u64).collect();
    let values = count(&input["data"]);
    if shape.iter().product::<u64>() != values {
        return Err(format!(
            "input `{name}` has {values} values, its shape {shape:?} says otherwise"
        ));
    }
    let expected = tensors(&spec["shape"]);
    let fits = expected.len() == shape.len()
        && expected.iter().zip(&shape).all(|(e, s)| e == -1 || e.as_u64() == Some(*s));
    if !fits {
        return Err(format!("input `{name}` has shape {shape:?}, expected {}", spec["shape"]));
    }
    Ok(shape.first().copied().unwrap_or(1))
}

fn count(data: &Value) -> u64 {
    match data {
        Value::Array(items) => items.iter().map(count).sum(),
        _ => 1,
    }
}

fn output(spec: &Value, batch: u64) -> Value {
    let shape: Vec<u64> = tensors(&spec["shape"])
        .iter()
        .enumerate()
        .map(|(at, size)| if at == 0 { batch } else { size.as_u64().unwrap_or(1) })
        .collect();
    let datatype = spec["datatype"].as_str().unwrap_or_default();
    let value = |index: u64| match datatype {
        "BYTES" => json!(format!("{}-{index}", spec["name"].as_str().unwrap_or_default())),
        "BOOL" => json!(index.is_multiple_of(2)),
        float if float.starts_with("FP") => json!(index as f64 + 0.5),
        _ => json!(index),
    };
    let data: Vec<Value> = (0..shape.iter().product()).map(value).collect();
    json!({"name": spec["name"], "datatype": datatype, "shape": shape, "data": data})
}
