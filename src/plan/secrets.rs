//! What looks secret is not shown.

/// Stands for what is not shown.
const MASK: &str = "********";

/// A value, masked if its name says that it is secret, or as far as it holds a password in a URL.
pub(super) fn value(name: &str, value: &str) -> String {
    const WORDS: [&str; 8] =
        ["PASSWORD", "PASSWD", "PASSPHRASE", "SECRET", "TOKEN", "KEY", "CREDENTIAL", "AUTHORIZATION"];
    let upper = name.to_uppercase();
    if !value.is_empty() && (WORDS.iter().any(|word| upper.contains(word)) || upper.ends_with("COOKIE")) {
        return MASK.to_owned();
    }
    text(value)
}

/// A text without the user and password of each URL in it.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '`');
        let authority = &after[..after.find(ends).unwrap_or(after.len())];
        rest = after;
        if let Some(user) = authority.rfind('@') {
            out.push_str(MASK);
            rest = &after[user..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_urls_tell_what_is_secret() {
        for name in ["DB_PASSWORD", "api_token", "AWS_SECRET_ACCESS_KEY", "Credentials", "Authorization"] {
            assert_eq!(value(name, "x"), MASK, "{name}");
        }
        assert_eq!(value("NODE_ENV", "development"), "development");
        assert_eq!(value("PASSWORD", ""), "");
        assert_eq!(value("DATABASE_URL", "postgres://me:pw@db:5432/x"), "postgres://********@db:5432/x");
        assert_eq!(
            text("curl http://a:b@h/ https://c@d x@y"),
            "curl http://********@h/ https://********@d x@y"
        );
        assert_eq!(text("http://h/a@b"), "http://h/a@b");
        assert_eq!(text("redis://:p@ss@h"), "redis://********@h");
    }
}
