//! Dates and times (SQLite manual, "Date And Time Functions"). SQLite's are in UTC.

use jiff::civil::DateTime;
use sqlparser::ast::Expr;

use super::{
    super::{
        codec::{Clock, Codec},
        ident::literal,
    },
    Kind, Translated, Translator, Typed,
    scope::Literal,
};

/// What is now, in UTC: the same throughout a statement, as SQLite's.
const NOW: &str = "(statement_timestamp() AT TIME ZONE 'UTC')";

impl Translator<'_> {
    /// The call as a function of date and time; none if it is another function.
    pub(super) fn moment(&self, name: &str, arguments: &[&Expr]) -> Translated<Option<Typed>> {
        let (format, arguments) = match name {
            "date" | "current_date" => ("%Y-%m-%d".to_owned(), arguments),
            "time" | "current_time" => ("%H:%M:%S".to_owned(), arguments),
            "datetime" | "current_timestamp" => ("%Y-%m-%d %H:%M:%S".to_owned(), arguments),
            "unixepoch" => ("%s".to_owned(), arguments),
            "strftime" => {
                let [format, rest @ ..] = arguments else {
                    return Err("strftime() without a format".into());
                };
                match self.expr(format)?.literal {
                    Some(Literal::Text(format)) => (format, rest),
                    _ => return Err("strftime() with a format that depends on the row".into()),
                }
            }
            _ => return Ok(None),
        };
        if format.contains("%f") {
            self.milliseconds(arguments)?;
        }
        let base = self.base(arguments)?;
        let typed = match base {
            Base::Constant(moment) => Typed::text_literal(&constant(&format, moment)?),
            Base::Sql(sql) => {
                self.stable()?;
                let wordy = format.contains(['-', ':', 'T', 'F', 'R']);
                Typed { wordy, ..Typed::new(Kind::Text, formatted(&format, &sql)?) }
            }
        };
        if name != "unixepoch" {
            return Ok(Some(typed));
        }
        let whole = typed.sql.strip_suffix("::text").ok_or("unixepoch() of a constant")?;
        Ok(Some(Typed::new(Kind::Integer, whole)))
    }

    /// SQLite rounds to milliseconds, and PostgreSQL cuts off what is finer.
    fn milliseconds(&self, arguments: &[&Expr]) -> Translated<()> {
        let Some(argument) = arguments.first() else { return Ok(()) };
        match self.expr(argument)?.kind {
            // Every other clock can have microseconds.
            Kind::Coded(Codec::Timestamp(_, clock) | Codec::TimestampTz(_, clock, _))
                if clock != Clock::Minutes =>
            {
                Err("strftime() with %f of a time that can be finer than milliseconds".into())
            }
            _ => Ok(()),
        }
    }

    fn base(&self, arguments: &[&Expr]) -> Translated<Base> {
        let argument = match arguments {
            [] => return Ok(Base::Sql(NOW.into())),
            [argument] => self.expr(argument)?,
            _ => return Err("a date function with modifiers".into()),
        };
        match (&argument.literal, argument.kind) {
            (Some(Literal::Text(text)), _) if text.eq_ignore_ascii_case("now") => {
                Ok(Base::Sql(NOW.into()))
            }
            (Some(Literal::Text(text)), _) => whole_moment(text)
                .map(Base::Constant)
                .ok_or_else(|| "a date function of a literal in another form".into()),
            (None, Kind::Coded(Codec::Date)) => {
                Ok(Base::Sql(format!("{}::timestamp", argument.sql)))
            }
            (None, Kind::Coded(Codec::Timestamp(..) | Codec::Midnight)) => {
                Ok(Base::Sql(argument.sql))
            }
            (None, Kind::Coded(Codec::TimestampTz(..))) => {
                Ok(Base::Sql(format!("({} AT TIME ZONE 'UTC')", argument.sql)))
            }
            _ => Err("a date function of a value that is no date or time in PostgreSQL".into()),
        }
    }
}

enum Base {
    /// A `timestamp` of PostgreSQL.
    Sql(String),
    Constant(DateTime),
}

/// `YYYY-MM-DD`, alone or with `HH:MM:SS`.
fn whole_moment(text: &str) -> Option<DateTime> {
    let full = match text.len() {
        10 => format!("{text} 00:00:00"),
        19 if text.as_bytes()[10] == b' ' => text.to_owned(),
        _ => return None,
    };
    let shape = full.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        10 => byte == b' ',
        13 | 16 => byte == b':',
        _ => byte.is_ascii_digit(),
    });
    if !shape { None } else { full.parse().ok() }
}

fn constant(format: &str, moment: DateTime) -> Translated<String> {
    let mut out = String::new();
    for part in parts(format)? {
        match part {
            Part::Plain(text) => out.push_str(&text),
            Part::Field('Y') => out.push_str(&format!("{:04}", moment.year())),
            Part::Field('m') => out.push_str(&format!("{:02}", moment.month())),
            Part::Field('d') => out.push_str(&format!("{:02}", moment.day())),
            Part::Field('H') => out.push_str(&format!("{:02}", moment.hour())),
            Part::Field('M') => out.push_str(&format!("{:02}", moment.minute())),
            Part::Field('S') => out.push_str(&format!("{:02}", moment.second())),
            Part::Field(other) => return Err(format!("strftime() with %{other}")),
        }
    }
    Ok(out)
}

/// `to_char` with the template that stands for the format.
fn formatted(format: &str, base: &str) -> Translated<String> {
    if format == "%s" {
        return Ok(format!("floor(extract(epoch FROM {base}))::bigint::text"));
    }
    let mut template = String::new();
    for part in parts(format)? {
        match part {
            // Text in double quotes stands for itself.
            Part::Plain(text) => {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"");
                template.push_str(&format!("\"{text}\""));
            }
            Part::Field(letter) => template.push_str(match letter {
                'Y' => "YYYY",
                'm' => "MM",
                'd' => "DD",
                'H' => "HH24",
                'M' => "MI",
                'S' => "SS",
                'f' => "SS.MS",
                'j' => "DDD",
                'F' => "YYYY-MM-DD",
                'T' => "HH24:MI:SS",
                'R' => "HH24:MI",
                other => return Err(format!("strftime() with %{other}")),
            }),
        }
    }
    Ok(format!("to_char({base}, {})", literal(&template)))
}

enum Part {
    Plain(String),
    Field(char),
}

fn parts(format: &str) -> Translated<Vec<Part>> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('%') => plain.push('%'),
            Some(letter) => {
                if !plain.is_empty() {
                    parts.push(Part::Plain(std::mem::take(&mut plain)));
                }
                parts.push(Part::Field(letter));
            }
            None => return Err("strftime() with a format that ends in %".into()),
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Plain(plain));
    }
    Ok(parts)
}
