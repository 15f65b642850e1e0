use super::{address, name, network};

#[test]
fn addresses_as_targets_have_them_are_taken() {
    for good in [
        "http://127.0.0.1:9000/v1",
        "https://api.example.com/v1",
        "http://[::1]:80",
        "http://vllm",
        "unix:/run/towpath/replica.sock",
    ] {
        assert_eq!(address(good), Ok(()), "{good}");
    }
}

#[test]
fn malformed_addresses_are_refused() {
    for bad in [
        "",
        "127.0.0.1:9000",
        "ftp://host/",
        "http://",
        "http://:80",
        "http://host:0",
        "http://host:99999",
        "http://user:secret@host/",
        "http://ho st/",
        "http://host/?q=1",
        "http://[::1",
        "http://[nonsense]:1",
        "unix:relative.sock",
    ] {
        assert!(address(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_address_is_a_network_of_one() {
    assert!(
        network("10.1.2.3").unwrap().contains(&"10.1.2.3".parse::<std::net::IpAddr>().unwrap())
    );
    assert!(network("10.0.0.0/8").is_some());
    assert!(network("10.0.0.0/40").is_none());
}

#[test]
fn names_are_lower_case_letters_digits_and_dashes() {
    assert_eq!(name("smollm2"), Ok(()));
    assert!(name("").is_err() && name("Upper").is_err() && name(&"a".repeat(64)).is_err());
}
