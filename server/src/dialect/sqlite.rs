//! SQLite's own grammar for sqlparser: its words, its operators and how tightly they bind.

use std::any::TypeId;

use sqlparser::{
    ast::{BinaryOperator, Expr, Query, UnaryOperator},
    dialect::{Dialect, Precedence, SQLiteDialect},
    keywords::Keyword,
    parser::{Parser, ParserError},
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer},
};

/// Nesting that the parser follows; deeper text is refused.
const DEPTH: usize = 100;

/// `SQLiteDialect` with the precedence of SQLite's manual ("SQL Language Expressions", section
/// 2): there `||` binds tighter than `*`, and `<` tighter than `=`, so that another parser's
/// order would change what an expression means.
#[derive(Debug)]
struct Sqlite;

impl Sqlite {
    const EQUALITY: u8 = 20;

    fn parse_is(parser: &mut Parser<'_>, left: Expr, precedence: u8) -> Result<Expr, ParserError> {
        parser.next_token();
        let negated = parser.parse_keyword(Keyword::NOT);
        if parser.parse_keyword(Keyword::NULL) {
            let left = Box::new(left);
            return Ok(if negated { Expr::IsNotNull(left) } else { Expr::IsNull(left) });
        }
        let left = Box::new(left);
        // These two ask for the truth of a number, not for 1 and 0.
        if parser.parse_keyword(Keyword::TRUE) {
            return Ok(if negated { Expr::IsNotTrue(left) } else { Expr::IsTrue(left) });
        }
        if parser.parse_keyword(Keyword::FALSE) {
            return Ok(if negated { Expr::IsNotFalse(left) } else { Expr::IsFalse(left) });
        }
        // `IS DISTINCT FROM` is `IS NOT`, and the other way round.
        let negated = negated ^ parser.parse_keywords(&[Keyword::DISTINCT, Keyword::FROM]);
        let right = Box::new(parser.parse_subexpr(precedence)?);
        Ok(if negated {
            Expr::IsDistinctFrom(left, right)
        } else {
            Expr::IsNotDistinctFrom(left, right)
        })
    }

    fn parse_match(
        parser: &mut Parser<'_>,
        left: Expr,
        precedence: u8,
    ) -> Result<Expr, ParserError> {
        let negated = parser.parse_keyword(Keyword::NOT);
        let op =
            match parser.parse_one_of_keywords(&[Keyword::GLOB, Keyword::MATCH, Keyword::REGEXP]) {
                Some(Keyword::GLOB) => BinaryOperator::Glob,
                Some(Keyword::MATCH) => BinaryOperator::Match,
                _ => BinaryOperator::Regexp,
            };
        let right = Box::new(parser.parse_subexpr(precedence)?);
        let matched = Expr::BinaryOp { left: Box::new(left), op, right };
        Ok(if negated {
            let expr = Box::new(Expr::Nested(Box::new(matched)));
            Expr::UnaryOp { op: UnaryOperator::Not, expr }
        } else {
            matched
        })
    }
}

fn keyword(token: &TokenWithSpan) -> Keyword {
    match &token.token {
        Token::Word(word) => word.keyword,
        _ => Keyword::NoKeyword,
    }
}

/// The word of a token, in upper case, unless it is quoted.
fn is_word(token: &TokenWithSpan, text: &str) -> bool {
    matches!(&token.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

impl Dialect for Sqlite {
    // The parser asks for SQLite by this id where its grammar differs.
    fn dialect(&self) -> TypeId {
        TypeId::of::<SQLiteDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        matches!(ch, '`' | '"' | '[')
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_ascii_alphabetic() || ch == '_' || !ch.is_ascii()
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        self.is_identifier_start(ch) || ch.is_ascii_digit() || ch == '$'
    }

    fn supports_filter_during_aggregation(&self) -> bool {
        true
    }

    fn supports_in_empty_list(&self) -> bool {
        true
    }

    fn supports_limit_comma(&self) -> bool {
        true
    }

    fn supports_comma_separated_trim(&self) -> bool {
        true
    }

    fn supports_notnull_operator(&self) -> bool {
        true
    }

    fn supports_numeric_literal_underscores(&self) -> bool {
        true
    }

    fn supports_bitwise_shift_operators(&self) -> bool {
        true
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        left: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let first = parser.peek_nth_token_ref(0);
        let second = keyword(parser.peek_nth_token_ref(1));
        if is_word(first, "ISNULL") {
            parser.next_token();
            return Some(Ok(Expr::IsNull(Box::new(left.clone()))));
        }
        let matches = [Keyword::GLOB, Keyword::MATCH, Keyword::REGEXP];
        match keyword(first) {
            Keyword::IS => Some(Self::parse_is(parser, left.clone(), precedence)),
            word if matches.contains(&word) => {
                Some(Self::parse_match(parser, left.clone(), precedence))
            }
            Keyword::NOT if matches.contains(&second) => {
                Some(Self::parse_match(parser, left.clone(), precedence))
            }
            _ => None,
        }
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        let token = parser.peek_token_ref();
        let precedence = match &token.token {
            Token::Eq | Token::DoubleEq | Token::Neq => Self::EQUALITY,
            Token::Lt | Token::LtEq | Token::Gt | Token::GtEq => 30,
            Token::Ampersand | Token::Pipe | Token::ShiftLeft | Token::ShiftRight => 40,
            Token::Plus | Token::Minus => 50,
            Token::Mul | Token::Div | Token::Mod => 60,
            Token::StringConcat | Token::Arrow | Token::LongArrow => 70,
            Token::Word(_) if is_word(token, "ISNULL") => Self::EQUALITY,
            _ => return None,
        };
        Some(Ok(precedence))
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        match precedence {
            Precedence::Period => 100,
            Precedence::DoubleColon => 90,
            // The parser asks for these two where a sign, `~` or `!` stands before its operand.
            Precedence::MulDivModOp | Precedence::PlusMinus => 75,
            Precedence::Between | Precedence::Eq | Precedence::Like | Precedence::Is => {
                Self::EQUALITY
            }
            Precedence::UnaryNot => 15,
            Precedence::And => 10,
            Precedence::Or => 5,
            _ => 40,
        }
    }
}

/// One token and where it stands in the text.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lexeme {
    pub token: Token,
    /// First byte.
    pub start: usize,
    /// Byte after the last one.
    pub end: usize,
}

/// Splits SQL text of SQLite into tokens, without white space and comments.
pub(crate) fn tokens(text: &str) -> Result<Vec<Lexeme>, String> {
    let spans = Tokenizer::new(&Sqlite, text)
        .tokenize_with_location()
        .map_err(|error| error.to_string())?;
    let lines: Vec<usize> =
        std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
    let offset = |location: Location| -> Option<usize> {
        let line = usize::try_from(location.line).ok()?.checked_sub(1)?;
        let column = usize::try_from(location.column).ok()?.checked_sub(1)?;
        let start = *lines.get(line)?;
        let rest = &text[start..];
        Some(start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at))
    };
    spans
        .into_iter()
        .filter(|span| !matches!(span.token, Token::Whitespace(_) | Token::EOF))
        .map(|span| {
            let start = offset(span.span.start).ok_or("a token without a place")?;
            let end = offset(span.span.end).ok_or("a token without a place")?;
            Ok(Lexeme { token: integer_of_hex(span.token, &text[start..])?, start, end })
        })
        .collect()
}

