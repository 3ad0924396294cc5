//! Whether a network address is one of the public Internet.
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// IPv4 blocks that nobody on the Internet has: those of IANA's special-purpose registry that are not globally reachable,
/// and multicast.
const NOT_PUBLIC_V4: [(Ipv4Addr, u32); 15] = [
    (Ipv4Addr::UNSPECIFIED, 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    // Behind a provider's address translation.
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 0, 2, 0), 24),
    (Ipv4Addr::new(192, 88, 99, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(198, 18, 0, 0), 15),
    (Ipv4Addr::new(198, 51, 100, 0), 24),
    (Ipv4Addr::new(203, 0, 113, 0), 24),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The same inside of 2000::/3, which is all of IPv6 that has been given out for the Internet.
const NOT_PUBLIC_V6: [(Ipv6Addr, u32); 3] = [
    // Protocol assignments: no client sends from one.
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
];

/// IPv4 addresses as a translator for IPv6 networks writes them (64:ff9b::/96).
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// Whether the address is one of the public Internet. An IPv4 address written as one of IPv6 counts as what it is.
pub(super) fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) if address.segments()[..6] == TRANSLATED => {
            let [.., a, b, c, d] = address.octets();
            is_public_v4(Ipv4Addr::new(a, b, c, d))
        }
        IpAddr::V6(address) => {
            let is_in = |(block, length): (Ipv6Addr, u32)| {
                (address.to_bits() ^ block.to_bits()).leading_zeros() >= length
            };
            address.segments()[0] >> 13 == 1 && !NOT_PUBLIC_V6.into_iter().any(is_in)
        }
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let is_in =
        |(block, length): (Ipv4Addr, u32)| (address.to_bits() ^ block.to_bits()).leading_zeros() >= length;
    !NOT_PUBLIC_V4.into_iter().any(is_in)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_public_unless_a_registry_says_otherwise() {
        for (addresses, expected) in [
            (
                "8.8.8.8 1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 192.0.1.0 \
                 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0 223.255.255.255 ::ffff:8.8.8.8 64:ff9b::808:808 \
                 2606:4700::1111 2001:200:: 2001:db9:: 3ffe:ffff:: 3fff:1000:: 2003::1",
                true,
            ),
            (
                "0.0.0.0 10.0.0.5 10.255.255.255 100.64.0.0 100.127.255.255 127.0.0.1 169.254.169.254 172.16.0.0 \
                 172.31.255.255 192.0.0.8 192.0.2.1 192.168.1.1 198.18.0.0 198.19.255.255 198.51.100.7 203.0.113.9 \
                 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255 ::ffff:10.0.0.5 64:ff9b::a00:5 :: ::1 100::1 \
                 2001:: 2001:1ff:ffff:: 2001:db8::1 3fff:fff:: 4000:: 5f00::1 fc00::1 fd12::1 fe80::1 fec0::1 ff02::1",
                false,
            ),
        ] {
            for address in addresses.split_whitespace() {
                assert_eq!(is_public(address.parse().unwrap()), expected, "{address}");
            }
        }
    }
}
