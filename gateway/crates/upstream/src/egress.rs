//! Which addresses may be connected to, for upstreams that somebody named by URL.
//!
//! A name is resolved once per connection; every address it has is checked, and only a checked address is
//! connected to, so a name that changes its mind in between (rebinding) gains nothing. What the platform
//! itself started ([`Address`](crate::Address) without [`checked`](crate::Address::checked)) is not asked about.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;

use crate::errors::UpstreamError;

/// Metadata services that lie in ranges which are otherwise fine: AWS over IPv6, Azure's host, Alibaba,
/// Oracle. 169.254.169.254 is link-local.
const METADATA: [IpAddr; 4] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(192, 0, 0, 192)),
];

/// What answers a name with addresses.
pub trait Resolve: Send + Sync {
    /// All addresses of a host, with this port.
    fn resolve<'r>(&'r self, host: &'r str, port: u16) -> Resolving<'r>;
}

/// Addresses on their way.
pub type Resolving<'r> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'r>>;

/// The operating system's resolver, `/etc/hosts` included.
#[derive(Clone, Copy, Debug, Default)]
pub struct System;

impl Resolve for System {
    fn resolve<'r>(&'r self, host: &'r str, port: u16) -> Resolving<'r> {
        Box::pin(async move { Ok(tokio::net::lookup_host((host, port)).await?.collect()) })
    }
}

/// A place that belongs to the platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Own {
    /// A listener of this machine; an unspecified address stands for all of the machine's.
    Here(SocketAddr),
    /// Another part of the platform, by name.
    There { host: String, port: u16 },
}

/// Why an address is not connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    Loopback,
    LinkLocal,
    Metadata,
    Multicast,
    Unspecified,
    Reserved,
    Platform,
    Socket,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "the gateway's own machine",
            Self::LinkLocal => "a link-local address, where machines keep their own secrets",
            Self::Metadata => "a cloud's metadata service",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "an unspecified address",
            Self::Reserved => "a reserved address",
            Self::Platform => "a listener of the platform itself",
            Self::Socket => "a socket of the gateway's own machine",
        })
    }
}

/// The rules in force. Cheap to clone; all clones see a change at once.
#[derive(Clone)]
pub struct Egress(Arc<Inner>);

struct Inner {
    rules: ArcSwap<Rules>,
    resolver: Box<dyn Resolve>,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    allow: Vec<IpNet>,
    own: Vec<Own>,
}

impl Default for Egress {
    fn default() -> Self {
        Self::new(System)
    }
}

impl Egress {
    /// Rules that allow no inside network and know no listeners of the platform yet.
    pub fn new(resolver: impl Resolve + 'static) -> Self {
        Self(Arc::new(Inner { rules: ArcSwap::default(), resolver: Box::new(resolver) }))
    }

    /// Networks that may be connected to whatever else forbids it.
    pub fn allow(&self, networks: &[IpNet]) {
        if self.0.rules.load().allow != networks {
            self.0.rules.rcu(|rules| Rules { allow: networks.to_vec(), ..Rules::clone(rules) });
        }
    }

    /// Places that belong to the platform.
    pub fn own(&self, places: &[Own]) {
        self.0.rules.rcu(|rules| Rules { own: places.to_vec(), ..Rules::clone(rules) });
    }

