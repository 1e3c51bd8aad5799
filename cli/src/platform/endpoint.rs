//! Where the platform is: an URL of an address and a port.
//!
//! Host names other than `localhost` are not looked up: the binary is static, and glibc's resolver is not.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::args::ADDRESS;
use crate::failure::Failure;

/// Says where the platform is, where the command line does not.
const VARIABLE: &str = "MAYFLY_ENDPOINT";
const PORT: u16 = 80;

/// Where the platform is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL's host and port, as the user wrote them.
    authority: String,
    /// What they mean; tried in this order.
    pub addresses: Vec<SocketAddr>,
}

impl Endpoint {
    /// What the command line says, else the environment, else where `mayfly serve` listens by default.
    ///
    /// # Errors
    /// Something that is no such URL.
    pub fn find(option: Option<&str>) -> Result<Endpoint, Failure> {
        let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        match (option, variable) {
            (Some(text), _) => Self::parse(text).map_err(|why| explained("--endpoint", text, why)),
            (None, Some(text)) => Self::parse(&text).map_err(|why| explained(VARIABLE, &text, why)),
            (None, None) => Self::parse(ADDRESS).map_err(|why| explained("", ADDRESS, why)),
        }
    }

    fn parse(text: &str) -> Result<Endpoint, &'static str> {
        let rest = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
            Some(_) => return Err("only http:// is spoken"),
            None => text,
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains(['/', '?', '#', '@']) {
            return Err("an address and a port, and nothing behind them");
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| "the port is no number up to 65535")?)
            }
            _ => (authority, PORT),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let hosts = match bare.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) if host.eq_ignore_ascii_case("localhost") => {
                vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
            }
            Err(_) => return Err("names are not looked up: give an address, such as 127.0.0.1"),
        };
        let addresses = hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect();
        Ok(Endpoint { authority: authority.into(), addresses })
    }

    /// Host and port, as in a request's head.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// How to start a platform there, if it can be.
    pub fn serve_command(&self) -> String {
        match self.addresses[..] {
            [address, ..] if address.to_string() != ADDRESS => {
                format!("mayfly serve --listen {address}")
            }
            _ => "mayfly serve".into(),
        }
    }
}

fn explained(source: &str, text: &str, why: &str) -> Failure {
    Failure::new(format!("{source} {text}: {why}"))
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_in_every_form() {
        let one = |text| Endpoint::parse(text).unwrap().addresses[0].to_string();
        assert_eq!(one("http://127.0.0.1:9000"), "127.0.0.1:9000");
        assert_eq!(one("127.0.0.1:9000/"), "127.0.0.1:9000");
        assert_eq!(one("HTTP://10.0.0.1"), "10.0.0.1:80");
        assert_eq!(one("http://[::1]:9000"), "[::1]:9000");
        assert_eq!(one("http://[::1]"), "[::1]:80");
        let local = Endpoint::parse("http://localhost:7").unwrap();
        assert_eq!((local.addresses.len(), local.authority()), (2, "localhost:7"));
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in ["", "https://127.0.0.1:1", "http://x:1", "127.0.0.1:65536", "127.0.0.1:1/a"] {
            assert!(Endpoint::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_command_that_would_start_it_is_named() {
        assert_eq!(Endpoint::parse(ADDRESS).unwrap().serve_command(), "mayfly serve");
        let other = Endpoint::parse("127.0.0.1:1").unwrap().serve_command();
        assert_eq!(other, "mayfly serve --listen 127.0.0.1:1");
    }
}
