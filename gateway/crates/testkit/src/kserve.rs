//! Correct answers of a KServe V2 server: values depend on nothing but their place in the batch.

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
