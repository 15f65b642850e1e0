use super::*;

fn parse(text: &str) -> Result<Address, AddressError> {
    Address::parse(text, "/v1")
}

#[test]
fn addresses_are_taken_apart() {
    let cases = [
        ("http://host", "host", 80, "", "http://host:80"),
        ("http://host:8000/v1", "host", 8000, "/v1", "http://host:8000/v1"),
        ("http://Host:8000/a/v1/", "Host", 8000, "/a/v1", "http://host:8000/a/v1"),
        ("http://[::1]:8000", "::1", 8000, "", "http://[::1]:8000"),
    ];
    for (text, host, port, prefix, shown) in cases {
        let address = parse(text).unwrap();

        assert_eq!(address.place(), &Place::Tcp { host: host.to_owned(), port });
        assert_eq!((address.prefix(), address.to_string().as_str()), (prefix, shown));
    }
    assert_eq!(
        parse("https://api.example/v1").unwrap().place(),
        &Place::Tls { host: "api.example".to_owned(), port: 443 }
    );
}

#[test]
fn sockets_take_the_prefix_of_their_dialect() {
    let address = parse("unix:/run/m.sock").unwrap();

    assert_eq!(address.place(), &Place::Unix("/run/m.sock".into()));
    assert_eq!((address.prefix(), address.host()), ("/v1", &HeaderValue::from_static("localhost")));
}

#[test]
fn equal_hosts_share_a_pool_whatever_the_prefix() {
    let (one, two) = (parse("http://host:80/a").unwrap(), parse("http://HOST/b").unwrap());

    assert_eq!(one.pool(), two.pool());
    assert_ne!(one, two);
}

#[test]
fn what_is_no_address_is_refused() {
    let malformed = [
        "",
        "host",
        "host:80",
        "ftp://host",
        "http://",
        "http://:80",
        "http://host:99999",
        "http://a b",
        "/path",
    ];
    for text in malformed {
        assert_eq!(parse(text), Err(AddressError::Malformed(text.to_owned())), "{text}");
    }
    for text in ["unix:relative.sock", "unix:", &format!("unix:/{}", "x".repeat(107))] {
        assert!(matches!(parse(text), Err(AddressError::Socket(_))), "{text}");
    }
    assert!(matches!(parse("http://host/?a=b"), Err(AddressError::Query(_))));
    assert!(matches!(parse("http://host/a/../b"), Err(AddressError::Dots(_))));
}

#[test]
fn errors_never_show_a_password() {
    let error = parse("http://user:secret@host/").unwrap_err();

    assert_eq!(error, AddressError::UserInfo("http://…@host/".to_owned()));
}

#[test]
fn names_stay_inside_their_segment() {
    let cases = [
        ("smollm2-1.7b", "smollm2-1.7b"),
        ("org/model", "org%2Fmodel"),
        ("..", "%2E%2E"),
        ("a b?c#d%", "a%20b%3Fc%23d%25"),
        ("\u{e9}", "%C3%A9"),
    ];
    for (name, segment) in cases {
        assert_eq!(path_segment(name), segment);
    }
}
