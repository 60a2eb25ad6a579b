//! A target's value as the text that stands for it.

use super::canonical::{NULL, bits, hex};

/// Names that PostgreSQL's catalogue spells in another way.
pub(super) fn plain(pg_type: &str) -> String {
    let lower = pg_type.to_ascii_lowercase();
    let (name, rest) = lower.split_at(lower.find('(').unwrap_or(lower.len()));
    let name = match name.trim() {
        "timestamptz" => "timestamp with time zone",
        "timestamp" => "timestamp without time zone",
        "time" => "time without time zone",
        "varchar" => "character varying",
        "float8" => "double precision",
        "int8" => "bigint",
        "bool" => "boolean",
        "decimal" => "numeric",
        other => other,
    };
    format!("{name}{}", rest.replace(' ', ""))
}

/// The expression that reads a column (its quoted name) as text.
pub(super) fn expression(column: &str, pg_type: &str, codec: &str) -> String {
    let plain = plain(pg_type);
    match plain.split('(').next().unwrap_or_default() {
        "double precision" => format!("encode(float8send({column}), 'hex')"),
        "bytea" => format!("encode({column}, 'hex')"),
        "timestamp without time zone" => {
            format!("to_char({column}, 'YYYY-MM-DD HH24:MI:SS.US')")
        }
        "timestamp with time zone" if codec.contains("epoch") => {
            format!("trunc(extract(epoch FROM {column}) * 1000000)::text")
        }
        "timestamp with time zone" => {
            format!("to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')")
        }
        "time without time zone" => format!("to_char({column}::interval, 'HH24:MI:SS.US')"),
        "date" => format!("to_char({column}, 'YYYY-MM-DD')"),
        "numeric" => format!("trim_scale({column})::text"),
        "uuid" => format!("replace({column}::text, '-', '')"),
        _ => format!("{column}::text"),
    }
}

/// What was read, in the form of [`super::canonical()`].
pub(super) fn normal(text: Option<String>, codec: &str) -> String {
    let Some(text) = text else { return NULL.into() };
    match codec.split(':').next() {
        Some("tagged") => tagged(&text).unwrap_or(text),
        Some("escaped") => unescaped(&text).map_or(text, |bytes| hex(&bytes)),
        _ => text,
    }
}

fn tagged(text: &str) -> Option<String> {
    let (tag, rest) = text.split_once(':')?;
    Some(match tag {
        "i" => format!("i {}", rest.parse::<i64>().ok()?),
        "r" => format!("r {}", bits(rest.parse().ok()?)),
        "t" => format!("t {}", hex(rest.as_bytes())),
        "x" => format!("t {rest}"),
        "b" => format!("b {rest}"),
        _ => return None,
    })
}

/// Text in which `\\` is a backslash, `\0` a NUL and `\xHH` any byte.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next()? {
                b'\\' => b'\\',
                b'0' => 0,
                b'x' => digit(rest.next()?)? * 16 + digit(rest.next()?)?,
                _ => return None,
            },
            other => other,
        });
    }
    Some(bytes)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_undone() {
        assert_eq!(unescaped(r"a\0\\\xff"), Some(b"a\0\\\xff".to_vec()));
        assert_eq!(unescaped(r"\q"), None);
        assert_eq!(tagged("x:ff"), Some("t ff".into()));
        assert_eq!(tagged("r:-0.0"), Some(format!("r {}", bits(-0.0))));
    }

    #[test]
    fn types_have_one_name() {
        assert_eq!(plain("VARCHAR(3)"), "character varying(3)");
        assert_eq!(plain("numeric(10, 2)"), "numeric(10,2)");
        assert_eq!(plain("timestamptz"), "timestamp with time zone");
    }
}
