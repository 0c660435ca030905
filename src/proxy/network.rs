//! Networks of addresses, as `10.0.0.0/8` and `2001:db8::/32`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// The addresses whose first bits are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network(
    /// Invariant: the bits behind the prefix are 0.
    IpNet,
);

impl Network {
    /// Whether an address belongs to it. An IPv4 address that comes as an IPv6 one is an IPv4 address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        debug_assert_eq!(self.0.trunc(), self.0, "bits behind the prefix");
        self.0.contains(&address.to_canonical())
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    /// Reads an address, or an address and the number of its bits that count; the others must be 0, since
    /// `10.1.2.3/8` may be meant otherwise.
    fn from_str(text: &str) -> Result<Network, NetworkError> {
        let wrong = || NetworkError(text.to_owned());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        // `IpNet` alone would take an address with leading zeros, which other programs read as octal.
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let network = match bits {
            // `parse` alone would take a plus sign.
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                IpNet::new(address, digits.parse().map_err(|_| wrong())?).map_err(|_| wrong())?
            }
            Some(_) => return Err(wrong()),
            None => address.into(),
        };
        if network.trunc() == network && network.contains(&address.to_canonical()) {
            Ok(Network(network))
        } else {
            Err(wrong())
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that names no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkError(String);

impl fmt::Display for NetworkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a network like \"10.0.0.0/8\", nor an address", self.0)
    }
}

impl std::error::Error for NetworkError {}

/// The proxies that are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trusted(Vec<Network>);

impl Trusted {
    /// Those of these networks.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Trusted {
        Trusted(networks)
    }

    /// The networks.
    #[must_use]
    pub fn networks(&self) -> &[Network] {
        &self.0
    }

    /// Whether one of them has this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_the_addresses_that_begin_like_it() {
        let cases = [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "a00::1", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("192.168.1.4/31", "192.168.1.5", true),
            ("192.168.1.4", "192.168.1.5", false),
            ("2001:db8::/32", "2001:db8:1::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "::1", true),
            ("::1", "::1", true),
        ];
        for (network, address, expected) in cases {
            let trusted = Trusted::new(vec!["203.0.113.9".parse().unwrap(), network.parse().unwrap()]);
            assert_eq!(trusted.contains(address.parse().unwrap()), expected, "{address} in {network}");
        }
    }

    #[test]
    fn a_network_is_written_with_its_bits() {
        for (text, written) in [("10.0.0.0/8", "10.0.0.0/8"), ("::1", "::1/128"), ("1.2.3.4", "1.2.3.4/32")] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.1/8",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "h/8",
            "10.0.0.0/8/8",
            "010.0.0.0/8",
            "::ffff:10.0.0.0/104",
        ] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError(text.to_owned())));
        }
    }
}
