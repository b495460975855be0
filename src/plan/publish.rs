//! Ports of a container as texts: `5432`, `5433:5432`, `127.0.0.1:5433:5432`, `[::1]:80:8080`, `auto:5432`.

use std::net::{IpAddr, Ipv4Addr};

use crate::manifest::Code;

use super::values::{self, Fault};

/// A port of the host and the one inside that it leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) address: IpAddr,
    /// None for a free one.
    pub(super) host: Option<u16>,
    pub(super) inside: u16,
}

fn bad(message: String) -> Fault {
    Fault::new(Code::BadPort, message)
}

pub(super) fn published(text: &str) -> Result<Published, Fault> {
    let (text, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    match protocol.to_ascii_lowercase().as_str() {
        "tcp" => {}
        "udp" | "sctp" => {
            let fault = Fault::new(Code::NotYet, format!("ports of {protocol} are not supported yet"));
            return Err(fault.hint("remove it: only TCP ports are published, watched and proven free"));
        }
        _ => {
            return Err(
                bad(format!("`/{protocol}` is no protocol")).hint("write the port alone: all are TCP ports")
            );
        }
    }
    let (address, ports) = address(text)?;
    let (host, inside) = match ports.split_once(':') {
        Some((host, inside)) => (host, inside),
        None if ports == "auto" => {
            let fault = bad("an automatic port must lead to one inside".to_owned());
            return Err(fault.hint("write the port that it listens on inside: `auto:5432`"));
        }
        None => (ports, ports),
    };
    Ok(Published { address, host: host_port(host, inside)?, inside: port(inside)? })
}

/// What is published without an address is reached from this machine only: a database for development has a toy of a
/// password, and the whole network could try it.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The address, and the ports behind it.
fn address(text: &str) -> Result<(IpAddr, &str), Fault> {
    let (address, ports) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']').ok_or_else(|| bad(format!("`{text}` lacks a `]`")))?;
        (address, rest.strip_prefix(':').unwrap_or(rest))
    } else {
        match text.splitn(4, ':').collect::<Vec<_>>()[..] {
            [address, ..] if text.matches(':').count() == 2 => (address, &text[address.len() + 1..]),
            [_, _, _, _] => {
                let fault = bad(format!("`{text}` is no port"));
                return Err(
                    fault.hint("write `HOST:INSIDE` or `ADDRESS:HOST:INSIDE`, an IPv6 address in brackets")
                );
            }
            _ => return Ok((HERE, text)),
        }
    };
    if !ports.contains(':') {
        let fault = bad(format!("`{text}` names no port inside"));
        return Err(fault.hint("write `ADDRESS:HOST:INSIDE`, as `127.0.0.1:5433:5432`"));
    }
    match address.parse() {
        Ok(address) => Ok((address, ports)),
        Err(_) if address == "localhost" => Err(bad("`localhost` is no address".to_owned())
            .hint("leave it out: ports are published on 127.0.0.1 unless it is said otherwise")),
        Err(_) => Err(bad(format!("`{address}` is no address"))
            .hint("`127.0.0.1` is this machine only, `0.0.0.0` the whole network")),
    }
}

fn host_port(text: &str, inside: &str) -> Result<Option<u16>, Fault> {
    match text {
        "auto" => Ok(None),
        "" => Err(bad("the port of this machine is missing".to_owned())
            .hint(format!("write it, or `auto:{inside}` for a free one"))),
        text => port(text).map(Some),
    }
}

fn port(text: &str) -> Result<u16, Fault> {
    let digit = |text: &str| text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty();
    if text.split_once('-').is_some_and(|(low, high)| digit(low) && digit(high)) {
        let fault = Fault::new(Code::NotYet, format!("`{text}`: ranges of ports are not supported yet"));
        return Err(fault.hint("write each port on its own"));
    }
    values::port(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_port() {
        let parts = |text| published(text).map(|port| (port.address.to_string(), port.host, port.inside));
        let whole = |address: &str, host, inside| Ok((address.to_owned(), host, inside));
        assert_eq!(parts("5432"), whole("127.0.0.1", Some(5432), 5432));
        assert_eq!(parts("5433:5432"), whole("127.0.0.1", Some(5433), 5432));
        assert_eq!(parts("5433:5432/tcp"), whole("127.0.0.1", Some(5433), 5432));
        assert_eq!(parts("0.0.0.0:80:8080"), whole("0.0.0.0", Some(80), 8080));
        assert_eq!(parts("[::1]:80:8080"), whole("::1", Some(80), 8080));
        assert_eq!(parts("auto:5432"), whole("127.0.0.1", None, 5432));
        assert_eq!(parts("127.0.0.2:auto:5432"), whole("127.0.0.2", None, 5432));
    }

    #[test]
    fn each_other_form_says_what_would_be_right() {
        for text in [
            "",
            ":",
            "::",
            "auto",
            "auto:auto",
            "a:b",
            "0:80",
            "80:0",
            "80:99999",
            ":5432",
            "127.0.0.1::5432",
            "127.0.0.1:80:",
            "localhost:80:80",
            "::1:80:80",
            "[::1]:80",
            "[::1",
            "[::1]",
            "1:2:3:4",
            "80:80/udp",
            "80/x",
            "8000-8010:8000-8010",
            "80/tcp/udp",
            "x:80:80",
        ] {
            let fault = published(text).expect_err(text);
            assert!(fault.hint.is_some() || fault.message.contains("lacks"), "{text}: {fault:?}");
        }
        assert_eq!(published("53:53/udp").map_err(|fault| fault.code), Err(Code::NotYet));
    }
}
