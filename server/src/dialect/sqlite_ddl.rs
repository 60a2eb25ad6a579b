//! What only the text of a `CREATE …` statement tells: CHECKs, generated columns, collations,
//! expressions of indexes, names of constraints.
//!
//! The text is walked token by token at its depth of parentheses and not parsed, since SQLite
//! takes nearly any words for a type. Columns come in the order of `PRAGMA table_xinfo`, so they
//! are told apart by number.

use sqlparser::tokenizer::Token;

use super::{
    schema::Check,
    sqlite::{Lexeme, tokens},
};

/// What the text of a CREATE TABLE adds to SQLite's PRAGMAs.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct TableText {
    pub columns: Vec<ColumnText>,
    pub primary_key_name: Option<String>,
    pub uniques: Vec<UniqueText>,
    /// In declared order.
    pub foreign_keys: Vec<ForeignKeyText>,
    pub checks: Vec<Check>,
    pub autoincrement: bool,
    /// It says what to do instead of failing when a row violates a constraint.
    pub resolves_conflicts: bool,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct ColumnText {
    pub name: String,
    pub collation: Option<String>,
    pub generated: Option<String>,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct UniqueText {
    pub name: Option<String>,
    pub columns: Vec<String>,
}

#[derive(Debug, Default, PartialEq)]
pub(crate) struct ForeignKeyText {
    pub name: Option<String>,
    pub deferred: bool,
}

/// What the text of a CREATE INDEX adds.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct IndexText {
    /// The terms without COLLATE and direction.
    pub terms: Vec<String>,
    pub predicate: Option<String>,
}

/// Reads the text of a table with this many columns.
pub(crate) fn read_table(sql: &str, columns: usize) -> Result<TableText, String> {
    let lexemes = tokens(sql)?;
    let mut walk = Walk::new(sql, &lexemes);
    while !walk.is_at(&Token::LParen) {
        walk.next().ok_or("it has no column list")?;
    }
    walk.next();
    let mut table = TableText::default();
    for number in 0..columns {
        let name = walk.next().and_then(name).ok_or("a column has no name")?;
        table.columns.push(ColumnText { name, ..ColumnText::default() });
        walk.constraints(&mut table, Some(number))?;
        if number + 1 < columns && !walk.is_at(&Token::Comma) {
            return Err(format!("it has {} columns and not {columns}", number + 1));
        }
        if walk.is_at(&Token::Comma) {
            walk.next();
        }
    }
    walk.constraints(&mut table, None)?;
    table.resolves_conflicts = lexemes.windows(3).any(|words| {
        is_word(&words[0], "ON") && is_word(&words[1], "CONFLICT") && !is_word(&words[2], "ABORT")
    });
    if !walk.is_at(&Token::RParen) {
        return Err("its column list has no end".into());
    }
    Ok(table)
}

/// Reads the text of an index.
pub(crate) fn read_index(sql: &str) -> Result<IndexText, String> {
    let lexemes = tokens(sql)?;
    let mut walk = Walk::new(sql, &lexemes);
    while !walk.take_word("ON") {
        walk.next().ok_or("it names no table")?;
    }
    walk.next();
    let terms = walk.group()?.iter().map(|term| term_text(sql, term)).collect();
    let predicate = walk.take_word("WHERE").then(|| walk.rest().to_owned());
    Ok(IndexText { terms, predicate })
}

/// The SELECT of a CREATE VIEW.
pub(crate) fn read_view(sql: &str) -> Result<String, String> {
    let lexemes = tokens(sql)?;
    let mut walk = Walk::new(sql, &lexemes);
    while !walk.take_word("AS") {
        walk.next().ok_or("it has no SELECT")?;
    }
    Ok(walk.rest().to_owned())
}

/// The module of a CREATE VIRTUAL TABLE and its arguments. The arguments are in the module's own
/// language, so that text without tokens is read as well.
pub(crate) fn read_virtual_table(sql: &str) -> (String, String) {
    if let Ok(lexemes) = tokens(sql) {
        let mut walk = Walk::new(sql, &lexemes);
        while walk.at < lexemes.len() {
            if walk.take_word("USING") {
                let module = walk.next().and_then(name).unwrap_or_default();
                return (module, walk.rest().to_owned());
            }
            walk.next();
        }
    }
    let lower = sql.to_ascii_lowercase();
    let rest = lower.find("using").map_or("", |at| sql[at + "using".len()..].trim_start());
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (rest[..end].to_owned(), rest[end..].to_owned())
}

fn name(lexeme: &Lexeme) -> Option<String> {
    match &lexeme.token {
        Token::Word(word) => Some(word.value.clone()),
        Token::SingleQuotedString(text) | Token::DoubleQuotedString(text) => Some(text.clone()),
        _ => None,
    }
}

