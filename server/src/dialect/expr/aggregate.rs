//! SQLite's aggregate functions (SQLite manual, "Built-in Aggregate Functions").

use super::{super::codec::Codec, Kind, Translated, Translator, Typed, function::Call};

impl Translator<'_> {
    /// The call as an aggregate; none if it is another function.
    pub(super) fn aggregate(&self, call: &Call<'_>) -> Translated<Option<Typed>> {
        let known = matches!(
            (call.name.as_str(), call.arguments.len()),
            ("count", 0 | 1)
                | ("sum" | "avg" | "total" | "min" | "max", 1)
                | ("group_concat" | "string_agg", 1 | 2)
        );
        if !known {
            return Ok(None);
        }
        if !self.scope.aggregates {
            return Err(format!("the aggregate {}() stands where none can", call.name));
        }
        let distinct = if call.distinct { "DISTINCT " } else { "" };
        let filter = match call.filter {
            Some(filter) => format!(" FILTER (WHERE {})", self.truth(&self.expr(filter)?)?),
            None => String::new(),
        };
        let Some(argument) = call.arguments.first() else {
            return Ok(Some(Typed::new(Kind::Integer, format!("count(*){filter}"))));
        };
        let value = self.expr(argument)?;
        if call.distinct && value.collation.as_deref().is_some_and(|name| name != "BINARY") {
            return Err("DISTINCT under another collation than BINARY".into());
        }
        if call.distinct && value.kind == Kind::Coded(Codec::Tagged) {
            return Err("DISTINCT values of several classes".into());
        }
        let apply = |name: &str, sql: &str| format!("{name}({distinct}{sql}){filter}");
        let typed = match call.name.as_str() {
            "count" => {
                let sql = if value.sql == "NULL" { "NULL::text" } else { &value.sql };
                Typed::new(Kind::Integer, apply("count", sql))
            }
            "sum" => self.sum(&value, apply)?,
            "avg" => Typed::new(Kind::Real, apply("avg", &self.double(&value)?)),
            "total" => {
                let sum = apply("sum", &self.double(&value)?);
                Typed::new(Kind::Real, format!("coalesce({sum}, 0)"))
            }
            "min" | "max" => self.least(&call.name, &value, apply)?,
            _ => self.concatenation(call, &value, apply)?,
        };
        Ok(Some(typed))
    }

    fn sum(&self, value: &Typed, apply: impl Fn(&str, &str) -> String) -> Translated<Typed> {
        match value.kind {
            // PostgreSQL's sum of bigint is numeric; SQLite's overflows as this cast does.
            Kind::Integer | Kind::Bool => {
                let sql = format!("({})::bigint", apply("sum", &self.number(value)?));
                Ok(Typed::new(Kind::Integer, sql))
            }
            kind => Ok(Typed::new(kind, apply("sum", &self.double(value)?))),
        }
    }

    fn least(
        &self,
        name: &str,
        value: &Typed,
        apply: impl Fn(&str, &str) -> String,
    ) -> Translated<Typed> {
        let sql = match value.kind {
            Kind::Integer | Kind::Real | Kind::Number => value.sql.clone(),
            Kind::Bool => {
                let sql = apply(name, &self.number(value)?);
                return Ok(Typed::new(Kind::Integer, sql));
            }
            Kind::Text if value.collation.as_deref().is_none_or(|name| name == "BINARY") => {
                format!("{} COLLATE \"C\"", value.sql)
            }
            Kind::Coded(Codec::Date | Codec::Midnight | Codec::Time(_) | Codec::Timestamp(..)) => {
                value.sql.clone()
            }
            kind => return Err(format!("{name}() of {}", kind.word())),
        };
        let pg_type = value.pg_type.clone();
        Ok(Typed { pg_type, ..Typed::new(value.kind, apply(name, &sql)) })
    }

    /// The order is as little settled in SQLite as in PostgreSQL.
    fn concatenation(
        &self,
        call: &Call<'_>,
        value: &Typed,
        apply: impl Fn(&str, &str) -> String,
    ) -> Translated<Typed> {
        let separator = match call.arguments.get(1) {
            Some(separator) => self.text(&self.expr(separator)?)?,
            None => "','".into(),
        };
        let sql = apply("string_agg", &format!("{}, {separator}", self.text(value)?));
        Ok(Typed::new(Kind::Text, sql))
    }
}
