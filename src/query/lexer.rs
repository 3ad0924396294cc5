//! Literals, keywords and white space: the part of the grammar that works on characters.
use super::ast::Literal;
use super::diagnostic::{Diagnostic, shown};

/// A word with a meaning of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    Not,
}

/// The no-break space is white space, as in Kibana: it comes along when a query is copied from a web page.
pub(super) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{a0}')
}

fn is_special(c: char) -> bool {
    matches!(c, '\\' | '(' | ')' | ':' | '<' | '>' | '"' | '*' | '{' | '}')
}

/// The text of a query, read from any place in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'q>(pub(super) &'q str);

impl Text<'_> {
    pub(super) fn char_at(&self, at: usize) -> Option<char> {
        self.0.get(at..)?.chars().next()
    }

    pub(super) fn skip_space(&self, at: usize) -> usize {
        let rest = &self.0[at..];
        at + rest.len() - rest.trim_start_matches(is_space).len()
    }

    /// The keyword at `at`, whatever its case, and where the text after it and its white space begins. `and` and `or`
    /// need white space on both sides, `not` after it.
    pub(super) fn keyword(&self, at: usize) -> Option<(Keyword, usize)> {
        let word = self.skip_space(at);
        let keywords: &[(&str, Keyword)] =
            if word > at { &[("and", Keyword::And), ("or", Keyword::Or)] } else { &[("not", Keyword::Not)] };
        keywords.iter().find_map(|(name, keyword)| {
            let end = word + name.len();
            let found = self.0.get(word..end)?.eq_ignore_ascii_case(name);
            let after = self.skip_space(if found { end } else { return None });
            (after > end).then_some((*keyword, after))
        })
    }

    /// The literal at `at` and where it ends, or `None` if nothing that could be one stands there.
    pub(super) fn literal(&self, at: usize) -> Result<Option<(Literal, usize)>, Diagnostic> {
        if self.char_at(at) == Some('"') { self.quoted(at).map(Some) } else { self.unquoted(at) }
    }

    fn quoted(&self, start: usize) -> Result<(Literal, usize), Diagnostic> {
        let (mut text, mut at) = (String::new(), start + 1);
        while let Some(c) = self.char_at(at) {
            match (c, self.char_at(at + 1)) {
                ('"', _) => {
                    let literal = Literal { pieces: vec![text], quoted: true, span: start..at + 1 };
                    return Ok((literal, at + 1));
                }
                ('\\', Some(next @ ('\\' | '"' | 't' | 'r' | 'n'))) => {
                    text.push(whitespace_escape(next).unwrap_or(next));
                    at += 2;
                }
                ('\\', Some('u')) if self.unicode_escape(at).is_some() => {
                    at += self.unicode_escape(at).map_or(0, |(c, used)| {
                        text.push(c);
                        used
                    });
                }
                _ => {
                    text.push(c);
                    at += c.len_utf8();
                }
            }
        }
        Err(Diagnostic::error(start..start + 1, "expected a closing `\"` for this one"))
    }

    fn unquoted(&self, start: usize) -> Result<Option<(Literal, usize)>, Diagnostic> {
        let (mut pieces, mut piece, mut at) = (Vec::new(), String::new(), start);
        // End of what is not white space, in the query and in the last piece: the literal is trimmed to there.
        let (mut end, mut kept) = (start, 0);
        while let Some(c) = self.char_at(at) {
            if is_space(c) {
                // A run of white space is looked at once: `and` is behind all of it or not at all.
                if self.keyword(at).is_some() {
                    break;
                }
                let after = self.skip_space(at);
                piece.push_str(&self.0[at..after]);
                at = after;
                continue;
            }
            match c {
                '\\' => {
                    let (escaped, used) = self.escape(at)?;
                    piece.push_str(&escaped);
                    at += used;
                }
                '*' => {
                    pieces.push(std::mem::take(&mut piece));
                    at += 1;
                }
                _ if is_special(c) || self.keyword(at).is_some() => break,
                _ => {
                    piece.push(c);
                    at += c.len_utf8();
                }
            }
            (end, kept) = (at, piece.len());
        }
        if end == start {
            return Ok(None);
        }
        piece.truncate(kept);
        pieces.push(piece);
        Ok(Some((Literal { pieces, quoted: false, span: start..end }, at)))
    }

    /// The escape at `at` outside quotes: what it stands for and its length.
    fn escape(&self, at: usize) -> Result<(String, usize), Diagnostic> {
        let rest = &self.0[at + 1..];
        for word in ["and", "or", "not"] {
            // `\not` begins like `\n`: it is the word where the word ends, else a newline and `ot…`.
            let is_word = rest.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
                && !(word == "not" && rest[word.len()..].starts_with(|c: char| c.is_alphanumeric()));
            if is_word {
                return Ok((rest[..word.len()].to_owned(), 1 + word.len()));
            }
        }
        match rest.chars().next() {
            Some(c) if whitespace_escape(c).is_some() => Ok((whitespace_escape(c).into_iter().collect(), 2)),
            Some(c) if is_special(c) => Ok((c.to_string(), 2)),
            Some('u') if self.unicode_escape(at).is_some() => {
                Ok(self.unicode_escape(at).map_or_else(Default::default, |(c, used)| (c.to_string(), used)))
            }
            Some(c) => Err(Diagnostic::error(
                at..at + 1 + c.len_utf8(),
                format!(
                    "expected a character that has to be escaped after `\\`, not `{}`",
                    shown(&c.to_string(), 1)
                ),
            )
            .help("write a plain backslash as `\\\\`, or put the value in double quotes")),
            None => Err(Diagnostic::error(at..at + 1, "expected a character after `\\`")
                .help("write a plain backslash as `\\\\`")),
        }
    }

    /// `\uXXXX` at `at`, two of them for a character beyond U+FFFF; half of such a pair alone is U+FFFD.
    fn unicode_escape(&self, at: usize) -> Option<(char, usize)> {
        let unit = |at: usize| {
            let digits = self.0.get(at..at + 6)?.strip_prefix("\\u")?;
            let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
            if is_hex { u16::from_str_radix(digits, 16).ok() } else { None }
        };
        let first = unit(at)?;
        let second = if (0xD800..0xDC00).contains(&first) { unit(at + 6) } else { None };
        match char::decode_utf16([first, second.unwrap_or(0)]).next() {
            Some(Ok(c)) => Some((c, if c.len_utf16() == 2 { 12 } else { 6 })),
            _ => Some((char::REPLACEMENT_CHARACTER, 6)),
        }
    }
}

fn whitespace_escape(c: char) -> Option<char> {
    match c {
        't' => Some('\t'),
        'r' => Some('\r'),
        'n' => Some('\n'),
        _ => None,
    }
}