fn is_word(lexeme: &Lexeme, text: &str) -> bool {
    matches!(&lexeme.token, Token::Word(word)
        if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(text))
}

fn text_of<'a>(sql: &'a str, lexemes: &[Lexeme]) -> &'a str {
    match (lexemes.first(), lexemes.last()) {
        (Some(first), Some(last)) => &sql[first.start..last.end],
        _ => "",
    }
}

fn term_text(sql: &str, mut term: &[Lexeme]) -> String {
    if let [rest @ .., last] = term
        && (is_word(last, "ASC") || is_word(last, "DESC"))
    {
        term = rest;
    }
    while let [rest @ .., collate, _] = term
        && is_word(collate, "COLLATE")
    {
        term = rest;
    }
    text_of(sql, term).to_owned()
}

struct Walk<'a> {
    sql: &'a str,
    lexemes: &'a [Lexeme],
    at: usize,
}

impl<'a> Walk<'a> {
    fn new(sql: &'a str, lexemes: &'a [Lexeme]) -> Self {
        Self { sql, lexemes, at: 0 }
    }

    fn next(&mut self) -> Option<&'a Lexeme> {
        let lexeme = self.lexemes.get(self.at);
        self.at += 1;
        lexeme
    }

    fn is_at(&self, token: &Token) -> bool {
        self.lexemes.get(self.at).is_some_and(|lexeme| lexeme.token == *token)
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.lexemes.get(self.at).is_some_and(|lexeme| is_word(lexeme, word));
        self.at += usize::from(found);
        found
    }

    /// The text from here to the end.
    fn rest(&self) -> &'a str {
        text_of(self.sql, self.lexemes.get(self.at..).unwrap_or_default())
    }

    /// What is in the parentheses that open here, divided at its commas.
    fn group(&mut self) -> Result<Vec<&'a [Lexeme]>, String> {
        if !self.is_at(&Token::LParen) {
            return Err("a parenthesis is missing".into());
        }
        self.at += 1;
        let (mut parts, mut start, mut depth) = (Vec::new(), self.at, 0_usize);
        loop {
            let lexeme = self.next().ok_or("a parenthesis has no end")?;
            match lexeme.token {
                Token::LParen => depth += 1,
                Token::Comma if depth == 0 => {
                    parts.push(&self.lexemes[start..self.at - 1]);
                    start = self.at;
                }
                Token::RParen if depth == 0 => {
                    parts.push(&self.lexemes[start..self.at - 1]);
                    return Ok(parts);
                }
                Token::RParen => depth -= 1,
                _ => {}
            }
        }
    }

    /// The text in the parentheses that open here.
    fn group_text(&mut self) -> Result<String, String> {
        let open = self.at + 1;
        self.group()?;
        Ok(text_of(self.sql, &self.lexemes[open..self.at - 1]).to_owned())
    }

    /// Reads the type and the constraints of a column (up to its comma), or the constraints of
    /// the table (up to the parenthesis that ends it; commas between them may be missing).
    fn constraints(&mut self, table: &mut TableText, column: Option<usize>) -> Result<(), String> {
        let mut name = None;
        while let Some(lexeme) = self.lexemes.get(self.at) {
            match &lexeme.token {
                Token::RParen => break,
                Token::Comma if column.is_some() => break,
                Token::Comma => {
                    name = None;
                    self.at += 1;
                }
                Token::LParen => {
                    self.group()?;
                }
                Token::Word(word) if word.quote_style.is_none() => {
                    self.at += 1;
                    let word = word.value.to_ascii_uppercase();
                    self.constraint(&word, table, column, &mut name)?;
                }
                _ => self.at += 1,
            }
        }
        Ok(())
    }

    fn constraint(
        &mut self,
        word: &str,
        table: &mut TableText,
        column: Option<usize>,
        constraint: &mut Option<String>,
    ) -> Result<(), String> {
        match word {
            "CONSTRAINT" => *constraint = self.next().and_then(name),
            "CHECK" => {
                let expression = self.group_text()?;
                table.checks.push(Check { name: constraint.take(), expression });
            }
            "PRIMARY" => table.primary_key_name = constraint.take(),
            "AUTOINCREMENT" => table.autoincrement = true,
            "UNIQUE" => {
                let columns = match column {
                    Some(number) => vec![table.columns[number].name.clone()],
                    None => self.group()?.iter().filter_map(|term| name(term.first()?)).collect(),
                };
                table.uniques.push(UniqueText { name: constraint.take(), columns });
            }
            "REFERENCES" => {
                self.next();
                let name = constraint.take();
                table.foreign_keys.push(ForeignKeyText { name, deferred: false });
            }
            "NOT" if self.take_word("DEFERRABLE") => self.skip_words(2, "INITIALLY"),
            "DEFERRABLE" if self.take_word("INITIALLY") && self.take_word("DEFERRED") => {
                if let Some(key) = table.foreign_keys.last_mut() {
                    key.deferred = true;
                }
            }
            // ON DELETE SET DEFAULT is no DEFAULT.
            "ON" => {
                self.next();
                self.skip_words(2, "SET");
            }
            "DEFAULT" => self.skip_default(),
            "COLLATE" | "AS" => {
                if let Some(number) = column {
                    let column = &mut table.columns[number];
                    if word == "COLLATE" {
                        column.collation = self.next().and_then(name);
                    } else if self.is_at(&Token::LParen) {
                        column.generated = Some(self.group_text()?);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Skips this many tokens if the first of them is the word.
    fn skip_words(&mut self, count: usize, word: &str) {
        if self.lexemes.get(self.at).is_some_and(|lexeme| is_word(lexeme, word)) {
            self.at += count;
        }
    }

    /// Skips the value of a DEFAULT that is not in parentheses.
    fn skip_default(&mut self) {
        if self.is_at(&Token::Minus) || self.is_at(&Token::Plus) {
            self.at += 1;
        }
        if !self.is_at(&Token::LParen) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_odd_types_and_missing_types_are_read() {
        let sql = "CREATE TABLE t( -- first (\n id integer /* pk, ok */ primary key,\n\
             \"a\" varying character(255) not null, /* b was here, */\n\
             d native character(70) default 'a,b)', e, h 'single quoted type' collate nocase,\n\
             [j] int check (j > 0 and (j < 9)), k AS (a || ',') STORED,\n\
             m enum('a','b') constraint mc check(m<>'') default -1\n\
             , constraint uq unique (d, e) on conflict replace check (e > 0) -- end\n)";
        let table = read_table(sql, 8).unwrap();
        let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "a", "d", "e", "h", "j", "k", "m"]);
        assert_eq!(table.columns[4].collation.as_deref(), Some("nocase"));
        assert_eq!(table.columns[6].generated.as_deref(), Some("a || ','"));
        let checks: Vec<_> = table
            .checks
            .iter()
            .map(|check| (check.name.as_deref(), check.expression.as_str()))
            .collect();
        assert_eq!(checks, [(None, "j > 0 and (j < 9)"), (Some("mc"), "m<>''"), (None, "e > 0")]);
        let columns = vec!["d".to_owned(), "e".to_owned()];
        assert_eq!(table.uniques, [UniqueText { name: Some("uq".into()), columns }]);
    }

    #[test]
    fn foreign_keys_keep_their_names_and_their_time() {
        let sql = "CREATE TABLE t(a int constraint f1 references p(x) on delete set default \
             deferrable initially deferred, b int references \"check\" not deferrable initially \
             deferred, c int references p on update set null match simple, \
             constraint f4 foreign key (a, b) references q(c, d) deferrable initially immediate)";
        let table = read_table(sql, 3).unwrap();
        let keys: Vec<_> =
            table.foreign_keys.iter().map(|key| (key.name.as_deref(), key.deferred)).collect();
        assert_eq!(keys, [(Some("f1"), true), (None, false), (None, false), (Some("f4"), false)]);
    }

    #[test]
    fn a_wrong_count_of_columns_is_told() {
        assert!(read_table("CREATE TABLE t(a, b)", 3).is_err());
        assert!(read_table("CREATE TABLE t(a 'open", 1).is_err());
    }

    #[test]
    fn index_terms_lose_collation_and_direction() {
        let index = read_index(
            "CREATE UNIQUE INDEX i on t(lower(email) COLLATE nocase DESC, \"b c\" asc, substr(a,1,3)) \
             where del is null and x = ')'",
        )
        .unwrap();
        assert_eq!(index.terms, ["lower(email)", "\"b c\"", "substr(a,1,3)"]);
        assert_eq!(index.predicate.as_deref(), Some("del is null and x = ')'"));
    }

    #[test]
    fn virtual_tables_tell_their_module() {
        let (module, arguments) =
            read_virtual_table("CREATE VIRTUAL TABLE \"s\"\n USING FTS5 (a, content=\"\")");
        assert_eq!((module.as_str(), arguments.as_str()), ("FTS5", "(a, content=\"\")"));
        let (module, _) = read_virtual_table("CREATE VIRTUAL TABLE v using vec0('open");
        assert_eq!(module, "vec0");
    }

    #[test]
    fn a_view_is_its_select() {
        assert_eq!(
            read_view("CREATE VIEW [v] (a, b) AS SELECT 1 AS x, 2").unwrap(),
            "SELECT 1 AS x, 2"
        );
    }
}
