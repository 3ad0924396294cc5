//! What a query says, with where it says it.
use std::ops::Range;

/// A place in a query, in bytes.
pub type Span = Range<usize>;

/// A parsed query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr {
    /// A blank query: every event.
    Everything,
    /// All of them. At least two.
    And(Vec<Expr>),
    /// Any of them. At least two.
    Or(Vec<Expr>),
    /// Not this one.
    Not(Box<Expr>),
    /// `field:values`
    Field {
        /// The field, perhaps with wildcards.
        field: Literal,
        /// What it is compared with.
        values: Values,
    },
    /// `field < value`
    Range {
        /// The field, perhaps with wildcards.
        field: Literal,
        /// Which side of the value.
        operator: Operator,
        /// The bound.
        value: Literal,
    },
    /// `field:{ query }`
    Nested {
        /// The field whose elements are looked at one by one.
        field: Literal,
        /// What one element has to satisfy.
        query: Box<Expr>,
    },
    /// A value without a field: any field may have it.
    Bare(Literal),
}

/// The values of `field:values`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Values {
    /// One value.
    One(Literal),
    /// All of them. At least two.
    And(Vec<Values>),
    /// Any of them. At least two.
    Or(Vec<Values>),
    /// Not this.
    Not(Box<Values>),
}

/// The operator of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Less => "<",
            Operator::LessOrEqual => "<=",
            Operator::Greater => ">",
            Operator::GreaterOrEqual => ">=",
        }
    }
}

/// A field name or a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// The plain text between the wildcards, escapes resolved; without a wildcard, one piece.
    pub pieces: Vec<String>,
    /// Whether it stood in double quotes.
    pub quoted: bool,
    /// Where, quotes included.
    pub span: Span,
}

impl Literal {
    /// The text, if it has no wildcard.
    pub fn plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [text] => Some(text),
            _ => None,
        }
    }

    /// Whether it is nothing but wildcards: as a value, "the field exists".
    pub fn is_star(&self) -> bool {
        self.pieces.len() > 1 && self.pieces.iter().all(String::is_empty)
    }

    /// `true` or `false`, unquoted.
    pub fn as_bool(&self) -> Option<bool> {
        match self.plain() {
            Some("true") if !self.quoted => Some(true),
            Some("false") if !self.quoted => Some(false),
            _ => None,
        }
    }

    /// Whether it is the unquoted word `null`.
    pub fn is_null(&self) -> bool {
        !self.quoted && self.plain() == Some("null")
    }

    /// As a name: the text, with `*` for each wildcard.
    pub fn name(&self) -> String {
        self.pieces.join("*")
    }
}
