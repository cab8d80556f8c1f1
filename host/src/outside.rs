//! Requests to servers that outsiders name: to the Internet's addresses alone unless the operator says otherwise, whatever a
//! name resolves to at that moment; without redirects and proxies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;
use ureq::Agent;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

/// What sends requests, each within `patience`; to addresses of this machine and of the networks around it too if `private`, and
/// without TLS then.
pub fn agent(private: bool, patience: Duration) -> Agent {
    let config = Config::builder()
        .http_status_as_error(false)
        .https_only(!private)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("gradus/", env!("CARGO_PKG_VERSION")))
        .timeout_global(Some(patience))
        // Each address is looked at anew, and no connection waits for the next request.
        .max_idle_connections(0)
        .build();
    Agent::with_parts(config, DefaultConnector::default(), Outside { private })
}

/// Finds addresses, and gives only those that are nobody's around here.
#[derive(Debug)]
struct Outside {
    private: bool,
}

impl Resolver for Outside {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let mut outside = self.empty();
        let outside_of_here = |found: &IpAddr| is_public(*found) && !is_own(*found);
        found.iter().filter(|at| self.private || outside_of_here(&at.ip())).for_each(|at| outside.push(*at));
        if outside.is_empty() { Err(ureq::Error::Other(PRIVATE.into())) } else { Ok(outside) }
    }
}

/// Why an address is not gone to.
pub const PRIVATE: &str = "its address is of a private network, or of this server itself; the operator may allow that";

/// Whether an address is one of the Internet's, and not of a network of somebody's own.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_4(address),
        IpAddr::V6(address) => is_public_6(address),
    }
}

fn is_public_4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network; carriers' own; protocols' own; 6to4 relays; benchmarks; those kept for later.
        (0, ..) | (100, 64..128, _) | (192, 0, 0) | (192, 88, 99) | (198, 18 | 19, _) | (240.., ..) => true,
        _ => false,
    };
    !(special
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation())
}

fn is_public_6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    // Only what is routed at all; and of that nothing that stands for an address of version 4, nor what is for documents.
    let routed = segments[0] & 0xe000 == 0x2000;
    let translated = segments[0] == 0x2002 || (segments[0] == 0x2001 && segments[1] == 0);
    let documents = (segments[0] == 0x2001 && segments[1] == 0xdb8) || (segments[0] == 0x3fff && segments[1] < 0x1000);
    routed && !translated && !documents
}

/// Whether an address is one of this machine's: what goes there comes from there. Nothing is sent.
fn is_own(address: IpAddr) -> bool {
    let any: SocketAddr =
        if address.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let from = UdpSocket::bind(any).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    from.is_ok_and(|from| from.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_around_here_are_not_gone_to() {
        for (address, public) in [
            ("93.184.215.14", true),
            ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", true),
            ("127.0.0.1", false),
            ("127.8.8.8", false),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("172.31.255.255", false),
            ("192.168.0.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("198.18.0.1", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
            ("192.0.2.1", false),
            ("::1", false),
            ("::", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:93.184.215.14", true),
            ("::7f00:1", false),
            ("64:ff9b::7f00:1", false),
            ("fc00::1", false),
            ("fe80::1", false),
            ("ff02::1", false),
            ("2002:7f00:1::", false),
            ("2001:0:7f00:1::", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), public, "{address}");
        }
    }

    #[test]
    fn an_address_of_this_machine_is_known_as_one() {
        assert!(is_own(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_own(Ipv4Addr::new(198, 51, 100, 7).into()));
    }
}
