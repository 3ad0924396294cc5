//! Names of objects.

/// Whether it can be the name of an object of most kinds, a DNS-1123 subdomain, and so may stand in a URL: an empty one is
/// none, and `..` is another URL.
pub fn is_object_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(fits)
    };
    text.len() <= 253 && text.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_is_put_into_a_url() {
        for name in ["web-0", "0", "a.b", &"a".repeat(253)] {
            assert!(is_object_name(name), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a?b", "a%2f", "A", "-a", "a.", "a..b", "a\u{0}", &"a".repeat(254)]
        {
            assert!(!is_object_name(name), "{name}");
        }
    }
}
