//! Addresses that can be asked: URLs, `host:port`, and status codes.

use crate::manifest::Code;

use super::values::{self, Fault};

/// Host, port and path of a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Url {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) path: String,
}

fn bad(message: String) -> Fault {
    Fault::new(Code::BadAddress, message)
}

/// `http://host:port/path?query`.
pub(super) fn url(text: &str) -> Result<Url, Fault> {
    const EXAMPLE: &str = "write it as `http://localhost:3000/health`";
    let scheme = text.split("://").next().filter(|scheme| scheme.len() < text.len());
    let rest = match scheme.map(str::to_ascii_lowercase).as_deref() {
        Some("http") => &text["http://".len()..],
        Some("https") => {
            let fault = Fault::new(Code::NotYet, "probes by `https` are not supported yet");
            return Err(fault.hint("ask by `http`, or run a client with `exec: [curl, -fsk, …]`"));
        }
        Some(other) => return Err(bad(format!("`{other}` cannot be asked for health")).hint(EXAMPLE)),
        None if ["notify", "tcp", "log", "exec", "port"].contains(&text) => {
            let value = if text == "notify" { "true" } else { "…" };
            return Err(bad(format!("`{text}` is no URL")).hint(format!("write `{{ {text}: {value} }}`")));
        }
        None => return Err(bad(format!("`{text}` is no URL")).hint(EXAMPLE)),
    };
    if let Some(c) = rest.chars().find(|c| !c.is_ascii_graphic()) {
        return Err(
            bad(format!("a URL cannot hold {c:?}")).hint("write it percent-encoded, a blank as `%20`")
        );
    }
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        let fault = bad("a probe's URL cannot hold a user".to_owned());
        return Err(fault.hint("send it in `headers`, as `Authorization`"));
    }
    if path.contains('#') {
        return Err(bad("a `#…` never reaches the server".to_owned()).hint("remove it"));
    }
    let (host, port) = host_and_port(authority)?;
    let port = port.map_or(Ok(80), values::port)?;
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Url { host, port, path })
}

/// `host:port`, or a port of this machine.
pub(super) fn tcp(text: &str) -> Result<(String, u16), Fault> {
    if let Ok(port) = values::port(text) {
        return Ok(("localhost".to_owned(), port));
    }
    let example = "write it as `localhost:5432` or as a port alone";
    let bare = text.strip_prefix("tcp://").unwrap_or(text);
    if bare.chars().any(|c| !c.is_ascii_graphic() || c == '/' || c == '@') {
        return Err(bad(format!("`{text}` is no address")).hint(example));
    }
    match host_and_port(bare)? {
        (host, Some(port)) => Ok((host, values::port(port)?)),
        (_, None) => Err(bad(format!("`{text}` names no port")).hint(example)),
    }
}

fn host_and_port(text: &str) -> Result<(String, Option<&str>), Fault> {
    let no_host = || bad(format!("`{text}` names no host")).hint("this machine is `localhost`");
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| bad(format!("`{text}` lacks a `]`")))?;
        let port = after.strip_prefix(':');
        let whole = after.is_empty() || port.is_some();
        if !whole || host.parse::<core::net::Ipv6Addr>().is_err() {
            return Err(bad(format!("`{text}` is no address")));
        }
        return Ok((host.to_owned(), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    if host.is_empty() {
        return Err(no_host());
    }
    if port.is_some_and(|port| port.contains(':')) {
        return Err(
            bad(format!("`{text}` is no address")).hint("an IPv6 address stands in brackets: `[::1]:80`")
        );
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    if !host.chars().all(fits) {
        return Err(bad(format!("`{host}` is no host name")));
    }
    Ok((host.to_owned(), port))
}

/// `200`, `200-299` or `2xx`.
pub(super) fn status(text: &str) -> Result<(u16, u16), Fault> {
    let code = |text: &str| text.parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let class = text.strip_suffix("xx").and_then(|digit| digit.parse::<u16>().ok());
    let range = match (class, text.split_once('-')) {
        (Some(class @ 1..=5), _) => Some((class * 100, class * 100 + 99)),
        (_, Some((low, high))) => code(low).zip(code(high)).filter(|(low, high)| low <= high),
        (_, None) => code(text).map(|code| (code, code)),
    };
    range.ok_or_else(|| {
        let fault = Fault::new(Code::BadValue, format!("`{text}` is no status code"));
        fault.hint("write `200`, `200-299` or `2xx`, or a list of these")
    })
}

/// The name of a method, in capitals.
pub(super) fn method(text: &str) -> Result<String, Fault> {
    const KNOWN: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    let upper = text.to_ascii_uppercase();
    if KNOWN.contains(&upper.as_str()) {
        return Ok(upper);
    }
    Err(Fault::new(Code::BadValue, format!("`{text}` is no method"))
        .hint(format!("it can be {}", KNOWN.join(", "))))
}

/// A text that may stand in a header.
pub(super) fn header(text: &str) -> Result<String, Fault> {
    match text.chars().find(|c| c.is_control() && *c != '\t') {
        Some(c) => Err(Fault::new(Code::BadValue, format!("a header cannot hold {c:?}"))),
        None => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let parts = |text| url(text).map(|url| (url.host, url.port, url.path));
        let whole = |host: &str, port, path: &str| Ok((host.to_owned(), port, path.to_owned()));
        assert_eq!(parts("http://localhost:3000/api?x=1"), whole("localhost", 3000, "/api?x=1"));
        assert_eq!(parts("http://a.b"), whole("a.b", 80, "/"));
        assert_eq!(parts("HTTP://[::1]:8080?q"), whole("::1", 8080, "/?q"));
        for text in [
            "",
            "localhost:3000",
            "http://",
            "http://:80/",
            "ftp://x/",
            "http://a b/",
            "http://u@h/",
            "http://h:0/",
            "http://h:99999/",
            "http://[::1/",
            "http://[x]/",
            "http://::1/",
            "http://h/#x",
            "http://ü/",
            "http:///x",
        ] {
            assert!(url(text).is_err(), "{text}");
        }
        assert_eq!(url("https://x/").map_err(|fault| fault.code), Err(Code::NotYet));
    }

    #[test]
    fn addresses_and_codes() {
        assert_eq!(tcp("5432"), Ok(("localhost".to_owned(), 5432)));
        assert_eq!(tcp("db:5432"), Ok(("db".to_owned(), 5432)));
        assert_eq!(tcp("[::1]:1"), Ok(("::1".to_owned(), 1)));
        for text in ["", "db", ":", "db:", "db:0", "::1", "a/b:1"] {
            assert!(tcp(text).is_err(), "{text}");
        }
        assert_eq!(status("2xx"), Ok((200, 299)));
        assert_eq!(status("200-204"), Ok((200, 204)));
        for text in ["", "20", "6xx", "300-200", "x"] {
            assert!(status(text).is_err(), "{text}");
        }
    }
}
