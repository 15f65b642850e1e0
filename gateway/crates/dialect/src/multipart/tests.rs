use super::*;
use crate::request::RequestCode;

const BOUNDARY: &str = "b0undary";

fn form(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

fn names(body: &[u8]) -> Vec<(String, bool, Vec<u8>)> {
    let form = read(body, BOUNDARY).unwrap();
    let part = |part: Part| (part.name, part.is_file, body[part.content].to_vec());
    form.parts.into_iter().map(part).collect()
}

fn refused(text: &str) -> String {
    let error = read(&form(text), BOUNDARY).unwrap_err();
    assert_eq!(error.code, RequestCode::InvalidForm);
    error.message
}

#[test]
fn parts_are_found_where_they_are() {
    let body = form(
        "--b0undary\nContent-Disposition: form-data; name=\"model\"\n\nm\n\
         --b0undary\ncontent-disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".wav\"\nContent-Type: audio/wav\n\nRIFF\n--b0undar\n\n\n\
         --b0undary\nContent-Disposition: form-data; name=prompt\n\n\n--b0undary--\n",
    );

    let expected = [
        ("model".to_owned(), false, b"m".to_vec()),
        ("file".to_owned(), true, b"RIFF\r\n--b0undar\r\n\r\n".to_vec()),
        ("prompt".to_owned(), false, Vec::new()),
    ];
    assert_eq!(names(&body), expected);
}

#[test]
fn a_form_without_parts_has_none() {
    assert_eq!(names(&form("--b0undary--\n")), []);
    assert_eq!(names(&form("--b0undary--")), []);
}

#[test]
fn what_is_no_form_is_refused_by_name() {
    let part = "--b0undary\nContent-Disposition: form-data; name=\"a\"\n\nx\n";
    let cases = [
        ("hello", "does not begin with the boundary"),
        ("\n--b0undary--", "does not begin with the boundary"),
        ("--b0undaryX\n", "begins with the boundary and goes on"),
        (&format!("{part}--b0undary-x"), "begins with the boundary and goes on"),
        (&format!("{part}--b0undary--\nmore"), "goes on after its end"),
        ("--b0undary\nContent-Disposition: form-data; name=\"a\"\n", "ends in the head of a part"),
        ("--b0undary\nContent-Disposition: form-data; name=\"a\"\n\nx", "ends in the part `a`"),
        ("--b0undary\n\nx\n--b0undary--", "no `content-disposition`"),
        ("--b0undary\nContent-Disposition: form-data\n\nx\n--b0undary--", "has no name"),
        ("--b0undary\nContent-Disposition: form-data; name=\"\"\n\nx\n--b0undary--", "has no name"),
        (
            "--b0undary\nContent-Disposition: attachment; name=\"a\"\n\nx\n--b0undary--",
            "not `form-data`",
        ),
        ("--b0undary\nContent-Disposition: form-data; name=\"a\n\nx\n--b0undary--", "malformed"),
        (
            "--b0undary\nContent-Disposition: form-data; name=a; name=b\n\nx\n--b0undary--",
            "malformed",
        ),
        (
            "--b0undary\nContent-Disposition: form-data; name=a; name*=utf-8''b\n\nx\n--b0undary--",
            "malformed",
        ),
        ("--b0undary\nnonsense\n\nx\n--b0undary--", "no header"),
        (
            "--b0undary\nContent-Disposition: form-data; name=a\nContent-Transfer-Encoding: base64\n\nbQ==\n--b0undary--",
            "content-transfer-encoding",
        ),
    ];
    for (text, said) in cases {
        let message = refused(text);
        assert!(message.contains(said), "{text:?}: {message}");
    }
}

#[test]
fn forms_have_bounds() {
    let head =
        format!("--b0undary\nContent-Disposition: form-data; name={}\n\n", "x".repeat(5_000));
    assert!(refused(&head).contains("head is larger than 4096 bytes"));

    let part = "--b0undary\nContent-Disposition: form-data; name=\"a\"\n\nx\n";
    let most = form(&format!("{}--b0undary--", part.repeat(MAX_PARTS)));
    assert_eq!(names(&most).len(), MAX_PARTS);
    assert!(refused(&part.repeat(MAX_PARTS + 1)).contains("more than 64 parts"));
}

#[test]
fn a_boundary_is_read_or_refused_by_name() {
    let of = |kind: &'static str| boundary(Some(kind));
    assert_eq!(of("multipart/form-data; boundary=abc").unwrap(), "abc");
    assert_eq!(of("Multipart/Form-Data;charset=utf-8; Boundary=\"a-b'c\"").unwrap(), "a-b'c");
    assert_eq!(of("multipart/form-data; boundary=\"==a?b==\"").unwrap(), "==a?b==");
    assert_eq!(content_type("a-b"), "multipart/form-data; boundary=a-b");
    assert_eq!(content_type("==a=="), "multipart/form-data; boundary=\"==a==\"");
    for (kind, said) in [
        ("application/json", "is `application/json`, not"),
        ("multipart/form-data", "names no `boundary`"),
        ("multipart/form-data; boundary=", "is not 1 to 70"),
        ("multipart/form-data; boundary=\"a b\"", "is not 1 to 70"),
        ("multipart/form-data; boundary=a; boundary=b", "two boundaries"),
    ] {
        let error = of(kind).unwrap_err();
        assert!(error.message.contains(said), "{kind}: {}", error.message);
        assert_eq!(error.param.as_deref(), Some("content-type"));
    }
    assert!(boundary(None).unwrap_err().message.contains("no `content-type`"));
}
