//! Arithmetic, logic, concatenation.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::{Kind, Translated, Translator, Typed, scope::Literal};

impl Translator<'_> {
    pub(super) fn binary(
        &self,
        left: &Expr,
        op: &BinaryOperator,
        right: &Expr,
    ) -> Translated<Typed> {
        use BinaryOperator as Op;
        match op {
            Op::And | Op::Or => {
                let left = self.truth(&self.expr(left)?)?;
                let right = self.truth(&self.expr(right)?)?;
                Ok(Typed::new(Kind::Bool, format!("({left} {op} {right})")))
            }
            Op::Eq => self.comparison(left, "=", right),
            Op::NotEq => self.comparison(left, "<>", right),
            Op::Lt | Op::LtEq | Op::Gt | Op::GtEq => self.comparison(left, &op.to_string(), right),
            Op::Plus | Op::Minus | Op::Multiply => {
                self.arithmetic(&self.expr(left)?, &op.to_string(), &self.expr(right)?)
            }
            Op::Divide | Op::Modulo => self.division(left, op, right),
            Op::StringConcat => {
                let left = self.text(&self.expr(left)?)?;
                let right = self.text(&self.expr(right)?)?;
                Ok(Typed::new(Kind::Text, format!("({left} || {right})")))
            }
            Op::BitwiseAnd | Op::BitwiseOr => {
                let left = self.integer(&self.expr(left)?)?;
                let right = self.integer(&self.expr(right)?)?;
                Ok(Typed::new(Kind::Integer, format!("({left} {op} {right})")))
            }
            Op::PGBitwiseShiftLeft | Op::PGBitwiseShiftRight => self.shift(left, op, right),
            Op::Glob => self.glob(left, right),
            other => Err(format!("no translation of the operator {other}")),
        }
    }

    /// An integer that PostgreSQL takes for a `bigint`, whatever stands beside it.
    fn integer(&self, typed: &Typed) -> Translated<String> {
        match typed.kind {
            Kind::Integer | Kind::Bool => Ok(format!("{}::bigint", self.number(typed)?)),
            kind => Err(format!("{} stands where an integer is wanted", kind.word())),
        }
    }

    fn arithmetic(&self, left: &Typed, op: &str, right: &Typed) -> Translated<Typed> {
        let whole = |typed: &Typed| matches!(typed.kind, Kind::Integer | Kind::Bool);
        if left.kind == Kind::Null || right.kind == Kind::Null {
            return Ok(Typed::new(Kind::Null, "NULL"));
        }
        if whole(left) && whole(right) {
            let sql = format!("({} {op} {})", self.integer(left)?, self.integer(right)?);
            return Ok(Typed::new(Kind::Integer, sql));
        }
        let sql = format!("({} {op} {})", self.double(left)?, self.double(right)?);
        let real = left.kind == Kind::Real || right.kind == Kind::Real;
        Ok(Typed::new(if real { Kind::Real } else { Kind::Number }, sql))
    }

    /// Division by zero is NULL in SQLite and an error in PostgreSQL.
    fn division(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Translated<Typed> {
        let (left, right) = (self.expr(left)?, self.expr(right)?);
        let whole = |typed: &Typed| matches!(typed.kind, Kind::Integer | Kind::Bool);
        let is_zero_free = match right.literal {
            Some(Literal::Integer(value)) => value != 0,
            Some(Literal::Real(value)) => value != 0.0,
            _ => false,
        };
        let divisor = |sql: String| {
            if is_zero_free { sql } else { format!("nullif({sql}, 0)") }
        };
        if whole(&left) && whole(&right) {
            let sql = format!("({} {op} {})", self.integer(&left)?, divisor(self.integer(&right)?));
            return Ok(Typed::new(Kind::Integer, sql));
        }
        if *op == BinaryOperator::Modulo {
            return Err("% of reals drops their fractions first in SQLite".into());
        }
        if left.kind != Kind::Real && right.kind != Kind::Real {
            return Err(
                "a division whose operands may be integers or reals depends on the row".into()
            );
        }
        let sql = format!("({} / {})", self.double(&left)?, divisor(self.double(&right)?));
        Ok(Typed::new(Kind::Real, sql))
    }

    fn shift(&self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Translated<Typed> {
        let right = self.expr(right)?;
        // Others are turned round or cut in SQLite, and taken modulo 64 in PostgreSQL.
        match right.literal {
            Some(Literal::Integer(0..=63)) => {}
            _ => return Err("a shift by a number that is not from 0 to 63".into()),
        }
        let left = self.integer(&self.expr(left)?)?;
        Ok(Typed::new(Kind::Integer, format!("({left} {op} {})", right.sql)))
    }

    pub(super) fn unary(&self, op: UnaryOperator, inner: &Expr) -> Translated<Typed> {
        if op == UnaryOperator::Minus
            && let Expr::Value(value) = inner
            && let Value::Number(digits, _) = &value.value
        {
            let digits = format!("-{}", digits.replace('_', ""));
            if let Ok(value) = digits.parse::<i64>() {
                return Ok(Typed::integer_literal(value));
            }
            let value = digits.parse::<f64>().map_err(|_| format!("{digits} is no number"))?;
            return Ok(Typed::real_literal(value));
        }
        let typed = self.expr(inner)?;
        match op {
            UnaryOperator::Plus => Ok(Typed { affinity: None, ..typed }),
            UnaryOperator::Not => {
                Ok(Typed::new(Kind::Bool, format!("(NOT {})", self.truth(&typed)?)))
            }
            UnaryOperator::Minus => match typed.kind {
                Kind::Integer | Kind::Bool => {
                    Ok(Typed::new(Kind::Integer, format!("(- {})", self.integer(&typed)?)))
                }
                kind => Ok(Typed::new(kind, format!("(- {})", self.double(&typed)?))),
            },
            UnaryOperator::BitwiseNot => {
                Ok(Typed::new(Kind::Integer, format!("(~ {})", self.integer(&typed)?)))
            }
            other => Err(format!("no translation of the operator {other}")),
        }
    }
}
