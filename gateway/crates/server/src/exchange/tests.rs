use http::HeaderValue;

use super::labels;

fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    labels(&HeaderValue::from_str(text).unwrap())
}

#[test]
fn labels_are_pairs_between_commas() {
    let expected = vec![("a".to_owned(), "1".to_owned()), ("b".to_owned(), "x=y".to_owned())];

    assert_eq!(read("a=1, b=x=y,"), Ok(expected));
}

#[test]
fn malformed_labels_are_named() {
    assert_eq!(read("a").unwrap_err(), "has the part `a` without a `=`");
    assert_eq!(read("a=1,a=2").unwrap_err(), "has `a` twice");
    let nine = (0..9).map(|n| format!("l{n}=v")).collect::<Vec<_>>().join(",");
    assert_eq!(read(&nine).unwrap_err(), "has more than 8 labels");
}
