use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::*;

fn accepts(text: &str) -> bool {
    let mut cursor = Cursor::new(text.as_bytes());
    cursor.space();
    cursor.skip().is_ok() && cursor.end().is_ok()
}

fn reason(text: &str) -> Syntax {
    let mut cursor = Cursor::new(text.as_bytes());
    cursor.space();
    cursor.skip().and_then(|_| cursor.end()).unwrap_err()
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        "[a-z\\\\\"\u{1}\u{e9}]{0,200}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(".{0,9}", inner, 0..6)
                .prop_map(|m| Value::Object(m.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn every_json_text_is_passed_whole(value in value(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let text = text.unwrap();
        let mut cursor = Cursor::new(text.as_bytes());

        let passed = cursor.skip().unwrap();

        prop_assert_eq!(passed, 0..text.len());
    }

    /// One wrong character anywhere: this scanner and serde_json must agree whether that is still JSON.
    #[test]
    fn damaged_text_is_judged_as_serde_json_judges_it(
        value in value(),
        at: prop::sample::Index,
        wrong in "[\\[\\]{}:,\"\\\\0-9a-ftnulrse.+\u{1f} -]{0,2}",
    ) {
        let mut text: Vec<char> = value.to_string().chars().collect();
        let at = at.index(text.len());
        text.splice(at..=at, wrong.chars());
        let text: String = text.into_iter().collect();

        prop_assert_eq!(accepts(&text), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
    }

    #[test]
    fn strings_end_where_they_end_however_long(text in "[a-z ]{0,300}", tail in "[\\\\\"\u{0}-\u{1f}]") {
        let bytes = format!("{text}{tail}");

        prop_assert_eq!(plain(bytes.as_bytes()), text.len());
    }

    #[test]
    fn written_strings_read_back(text in ".*") {
        let mut out = Vec::new();
        write_string(&mut out, &text);

        prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));

    assert!(accepts(&nested(128)));
    assert_eq!(reason(&nested(129)), Syntax { at: 128, what: "nested deeper than 128 levels" });
    assert!(!accepts(&"[".repeat(1_000_000)));
}

#[test]
fn text_is_counted_without_keys_and_pictures() {
    let mut text = 0;
    let json = br#"[{"type":"text","text":"seven b"},{"url":"data:image/png;base64,AAAA"}]"#;

    Cursor::new(json).skip_counting(&mut text).unwrap();

    assert_eq!(text, ("text".len() + "seven b".len()) as u64);
}

#[test]
fn a_place_is_counted_in_lines_and_characters() {
    let text = "{\n  \"\u{e9}\": x";

    assert_eq!(place(text.as_bytes(), text.len() - 1), (2, 8));
}

#[test]
fn whole_numbers_are_digits_alone() {
    assert_eq!(whole(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(whole(b"18446744073709551616"), None);
    assert_eq!(whole(b"1.0"), None);
    assert_eq!(whole(b"-1"), None);
}
