use serde_json::{Value, json};

use super::*;

#[test]
fn a_list_shows_what_is_known() {
    let modalities = ["text".to_owned()];
    let price = ModelPrice {
        currency: "EUR",
        input_nano_per_million: 20_000_000,
        output_nano_per_million: 80_000_000,
    };
    let full = ModelEntry {
        id: "smollm2",
        created: 1_790_000_000,
        owned_by: "demo",
        context_length: Some(8192),
        modalities: &modalities,
        price: Some(price),
    };
    let bare =
        ModelEntry { id: "m", context_length: None, modalities: &[], price: None, ..full.clone() };

    let listed: Value = serde_json::from_slice(&list(&[full, bare.clone()])).unwrap();

    let expected = json!({"object": "list", "data": [
        {"id": "smollm2", "object": "model", "created": 1_790_000_000, "owned_by": "demo",
         "context_length": 8192, "modalities": ["text"],
         "price": {"currency": "EUR", "input_nano_per_million": 20_000_000, "output_nano_per_million": 80_000_000}},
        {"id": "m", "object": "model", "created": 1_790_000_000, "owned_by": "demo"},
    ]});
    assert_eq!(listed, expected);
    assert_eq!(serde_json::from_slice::<Value>(&one(&bare)).unwrap(), expected["data"][1]);
}
