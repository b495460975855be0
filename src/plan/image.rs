//! Names of images: what an engine would refuse is told before it is asked.

use crate::manifest::Code;

use super::values::Fault;

/// `postgres:16`, `localhost:5000/shop/api@sha256:…`.
pub(super) fn check(text: &str) -> Result<String, Fault> {
    let bad = || Fault::new(Code::BadValue, format!("`{text}` is no name of an image"));
    let (named, digest) = match text.split_once('@') {
        Some((named, digest)) => (named, Some(digest)),
        None => (text, None),
    };
    // A colon before the last slash parts the registry from its port.
    let path_from = named.rfind('/').map_or(0, |slash| slash + 1);
    let (path, tag) = match named[path_from..].split_once(':') {
        Some((last, tag)) => (&named[..path_from + last.len()], Some(tag)),
        None => (named, None),
    };
    let tag_fits = |tag: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        !tag.is_empty() && tag.len() <= 128 && !tag.starts_with(['.', '-']) && tag.chars().all(inner)
    };
    if tag.is_some_and(|tag| !tag_fits(tag)) {
        return Err(bad().hint("behind the colon stands a tag: `postgres:16`"));
    }
    let hex =
        |digest: &str| digest.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') && digest.contains(':');
    let known = digest.is_none_or(|digest| digest.strip_prefix("sha256").is_some_and(hex));
    if !known {
        return Err(bad().hint("behind the `@` stands a digest: `@sha256:…`"));
    }
    let parts: Vec<&str> = path.split('/').collect();
    let is_registry = |part: &str| part.contains(['.', ':']) || part == "localhost";
    let own = if parts.len() > 1 && is_registry(parts[0]) { &parts[1..] } else { &parts[..] };
    let registry = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ':' | '-' | '[' | ']');
    let host = parts[..parts.len() - own.len()].concat();
    if let Some(upper) = own.iter().find(|part| part.contains(|c: char| c.is_ascii_uppercase())) {
        let hint = format!("names of images are lower case: write `{}`", upper.to_ascii_lowercase());
        return Err(bad().hint(hint));
    }
    if !own.iter().all(|part| is_part(part)) || !host.chars().all(registry) {
        return Err(bad().hint("write it as `postgres:16` or `registry.example/team/name:tag`"));
    }
    Ok(text.to_owned())
}

fn is_part(part: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| letter(c) || matches!(c, '.' | '_' | '-');
    part.starts_with(letter) && part.ends_with(letter) && part.chars().all(inner)
}

/// A name for an image that is built and was given none.
pub(super) fn of_name(name: &str) -> String {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut image = String::with_capacity(name.len());
    for c in name.to_ascii_lowercase().chars() {
        // One separator at a time is always allowed.
        match c {
            c if letter(c) => image.push(c),
            _ if image.ends_with(letter) => image.push('-'),
            _ => {}
        }
    }
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images() {
        for text in [
            "postgres",
            "postgres:16",
            "library/redis:7-alpine",
            "localhost:5000/shop",
            "ghcr.io/Team/x:V1".to_lowercase().as_str(),
            "REGISTRY.example:443/a/b_c.d-e:V1.2_x",
            &format!("a@sha256:{}", "0".repeat(64)),
            "[::1]:5000/x:1",
        ] {
            assert_eq!(check(text).as_deref(), Ok(text));
        }
        for text in [
            "",
            " ",
            "a b",
            "-x",
            "Postgres",
            "postgres:",
            "postgres:-1",
            "a/",
            "/a",
            "a//b",
            "a@md5:1",
            "a:b:c",
            "http://x/y",
            "a_",
            "ü",
            "a/B",
        ] {
            assert!(check(text).expect_err(text).hint.is_some(), "{text}");
        }
        assert!(check("Postgres").expect_err("upper").hint.expect("lower").contains("`postgres`"));
    }

    #[test]
    fn a_built_image_gets_a_name() {
        for name in ["shop-db-1a2b3c", "My_Shop..db--1a2b3c", "x--_a"] {
            let image = of_name(name);
            assert_eq!(check(&image), Ok(image.clone()));
        }
        assert_eq!(of_name("My_Shop..db-1a"), "my-shop-db-1a");
    }
}
