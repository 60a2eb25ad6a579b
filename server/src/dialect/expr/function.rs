//! SQLite's scalar functions (SQLite manual, "Built-In Scalar SQL Functions").

use sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
};

use super::{super::codec::Codec, Kind, Purity, Translated, Translator, Typed, scope::Literal};

/// A call taken apart.
pub(super) struct Call<'e> {
    pub name: String,
    pub arguments: Vec<&'e Expr>,
    pub distinct: bool,
    /// `count(*)`
    pub star: bool,
    pub filter: Option<&'e Expr>,
}

impl<'e> Call<'e> {
    fn read(function: &'e Function) -> Translated<Self> {
        let name = function.name.to_string().to_ascii_lowercase();
        if function.over.is_some() || !function.within_group.is_empty() {
            return Err(format!("{name}() as a window function"));
        }
        let mut call = Self {
            name,
            arguments: Vec::new(),
            distinct: false,
            star: false,
            filter: function.filter.as_deref(),
        };
        match &function.args {
            FunctionArguments::None => {}
            FunctionArguments::Subquery(_) => return Err("a subquery as an argument".into()),
            FunctionArguments::List(list) => {
                if !list.clauses.is_empty() {
                    return Err(format!("{}() with clauses", call.name));
                }
                call.distinct = list.duplicate_treatment == Some(DuplicateTreatment::Distinct);
                for argument in &list.args {
                    match argument {
                        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                            call.arguments.push(expr);
                        }
                        FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => call.star = true,
                        _ => return Err(format!("{}() with named arguments", call.name)),
                    }
                }
            }
        }
        Ok(call)
    }
}

