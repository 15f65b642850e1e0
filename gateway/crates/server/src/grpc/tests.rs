use super::*;

fn with_timeout(text: &str) -> Result<Option<Duration>, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert("grpc-timeout", HeaderValue::from_str(text).unwrap());
    timeout(&headers)
}

#[test]
fn time_limits_are_read_in_every_unit() {
    assert_eq!(timeout(&HeaderMap::new()).unwrap(), None);
    for (text, limit) in [
        ("2H", Duration::from_secs(7_200)),
        ("3M", Duration::from_secs(180)),
        ("4S", Duration::from_secs(4)),
        ("5m", Duration::from_millis(5)),
        ("6u", Duration::from_micros(6)),
        ("99999999n", Duration::from_nanos(99_999_999)),
    ] {
        assert_eq!(with_timeout(text).unwrap(), Some(limit), "{text}");
    }
    for text in ["", "S", "1", "-1S", "1 S", "123456789S", "1x"] {
        assert!(with_timeout(text).is_err(), "{text}");
    }
}

#[test]
fn the_status_of_grpc_says_what_the_http_status_says() {
    let of = |code: Code| status(&Refusal::new(code, ""));

    assert_eq!(of(Code::MissingApiKey), 16);
    assert_eq!(of(Code::PermissionDenied), 7);
    assert_eq!(of(Code::ModelNotFound), 5);
    assert_eq!(of(Code::RouteNotFound), 12);
    assert_eq!(of(Code::BodyTooLarge), 8);
    assert_eq!(of(Code::UpstreamTimeout), 4);
    assert_eq!(of(Code::UpstreamUnavailable), 14);
    assert_eq!(of(Code::InternalError), 13);
    assert_eq!(of(Code::Request(RequestCode::InvalidField)), 3);
}

#[test]
fn messages_are_escaped_as_headers_want_them() {
    assert_eq!(escaped("50 % of `Größe`\n"), "50 %25 of `Gr%C3%B6%C3%9Fe`%0A");
}