/// `0x1F` is an integer and `x'1F'` a blob; sqlparser gives one token for both.
fn integer_of_hex(token: Token, text: &str) -> Result<Token, String> {
    match token {
        Token::HexStringLiteral(digits) if text.starts_with('0') => {
            let bits = u64::from_str_radix(&digits, 16)
                .map_err(|_| format!("0x{digits} has more than 64 bits"))?;
            // Two's complement, as SQLite reads it.
            let value = i64::from_ne_bytes(bits.to_ne_bytes());
            Ok(Token::Number(value.to_string(), false))
        }
        token => Ok(token),
    }
}

fn parse<T>(
    text: &str,
    read: impl FnOnce(&mut Parser<'_>) -> Result<T, ParserError>,
) -> Result<T, String> {
    let tokens = tokens(text)?.into_iter().map(|lexeme| lexeme.token).collect();
    let mut parser = Parser::new(&Sqlite).with_recursion_limit(DEPTH).with_tokens(tokens);
    let parsed = read(&mut parser).map_err(|error| error.to_string())?;
    match parser.peek_token_ref().token {
        Token::EOF | Token::SemiColon => Ok(parsed),
        _ => Err("it goes on after its end".into()),
    }
}

/// Parses an expression.
pub(crate) fn parse_expression(text: &str) -> Result<Expr, String> {
    parse(text, |parser| parser.parse_expr())
}

/// Parses a SELECT statement.
pub(crate) fn parse_query(text: &str) -> Result<Query, String> {
    parse(text, |parser| parser.parse_query().map(|query| *query))
}

/// Quotes an identifier for SQLite.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> String {
        fn show(expr: &Expr) -> String {
            match expr {
                Expr::BinaryOp { left, op, right } => {
                    format!("({} {op} {})", show(left), show(right))
                }
                Expr::UnaryOp { op, expr } => format!("({op} {})", show(expr)),
                Expr::IsNotDistinctFrom(a, b) => format!("({} is {})", show(a), show(b)),
                Expr::IsDistinctFrom(a, b) => format!("({} isnt {})", show(a), show(b)),
                other => other.to_string(),
            }
        }
        show(&parse_expression(text).unwrap())
    }

    #[test]
    fn operators_bind_as_in_sqlite() {
        assert_eq!(shape("1 + a || b"), "(1 + (a || b))");
        assert_eq!(shape("a || b * 2"), "((a || b) * 2)");
        assert_eq!(shape("-a || b"), "((- a) || b)");
        assert_eq!(shape("a = b < c"), "(a = (b < c))");
        assert_eq!(shape("a & b = c | d"), "((a & b) = (c | d))");
        assert_eq!(shape("a IS NOT 7 AND b IS c"), "((a isnt 7) AND (b is c))");
        assert_eq!(shape("a << 2 + 1"), "(a << (2 + 1))");
        assert_eq!(shape("NOT a = b"), "(NOT (a = b))");
        assert_eq!(shape("a ISNULL"), "a IS NULL");
        assert_eq!(shape("a NOT GLOB 'x*'"), "(NOT (a GLOB 'x*'))");
    }

    #[test]
    fn hexadecimal_integers_are_no_blobs() {
        assert_eq!(shape("0x1F"), "31");
        assert_eq!(shape("0xFFFFFFFFFFFFFFFF"), "-1");
        assert_eq!(shape("x'1F'"), "X'1F'");
        assert!(parse_expression("0x11111111111111111").is_err());
    }

    #[test]
    fn tokens_know_their_place() {
        let text = "a -- note é\n + '🙂' /* b */ ,[c d]";
        let found: Vec<&str> =
            tokens(text).unwrap().iter().map(|lexeme| &text[lexeme.start..lexeme.end]).collect();
        assert_eq!(found, ["a", "+", "'🙂'", ",", "[c d]"]);
    }

    #[test]
    fn what_follows_the_end_is_refused() {
        assert!(parse_expression("1 2").is_err());
        assert!(parse_expression(&"(".repeat(10_000)).is_err());
    }
}