    /// The addresses of a host that may be connected to, in the order in which they came.
    pub(crate) async fn resolve(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Vec<SocketAddr>, UpstreamError> {
        let found = match host.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => self.0.resolver.resolve(host, port).await.map_err(UpstreamError::Connect)?,
        };
        let rules = self.0.rules.load_full();
        let mut platform = Vec::new();
        for own in &rules.own {
            if let Own::There { host, port: theirs } = own
                && *theirs == port
                && let Ok(found) = self.0.resolver.resolve(host, port).await
            {
                platform.extend(found.into_iter().map(|address| canonical(address.ip())));
            }
        }
        let mut allowed = Vec::with_capacity(found.len());
        let mut refused = None;
        for address in found {
            let ip = canonical(address.ip());
            let denied = match rules.judge(address) {
                Ok(()) if platform.contains(&ip) && !rules.lists(ip) => Err(Denied::Platform),
                judged => judged,
            };
            match denied {
                Ok(()) => allowed.push(address),
                Err(why) => refused = Some(UpstreamError::Denied { ip: Some(ip), why }),
            }
        }
        match refused {
            Some(refused) if allowed.is_empty() => Err(refused),
            _ if allowed.is_empty() => {
                let error = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
                Err(UpstreamError::Connect(error))
            }
            _ => Ok(allowed),
        }
    }

    /// Judge a connection that stands. One that comes out on this machine is known by having one address
    /// at both ends, whatever name or address led to it.
    pub(crate) fn judge(&self, local: SocketAddr, peer: SocketAddr) -> Result<(), Denied> {
        let rules = self.0.rules.load();
        rules.judge(peer)?;
        let ip = canonical(peer.ip());
        let here = canonical(local.ip()) == ip;
        let ours = rules.own.iter().any(|own| match own {
            Own::Here(listener) => {
                listener.port() == peer.port() && here && listener.ip().is_unspecified()
            }
            Own::There { .. } => false,
        });
        if ours && !rules.lists(ip) { Err(Denied::Platform) } else { Ok(()) }
    }
}

impl fmt::Debug for Egress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Egress").field(&self.0.rules.load()).finish()
    }
}

impl Rules {
    fn lists(&self, ip: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(&ip))
    }

    fn judge(&self, address: SocketAddr) -> Result<(), Denied> {
        let ip = canonical(address.ip());
        if self.lists(ip) {
            return Ok(());
        }
        let ours = self.own.iter().any(|own| match own {
            Own::Here(listener) => {
                listener.port() == address.port() && canonical(listener.ip()) == ip
            }
            Own::There { .. } => false,
        });
        if ours {
            return Err(Denied::Platform);
        }
        inside(ip).map_or(Ok(()), Err)
    }
}

/// Why an address is none that a URL may lead to. Private networks (10.0.0.0/8 and the like) are: that is
/// where organisations run their servers.
fn inside(ip: IpAddr) -> Option<Denied> {
    if METADATA.contains(&ip) {
        return Some(Denied::Metadata);
    }
    if ip.is_loopback() {
        return Some(Denied::Loopback);
    }
    if ip.is_multicast() {
        return Some(Denied::Multicast);
    }
    match ip {
        IpAddr::V4(v4) => match v4.octets() {
            // "This network": the kernel takes all of it for the machine itself.
            [0, ..] => Some(Denied::Unspecified),
            [169, 254, ..] => Some(Denied::LinkLocal),
            [240..=255, ..] => Some(Denied::Reserved),
            _ => None,
        },
        IpAddr::V6(v6) if v6.is_unspecified() => Some(Denied::Unspecified),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some(Denied::LinkLocal),
        IpAddr::V6(_) => None,
    }
}

/// The address that is meant: an IPv4 address in one of IPv6's clothes is that IPv4 address.
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let [a, b, c, d, e, f, g, h] = v6.segments();
    let v4 = |high: u16, low: u16| {
        let [first, second] = high.to_be_bytes();
        let [third, fourth] = low.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(first, second, third, fourth))
    };
    match [a, b, c, d, e, f] {
        // Mapped, translated (SIIT), and the NAT64 prefix.
        [0, 0, 0, 0, 0, 0xffff] | [0, 0, 0, 0, 0xffff, 0] | [0x64, 0xff9b, 0, 0, 0, 0] => v4(g, h),
        // Compatible; `::` and `::1` are themselves.
        [0, 0, 0, 0, 0, 0] if g != 0 || h > 1 => v4(g, h),
        // 6to4 carries it behind its prefix.
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

#[cfg(test)]
mod tests;
