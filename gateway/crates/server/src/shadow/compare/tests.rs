use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use towpath_wire::routing::Operation;
use towpath_wire::usage::CallerDialect;

use super::{Of, compare};

fn of(operation: Operation, dialect: CallerDialect) -> Of {
    Of { operation, dialect, stream: false }
}

fn paths(operation: Operation, ours: &Value, theirs: &Value) -> Vec<String> {
    let dialect = match operation {
        Operation::Predict => CallerDialect::Predict,
        _ => CallerDialect::Openai,
    };
    let (ours, theirs) = (ours.to_string(), theirs.to_string());
    let mut found = compare(of(operation, dialect), ours.as_bytes(), theirs.as_bytes()).unwrap();
    found.sort_unstable();
    found
}

#[test]
fn numbers_may_differ_by_a_thousandth() {
    let outputs = |score: f64| json!({"outputs": [{"label": "a", "score": score}], "model": score});
    let differ = |a, b| paths(Operation::Predict, &outputs(a), &outputs(b));

    assert_eq!(differ(0.5, 0.5004), Vec::<String>::new());
    assert_eq!(differ(0.5, 0.506), ["$.outputs[0].score"]);
    assert_eq!(differ(0.0, 1e-9), Vec::<String>::new());
    assert_eq!(differ(1.0, -1.0), ["$.outputs[0].score"]);
}

#[test]
fn what_differs_is_told_by_its_place() {
    let ours =
        json!({"outputs": [{"label": "a", "all": [1.0, 2.0]}, {"label": "b", "all": [1.0]}]});
    let theirs = json!({"outputs": [{"label": "c", "all": [1.0, 3.0]}, {"label": "b", "more": 1}]});
    let secret = |name: &str| json!({"outputs": [{name: "a"}]});

    assert_eq!(
        paths(Operation::Predict, &ours, &theirs),
        ["$.outputs[0].all", "$.outputs[0].label", "$.outputs[1].all", "$.outputs[1].more"]
    );
    assert_eq!(paths(Operation::Predict, &json!({"outputs": []}), &ours), ["$.outputs"]);
    assert_eq!(paths(Operation::Predict, &secret("Jane Doe"), &secret("x y")), ["$.outputs[0].*"]);
}

#[test]
fn no_more_than_sixteen_places_are_told() {
    let rows = |label: &str| json!({"outputs": vec![json!({"label": label}); 40]});

    assert_eq!(paths(Operation::Predict, &rows("a"), &rows("b")).len(), 16);
}

#[test]
fn embeddings_are_compared_as_numbers_in_either_form() {
    let whole = |value: f32| json!({"data": [{"embedding": vec![value; 32], "index": 0}]});
    let packed = |value: f32| {
        let bytes: Vec<u8> = [value; 32].iter().flat_map(|value| value.to_le_bytes()).collect();
        json!({"data": [{"embedding": STANDARD.encode(bytes)}]})
    };
    let same = Vec::<String>::new();

    assert_eq!(paths(Operation::Embeddings, &whole(0.5), &whole(0.5001)), same);
    assert_eq!(paths(Operation::Embeddings, &whole(0.5), &whole(0.6)), ["$.data[0].embedding"]);
    assert_eq!(paths(Operation::Embeddings, &packed(0.5), &packed(0.5001)), same);
    assert_eq!(paths(Operation::Embeddings, &packed(0.5), &packed(0.6)), ["$.data[0].embedding"]);
}

#[test]
fn of_chats_the_text_counts_and_not_the_rest() {
    let answer = |id: &str, text: &str| json!({"id": id, "choices": [{"message": {"role": "assistant", "content": text}}]});

    assert_eq!(
        paths(Operation::Chat, &answer("1", "yes"), &answer("2", "yes")),
        Vec::<String>::new()
    );
    assert_eq!(paths(Operation::Chat, &answer("1", "yes"), &answer("1", "no")), ["$.text"]);
}

#[test]
fn streams_are_compared_by_their_joined_text() {
    let stream = |pieces: &[&str]| {
        let events = pieces.iter().map(|piece| {
            let event = json!({"choices": [{"delta": {"content": piece}}]});
            format!("data: {event}\n\n")
        });
        events.collect::<String>() + "data: [DONE]\n\n"
    };
    let of = Of { stream: true, ..of(Operation::Chat, CallerDialect::Openai) };
    let differ =
        |a: &[&str], b: &[&str]| compare(of, stream(a).as_bytes(), stream(b).as_bytes()).unwrap();

    assert_eq!(differ(&["to", "gether"], &["together"]), Vec::<String>::new());
    assert_eq!(differ(&["to", "gether"], &["apart"]), ["$.text"]);
}

#[test]
fn what_cannot_be_read_is_not_compared() {
    let of = of(Operation::Predict, CallerDialect::Predict);

    assert_eq!(compare(of, b"{\"outputs\":[]}", b"no"), None);
    assert_eq!(compare(of, b"{}", b"{\"outputs\":[]}"), None);
}
