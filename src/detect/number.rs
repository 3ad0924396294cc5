//! Numbers compared by their digits: a float would call 9007199254740993 and 9007199254740992 equal.
use std::cmp::Ordering;

/// A decimal number, borrowed from its text.
struct Decimal<'t> {
    is_negative: bool,
    whole: &'t str,
    fraction: &'t str,
    exponent: i64,
}

impl<'t> Decimal<'t> {
    fn parse(text: &'t str) -> Option<Decimal<'t>> {
        let (is_negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let are_digits = whole.bytes().chain(fraction.bytes()).all(|b| b.is_ascii_digit());
        if !are_digits || mantissa.len() == usize::from(mantissa.contains('.')) {
            return None;
        }
        Some(Decimal { is_negative, whole, fraction, exponent })
    }

    /// The digits without leading zeros, and the power of ten of the first one; no digits for zero.
    fn significant(&self) -> (impl Iterator<Item = u8> + 't, i64) {
        let (whole, fraction) = (self.whole.bytes(), self.fraction.bytes());
        let zeros = whole.clone().chain(fraction.clone()).take_while(|b| *b == b'0').count();
        let shift =
            i64::try_from(self.whole.len()).unwrap_or(i64::MAX) - i64::try_from(zeros).unwrap_or(i64::MAX);
        (whole.chain(fraction).skip(zeros), self.exponent.saturating_add(shift))
    }

    fn is_zero(&self) -> bool {
        self.significant().0.next().is_none()
    }
}

/// An exponent beyond all use stays beyond all use: it is cut, never raised to.
fn parse_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(if text.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 }))
}

/// Whether the text is a number.
pub(super) fn is_number(text: &str) -> bool {
    Decimal::parse(text).is_some()
}

/// How two numbers compare; `None` if a text is none.
pub(super) fn compare(left: &str, right: &str) -> Option<Ordering> {
    let (left, right) = (Decimal::parse(left)?, Decimal::parse(right)?);
    let sign = |number: &Decimal<'_>| match (number.is_zero(), number.is_negative) {
        (true, _) => 0,
        (false, false) => 1,
        (false, true) => -1,
    };
    let by_sign = sign(&left).cmp(&sign(&right));
    if by_sign != Ordering::Equal || left.is_zero() {
        return Some(by_sign);
    }
    let ((left_digits, left_power), (right_digits, right_power)) = (left.significant(), right.significant());
    let by_size = left_power.cmp(&right_power).then_with(|| compare_digits(left_digits, right_digits));
    Some(if left.is_negative { by_size.reverse() } else { by_size })
}

/// Digit by digit, with zeros behind the shorter.
fn compare_digits(mut left: impl Iterator<Item = u8>, mut right: impl Iterator<Item = u8>) -> Ordering {
    loop {
        match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => match a.unwrap_or(b'0').cmp(&b.unwrap_or(b'0')) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_exactly() {
        for (left, right, order) in [
            ("7", "007", Ordering::Equal),
            ("200", "2e2", Ordering::Equal),
            ("200", "2000E-1", Ordering::Equal),
            ("0.50", ".5", Ordering::Equal),
            ("-0", "0.0e9999999999999999999999", Ordering::Equal),
            ("9007199254740993", "9007199254740992", Ordering::Greater),
            ("-2", "1", Ordering::Less),
            ("-2", "-10", Ordering::Greater),
            ("0.1", "0.09", Ordering::Greater),
            ("10", "9", Ordering::Greater),
            ("1e99999999999999999999", "5", Ordering::Greater),
            ("1e-99999999999999999999", "5", Ordering::Less),
            ("-1e99999999999999999999", "-5", Ordering::Less),
        ] {
            assert_eq!(compare(left, right), Some(order), "{left} and {right}");
            assert_eq!(compare(right, left), Some(order.reverse()), "{right} and {left}");
        }
    }

    #[test]
    fn other_texts_are_no_numbers() {
        for text in
            ["", "-", ".", "1e", "0x10", "1_000", "١", "1 ", "1.2.3", "e5", "--1", "Infinity", "NaN", "1e+-2"]
        {
            assert!(!is_number(text), "{text:?}");
        }
    }
}
