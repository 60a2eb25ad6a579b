//! LIKE and GLOB.

use sqlparser::ast::Expr;

use super::{super::ident::literal, Kind, Translated, Translator, Typed, scope::Literal};

impl Translator<'_> {
    /// SQLite's LIKE takes ASCII letters of either case for equal, and no others: that is a LIKE
    /// of both sides in lower case under the collation "C".
    pub(super) fn like(
        &self,
        expr: &Expr,
        pattern: &Expr,
        escape: Option<&Expr>,
        negated: bool,
    ) -> Translated<Typed> {
        let left = self.text(&self.expr(expr)?)?;
        let pattern = self.expr(pattern)?;
        let pattern = match &pattern.literal {
            Some(Literal::Text(text)) => literal(&text.to_ascii_lowercase()),
            _ => format!("lower({} COLLATE \"C\")", self.text(&pattern)?),
        };
        let escape = match escape.map(|escape| self.expr(escape)).transpose()? {
            // Without ESCAPE, SQLite has no escape character and PostgreSQL has the backslash.
            None => "''".to_owned(),
            Some(Typed { literal: Some(Literal::Text(text)), .. })
                if text.chars().count() == 1
                    && !text.contains(|c: char| c.is_ascii_alphabetic()) =>
            {
                literal(&text)
            }
            Some(_) => return Err("an ESCAPE that is a letter or no single character".into()),
        };
        let not = if negated { "NOT " } else { "" };
        let sql = format!("(lower({left} COLLATE \"C\") {not}LIKE {pattern} ESCAPE {escape})");
        Ok(Typed::new(Kind::Bool, sql))
    }

    /// GLOB with a pattern that is known, as a regular expression.
    pub(super) fn glob(&self, expr: &Expr, pattern: &Expr) -> Translated<Typed> {
        let left = self.text(&self.expr(expr)?)?;
        let Some(Literal::Text(pattern)) = self.expr(pattern)?.literal else {
            return Err("GLOB with a pattern that is not a literal".into());
        };
        let pattern = literal(&regular_expression(&pattern)?);
        Ok(Typed::new(Kind::Bool, format!("({left} COLLATE \"C\" ~ {pattern})")))
    }
}

/// The regular expression of PostgreSQL that matches what the GLOB matches.
fn regular_expression(glob: &str) -> Translated<String> {
    let mut out = String::from("^");
    let mut characters = glob.chars();
    while let Some(character) = characters.next() {
        match character {
            '*' => out.push_str(".*"),
            '?' => out.push('.'),
            '[' => set(&mut characters, &mut out)?,
            other => escape(other, &mut out),
        }
    }
    out.push('$');
    Ok(out)
}

fn escape(character: char, out: &mut String) {
    if character.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(character);
}

/// `[^a-z]`; a `]` that comes first is one of the characters.
fn set(characters: &mut std::str::Chars<'_>, out: &mut String) -> Translated<()> {
    out.push('[');
    let mut empty = true;
    while let Some(character) = characters.next() {
        match character {
            '^' if out.ends_with('[') && empty && !out.ends_with("\\[") => out.push('^'),
            ']' if !empty => {
                out.push(']');
                return Ok(());
            }
            '-' if !empty && !characters.as_str().starts_with(']') => out.push('-'),
            other => {
                escape(other, out);
                empty = false;
            }
        }
    }
    Err("GLOB with a set that has no end".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_become_regular_expressions() {
        let of = |glob| regular_expression(glob).unwrap();
        assert_eq!(of("[A-Z]*"), "^[A-Z].*$");
        assert_eq!(of("a.b?"), "^a\\.b.$");
        assert_eq!(of("[^0-9-]"), "^[^0-9\\-]$");
        assert_eq!(of("[]x]"), "^[\\]x]$");
        assert_eq!(of("[a^]"), "^[a\\^]$");
        assert!(regular_expression("[a").is_err());
    }
}
