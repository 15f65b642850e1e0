use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn judged(egress: &Egress, text: &str) -> Result<(), Denied> {
    egress.0.rules.load().judge(text.parse().unwrap())
}

/// The list that the control plane's tests read, too.
const ADDRESSES: &str = include_str!("addresses.txt");

#[test]
fn both_planes_judge_the_same_addresses_alike() {
    let egress = Egress::default();
    for line in ADDRESSES.lines().filter(|line| !line.starts_with('#')) {
        let (judgement, address) = line.split_once(' ').unwrap();
        let judged = egress.0.rules.load().judge(SocketAddr::new(ip(address), 443));
        assert_eq!(judged.is_ok(), judgement == "allowed", "{address}");
    }
}

#[test]
fn what_lies_inside_is_denied_in_every_form() {
    let denied = [
        ("127.0.0.1:80", Denied::Loopback),
        ("127.9.9.9:80", Denied::Loopback),
        ("[::1]:80", Denied::Loopback),
        ("[::ffff:127.0.0.1]:80", Denied::Loopback),
        ("[::127.0.0.1]:80", Denied::Loopback),
        ("[::ffff:0:127.0.0.1]:80", Denied::Loopback),
        ("[64:ff9b::127.0.0.1]:80", Denied::Loopback),
        ("[2002:7f00:1::]:80", Denied::Loopback),
        ("0.0.0.0:80", Denied::Unspecified),
        ("0.1.2.3:80", Denied::Unspecified),
        ("[::]:80", Denied::Unspecified),
        ("169.254.169.254:80", Denied::LinkLocal),
        ("[::ffff:169.254.169.254]:80", Denied::LinkLocal),
        ("[fe80::1]:80", Denied::LinkLocal),
        ("[fd00:ec2::254]:80", Denied::Metadata),
        ("168.63.129.16:80", Denied::Metadata),
        ("100.100.100.200:80", Denied::Metadata),
        ("224.0.0.1:80", Denied::Multicast),
        ("[ff02::1]:80", Denied::Multicast),
        ("255.255.255.255:80", Denied::Reserved),
        ("240.0.0.1:80", Denied::Reserved),
    ];
    let egress = Egress::default();
    for (address, why) in denied {
        assert_eq!(judged(&egress, address), Err(why), "{address}");
    }
}

#[test]
fn private_networks_and_the_internet_are_allowed() {
    let egress = Egress::default();
    for address in
        ["10.1.2.3:80", "172.16.0.1:80", "192.168.1.1:80", "[fd12::1]:80", "93.184.216.34:443"]
    {
        assert_eq!(judged(&egress, address), Ok(()), "{address}");
    }
}

#[test]
fn a_listed_network_is_allowed_and_no_other() {
    let egress = Egress::default();
    egress.allow(&["127.0.0.0/8".parse().unwrap()]);

    assert_eq!(judged(&egress, "127.0.0.1:80"), Ok(()));
    assert_eq!(judged(&egress, "[::ffff:127.0.0.1]:80"), Ok(()));
    assert_eq!(judged(&egress, "[::1]:80"), Err(Denied::Loopback));

    egress.allow(&[]);
    assert_eq!(judged(&egress, "127.0.0.1:80"), Err(Denied::Loopback));
}

#[test]
fn the_platforms_own_listeners_are_denied_by_whatever_address() {
    let egress = Egress::default();
    egress.own(&[
        Own::Here("10.0.0.5:8080".parse().unwrap()),
        Own::Here("0.0.0.0:9090".parse().unwrap()),
    ]);
    let connected = |local: &str, peer: &str| {
        egress.judge(SocketAddr::new(ip(local), 40_000), peer.parse().unwrap())
    };

    assert_eq!(judged(&egress, "10.0.0.5:8080"), Err(Denied::Platform));
    assert_eq!(judged(&egress, "10.0.0.5:8081"), Ok(()));
    assert_eq!(connected("10.0.0.5", "10.0.0.5:9090"), Err(Denied::Platform));
    assert_eq!(connected("10.0.0.5", "10.0.0.6:9090"), Ok(()));
}
