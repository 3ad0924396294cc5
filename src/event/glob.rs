//! A pattern whose only special character is `*`.
use memchr::memmem;

/// A pattern: pieces of plain text with any text, newlines included, between them; anchored at both ends.
///
/// Matching is linear in the text: each inner piece is looked for once, leftmost, after the one before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    prefix: String,
    inner: Vec<String>,
    suffix: String,
}

/// How far a pattern has been followed along a text that is still growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Progress {
    found: usize,
    from: usize,
}

impl Glob {
    /// From the pieces around the stars: `a*b` is `["a", "b"]`. `None` when there is no star at all.
    pub fn new(pieces: &[String]) -> Option<Glob> {
        let [prefix, inner @ .., suffix] = pieces else {
            return None;
        };
        Some(Glob {
            prefix: prefix.clone(),
            // Two stars side by side are one.
            inner: inner.iter().filter(|piece| !piece.is_empty()).cloned().collect(),
            suffix: suffix.clone(),
        })
    }

    /// Whether the whole text fits.
    pub fn matches(&self, text: &str) -> bool {
        let text = text.as_bytes();
        self.is_met(text, self.advance(text, Progress::default()))
    }

    /// The pieces around the stars: patterns with the same ones fit the same.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        let ends = |end| std::iter::once::<&String>(end);
        ends(&self.prefix).chain(&self.inner).chain(ends(&self.suffix)).map(String::as_str)
    }

    /// The plain text that everything fitting begins with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The longest text that everything fitting holds.
    pub fn longest_piece(&self) -> &str {
        let ends = [&self.prefix, &self.suffix];
        ends.into_iter().chain(&self.inner).max_by_key(|piece| piece.len()).map_or("", String::as_str)
    }

    /// Whether some text that begins with `start` can fit.
    pub fn can_begin_with(&self, start: &str) -> bool {
        start.starts_with(&self.prefix) || self.prefix.starts_with(start)
    }

    /// Follows the pattern along `text`, of which the part behind `progress` has been seen before.
    pub(super) fn advance(&self, text: &[u8], progress: Progress) -> Progress {
        let Progress { mut found, mut from } = progress;
        from = from.max(self.prefix.len());
        while let Some(piece) = self.inner.get(found) {
            let rest = text.get(from..).unwrap_or_default();
            if let Some(at) = memmem::find(rest, piece.as_bytes()) {
                from += at + piece.len();
                found += 1;
            } else {
                // A piece may begin in what is here and end in what is still to come.
                from = from.max((text.len() + 1).saturating_sub(piece.len()));
                break;
            }
        }
        Progress { found, from }
    }

    pub(super) fn is_met(&self, text: &[u8], progress: Progress) -> bool {
        progress.found == self.inner.len()
            && progress.from + self.suffix.len() <= text.len()
            && text.starts_with(self.prefix.as_bytes())
            && text.ends_with(self.suffix.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> Glob {
        let pieces: Vec<String> = pattern.split('*').map(str::to_owned).collect();
        Glob::new(&pieces).unwrap()
    }

    #[test]
    fn patterns_are_anchored_and_pieces_do_not_overlap() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*", "ba", false),
            ("*a", "ba", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a\nb\nc", true),
            ("a*b*c", "acb", false),
            ("*ab*ab*", "aab", false),
            ("*ab*ab*", "ab ab", true),
            ("ab*ba", "aba", false),
            ("a**b", "ab", true),
            ("*é*", "café au lait", true),
        ] {
            assert_eq!(glob(pattern).matches(text), fits, "{pattern} on {text:?}");
        }
    }

    #[test]
    fn following_a_growing_text_gives_what_matching_it_whole_gives() {
        for pattern in ["a*bcd*e", "*bc*", "*", "ab*", "*de", "*b*d*"] {
            let (glob, text) = (glob(pattern), b"abcdbcde");
            let mut progress = Progress::default();
            for end in 0..=text.len() {
                progress = glob.advance(&text[..end], progress);
                let whole = std::str::from_utf8(&text[..end]).unwrap();
                assert_eq!(glob.is_met(&text[..end], progress), glob.matches(whole), "{pattern} on {whole}");
            }
        }
    }

    #[test]
    fn many_stars_on_a_long_text_are_quick() {
        let pattern = "a*".repeat(5_000) + "b";
        assert!(!glob(&pattern).matches(&"a".repeat(1_000_000)));
    }
}