impl Translator<'_> {
    pub(super) fn call(&self, expr: &Expr) -> Translated<Typed> {
        match expr {
            Expr::Function(function) => {
                let call = Call::read(function)?;
                if let Some(typed) = self.aggregate(&call)? {
                    return Ok(typed);
                }
                if call.star || call.distinct || call.filter.is_some() {
                    return Err(format!("no translation of {}() as it is called", call.name));
                }
                if let Some(typed) = self.moment(&call.name, &call.arguments)? {
                    return Ok(typed);
                }
                self.scalar(&call.name, &call.arguments)
            }
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let arguments: Vec<&Expr> = [Some(expr), substring_from.as_ref()]
                    .into_iter()
                    .chain([substring_for.as_ref()])
                    .flatten()
                    .map(AsRef::as_ref)
                    .collect();
                self.substr(&arguments)
            }
            Expr::Trim { expr, trim_where: None, trim_what: None, trim_characters } => {
                let mut arguments = vec![expr.as_ref()];
                arguments.extend(trim_characters.iter().flatten());
                self.trim("btrim", &arguments)
            }
            other => Err(format!(
                "no translation of {}",
                super::translate::shortened(&other.to_string())
            )),
        }
    }

    fn scalar(&self, name: &str, arguments: &[&Expr]) -> Translated<Typed> {
        match (name, arguments) {
            ("lower" | "upper", [text]) => {
                let text = self.text(&self.expr(text)?)?;
                // Both know ASCII letters only, as they do under the collation "C".
                Ok(Typed::new(Kind::Text, format!("{name}({text} COLLATE \"C\")")))
            }
            ("length", [value]) => self.length(&self.expr(value)?),
            ("ltrim" | "rtrim", _) => self.trim(name, arguments),
            ("substr" | "substring", _) => self.substr(arguments),
            ("replace", [_, _, _]) => self.of_texts("replace", arguments, Kind::Text),
            ("instr", [_, _]) => self.of_texts("strpos", arguments, Kind::Integer),
            ("abs", [value]) => {
                let value = self.expr(value)?;
                Ok(Typed::new(value.kind, format!("abs({})", self.number(&value)?)))
            }
            ("coalesce" | "ifnull", [_, _, ..]) => self.unified("coalesce", arguments),
            ("nullif", [left, right]) => {
                let test = self.comparison(left, "=", right)?.sql;
                let left = self.expr(left)?;
                let sql = format!("(CASE WHEN {test} THEN NULL ELSE {} END)", left.sql);
                Ok(Typed { sql, literal: None, affinity: None, ..left })
            }
            ("iif" | "if", [test, then, otherwise]) => {
                let test = self.truth(&self.expr(test)?)?;
                let (shape, sql) = self.unify(&[self.expr(then)?, self.expr(otherwise)?])?;
                let sql = format!("(CASE WHEN {test} THEN {} ELSE {} END)", sql[0], sql[1]);
                Ok(Typed { sql, ..shape })
            }
            ("min", [_, _, ..]) => self.extreme("least", arguments),
            ("max", [_, _, ..]) => self.extreme("greatest", arguments),
            ("typeof", [value]) => self.class(&self.expr(value)?),
            ("json_valid", [value]) => self.json_valid(&self.expr(value)?),
            ("hex", [value]) => self.hex(value),
            ("random", []) => self.random(),
            ("likely" | "unlikely", [value]) => self.expr(value),
            _ => Err(format!("no translation of the function {name}()")),
        }
    }

    fn length(&self, value: &Typed) -> Translated<Typed> {
        let sql = match value.kind {
            Kind::Blob => format!("octet_length({})", value.sql),
            _ => format!("length({})", self.text(value)?),
        };
        Ok(Typed::new(Kind::Integer, sql))
    }

    fn of_texts(&self, name: &str, arguments: &[&Expr], kind: Kind) -> Translated<Typed> {
        let texts = arguments
            .iter()
            .map(|argument| self.text(&self.expr(argument)?))
            .collect::<Translated<Vec<String>>>()?;
        Ok(Typed::new(kind, format!("{name}({})", texts.join(", "))))
    }

    fn trim(&self, name: &str, arguments: &[&Expr]) -> Translated<Typed> {
        match arguments {
            [text] => {
                let text = self.text(&self.expr(text)?)?;
                Ok(Typed::new(Kind::Text, format!("{name}({text}, ' ')")))
            }
            [_, _] => self.of_texts(name, arguments, Kind::Text),
            _ => Err("trim() with that many arguments".into()),
        }
    }

    /// Only with a start and a length that are known: from 0 or from the end, the two count in
    /// other ways.
    fn substr(&self, arguments: &[&Expr]) -> Translated<Typed> {
        let [text, counts @ ..] = arguments else {
            return Err("substr() without arguments".into());
        };
        let mut sql = Vec::new();
        for (number, count) in counts.iter().enumerate() {
            let least = if number == 0 { 1 } else { 0 };
            match self.expr(count)?.literal {
                Some(Literal::Integer(value)) if value >= least && value <= i64::from(i32::MAX) => {
                    sql.push(value.to_string());
                }
                _ => return Err("substr() with a start or a length that depends on the row".into()),
            }
        }
        let text = self.expr(text)?;
        let (kind, text) = match text.kind {
            // Of no bytes SQLite has no part, not even an empty one.
            Kind::Blob => (Kind::Blob, format!("nullif({}, ''::bytea)", text.sql)),
            _ => (Kind::Text, self.text(&text)?),
        };
        Ok(Typed::new(kind, format!("substr({text}, {})", sql.join(", "))))
    }

    fn unified(&self, name: &str, arguments: &[&Expr]) -> Translated<Typed> {
        let all =
            arguments.iter().map(|argument| self.expr(argument)).collect::<Translated<Vec<_>>>()?;
        let (shape, sql) = self.unify(&all)?;
        Ok(Typed { sql: format!("{name}({})", sql.join(", ")), ..shape })
    }

    /// NULL if any argument is NULL, where PostgreSQL leaves NULLs out.
    fn extreme(&self, name: &str, arguments: &[&Expr]) -> Translated<Typed> {
        let all =
            arguments.iter().map(|argument| self.expr(argument)).collect::<Translated<Vec<_>>>()?;
        let numeric =
            all.iter().all(|typed| typed.kind == Kind::Integer || typed.kind == Kind::Bool)
                || all.iter().all(|typed| typed.kind == Kind::Real);
        if !numeric {
            return Err(format!("{name} of values that are not all integers or all reals"));
        }
        let (shape, sql) = self.unify(&all)?;
        let nulls: Vec<String> = sql.iter().map(|sql| format!("{sql} IS NULL")).collect();
        let sql = format!(
            "(CASE WHEN {} THEN NULL ELSE {name}({}) END)",
            nulls.join(" OR "),
            sql.join(", ")
        );
        Ok(Typed { sql, ..shape })
    }

    fn class(&self, value: &Typed) -> Translated<Typed> {
        let class = match value.kind {
            Kind::Null => return Ok(Typed::text_literal("null")),
            Kind::Integer | Kind::Bool | Kind::Coded(Codec::Epoch(_)) => "integer",
            Kind::Real => "real",
            Kind::Text
            | Kind::Coded(
                Codec::Date
                | Codec::Time(_)
                | Codec::Timestamp(..)
                | Codec::TimestampTz(..)
                | Codec::Midnight
                | Codec::Json
                | Codec::Escaped,
            ) => "text",
            Kind::Blob => "blob",
            _ => return Err("typeof() of a column whose class depends on the row".into()),
        };
        let sql = format!("(CASE WHEN {} IS NULL THEN 'null' ELSE '{class}' END)", value.sql);
        Ok(Typed::new(Kind::Text, sql))
    }

    /// PostgreSQL's own type has seen to it; before version 16 it has no other test.
    fn json_valid(&self, value: &Typed) -> Translated<Typed> {
        if value.kind != Kind::Coded(Codec::Json) {
            return Err("json_valid() of a column that is not of the type json".into());
        }
        let sql = format!("(CASE WHEN {} IS NULL THEN NULL ELSE true END)", value.sql);
        Ok(Typed::new(Kind::Bool, sql))
    }

    fn hex(&self, argument: &Expr) -> Translated<Typed> {
        if let Expr::Function(function) = argument {
            let call = Call::read(function)?;
            if call.name == "randomblob" {
                return self.random_hex(&call.arguments);
            }
        }
        let value = self.expr(argument)?;
        match value.kind {
            Kind::Blob => {
                // No digits for NULL, too.
                let sql = format!("coalesce(upper(encode({}, 'hex')), '')", value.sql);
                Ok(Typed::new(Kind::Text, sql))
            }
            kind => Err(format!("hex() of {}", kind.word())),
        }
    }

    /// `hex(randomblob(n))`: the hash of a random UUID has 128 bits that are as good.
    fn random_hex(&self, arguments: &[&Expr]) -> Translated<Typed> {
        self.volatile()?;
        let [count] = arguments else { return Err("randomblob() without a length".into()) };
        match self.expr(count)?.literal {
            Some(Literal::Integer(bytes @ 1..=16)) => {
                let digits = bytes * 2;
                let sql = format!("upper(left(md5(gen_random_uuid()::text), {digits}))");
                Ok(Typed::new(Kind::Text, sql))
            }
            _ => Err("randomblob() of more than 16 bytes".into()),
        }
    }

    fn random(&self) -> Translated<Typed> {
        self.volatile()?;
        let sql = "('x' || left(md5(gen_random_uuid()::text), 16))::bit(64)::bigint";
        Ok(Typed::new(Kind::Integer, sql))
    }

    pub(super) fn stable(&self) -> Translated<()> {
        match self.scope.purity {
            Purity::Immutable => {
                Err("PostgreSQL wants an immutable expression, and this depends on settings".into())
            }
            _ => Ok(()),
        }
    }

    fn volatile(&self) -> Translated<()> {
        match self.scope.purity {
            Purity::Volatile => Ok(()),
            _ => Err("a random value".into()),
        }
    }
}
