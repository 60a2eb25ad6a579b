//! FROM: tables, subqueries, joins.

use sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, ObjectName, TableAlias, TableFactor, TableWithJoins,
};

use super::{
    super::{
        expr::{Purity, Relation, Scope, Translated, Translator},
        ident::quote,
    },
    Catalog, translate_query,
};

/// Translates a FROM clause; empty without one.
pub(super) fn from(
    tables: &[TableWithJoins],
    catalog: &Catalog,
    outer: Option<&Scope<'_>>,
) -> Translated<(String, Vec<Relation>)> {
    let mut from = From { catalog, outer, sql: String::new(), relations: Vec::new() };
    for table in tables {
        // SQLite binds a comma as tight as JOIN.
        from.factor(&table.relation, " CROSS JOIN ")?;
        for join in &table.joins {
            from.join(join)?;
        }
    }
    let sql = if from.sql.is_empty() { String::new() } else { format!(" FROM {}", from.sql) };
    Ok((sql, from.relations))
}

struct From<'a> {
    catalog: &'a Catalog,
    outer: Option<&'a Scope<'a>>,
    sql: String,
    relations: Vec<Relation>,
}

impl From<'_> {
    fn join(&mut self, join: &Join) -> Translated<()> {
        use JoinOperator as Op;
        let (word, constraint) = match &join.join_operator {
            Op::Join(constraint) | Op::Inner(constraint) | Op::CrossJoin(constraint) => {
                ("JOIN", constraint)
            }
            Op::Left(constraint) | Op::LeftOuter(constraint) => ("LEFT JOIN", constraint),
            Op::Right(constraint) | Op::RightOuter(constraint) => ("RIGHT JOIN", constraint),
            Op::FullOuter(constraint) => ("FULL JOIN", constraint),
            _ => return Err("a kind of join that PostgreSQL lacks".into()),
        };
        match constraint {
            JoinConstraint::None if word == "JOIN" => self.factor(&join.relation, " CROSS JOIN "),
            JoinConstraint::None => {
                self.factor(&join.relation, &format!(" {word} "))?;
                self.sql += " ON true";
                Ok(())
            }
            JoinConstraint::On(condition) => {
                self.factor(&join.relation, &format!(" {word} "))?;
                let scope = Scope {
                    outer: self.outer,
                    catalog: Some(self.catalog),
                    ..Scope::new(self.relations.clone(), Purity::Stable)
                };
                let translator = Translator::new(&scope);
                let condition = translator.truth(&translator.expr(condition)?)?;
                self.sql += &format!(" ON {condition}");
                Ok(())
            }
            JoinConstraint::Using(names) if word == "JOIN" || word == "LEFT JOIN" => {
                self.factor(&join.relation, &format!(" {word} "))?;
                self.using(names)
            }
            _ => Err("a NATURAL join, or an outer one with USING".into()),
        }
    }

    /// USING as ON; the column stays on the left side only, as in SQLite.
    fn using(&mut self, names: &[ObjectName]) -> Translated<()> {
        let (right, left) = self.relations.split_last_mut().ok_or("USING without a table")?;
        let mut tests = Vec::new();
        for name in names {
            let name =
                name.0.last().and_then(|part| part.as_ident()).ok_or("USING without a column")?;
            let same = |field: &&super::Field| field.name.eq_ignore_ascii_case(&name.value);
            let one = left.iter().flat_map(|relation| &relation.fields).find(same);
            let other = right.fields.iter().find(same);
            let (Some(one), Some(other)) = (one, other) else {
                return Err(format!("USING a column that is not there: {:?}", name.value));
            };
            if one.kind != other.kind || !super::has_equality(one) {
                return Err(format!("USING a column of two types: {:?}", name.value));
            }
            tests.push(format!("{} = {}", one.sql, other.sql));
            right.fields.retain(|field| !same(&field));
        }
        self.sql += &format!(" ON {}", tests.join(" AND "));
        Ok(())
    }

    fn factor(&mut self, factor: &TableFactor, separator: &str) -> Translated<()> {
        if !self.sql.is_empty() {
            self.sql += separator;
        }
        match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let name = name
                    .0
                    .last()
                    .and_then(|part| part.as_ident())
                    .ok_or("a table without a name")?;
                let entry = self
                    .catalog
                    .find(&name.value)
                    .ok_or_else(|| format!("it reads {:?}, which is not carried", name.value))?;
                self.sql += &entry.sql;
                let relation = entry.relation.clone();
                let alias =
                    alias.as_ref().map_or(relation.name.clone(), |alias| alias.name.value.clone());
                self.named(relation, alias)
            }
            TableFactor::Derived { lateral: false, subquery, alias, .. } => {
                let translated = translate_query(subquery, self.catalog, self.outer)?;
                self.sql += &format!("({})", translated.sql);
                let alias = match alias {
                    Some(TableAlias { name, columns, .. }) if columns.is_empty() => {
                        name.value.clone()
                    }
                    Some(_) => return Err("an alias with columns".into()),
                    None => format!("subquery_{}", self.relations.len() + 1),
                };
                self.named(Relation { name: String::new(), fields: translated.fields }, alias)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                let mut inner = From {
                    catalog: self.catalog,
                    outer: self.outer,
                    sql: String::new(),
                    relations: Vec::new(),
                };
                inner.factor(&table_with_joins.relation, "")?;
                for join in &table_with_joins.joins {
                    inner.join(join)?;
                }
                self.sql += &format!("({})", inner.sql);
                self.relations.append(&mut inner.relations);
                Ok(())
            }
            other => Err(format!("no translation of {other} in FROM")),
        }
    }

    fn named(&mut self, relation: Relation, alias: String) -> Translated<()> {
        if alias.len() > 63 || alias.is_empty() {
            return Err("a table whose name PostgreSQL cannot have".into());
        }
        self.sql += &format!(" AS {}", quote(&alias));
        let fields = relation
            .fields
            .into_iter()
            .map(|field| super::Field { sql: format!("{}.{}", quote(&alias), field.sql), ..field })
            .collect();
        self.relations.push(Relation { name: alias, fields });
        Ok(())
    }
}
