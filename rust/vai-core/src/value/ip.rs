//! IP addresses.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::decimal::shown;

/// An address; IPv4 before IPv6. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) is the IPv4
/// address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ip(IpAddr);

impl Ip {
    /// The address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        self.0
    }

    /// Whether it lies in the network.
    #[must_use]
    pub fn within(self, network: &IpNet) -> bool {
        network.contains(&self.0)
    }

    /// The family and the address: the order of the bytes is that of the addresses.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(address) => [&[4][..], &address.octets()].concat(),
            IpAddr::V6(address) => [&[6][..], &address.octets()].concat(),
        }
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (family, octets) = bytes.split_first()?;
        match family {
            4 => Some(Self(<[u8; 4]>::try_from(octets).ok()?.into())),
            6 => Some(Self(<[u8; 16]>::try_from(octets).ok()?.into())),
            _ => None,
        }
    }
}

impl From<IpAddr> for Ip {
    fn from(address: IpAddr) -> Self {
        Self(address.to_canonical())
    }
}

impl FromStr for Ip {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>();
        address.map(Self::from).map_err(|_| format!("'{}' is not an IP address", shown(text)))
    }
}

impl fmt::Display for Ip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
