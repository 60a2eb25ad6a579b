//! What each codec is called and carries.

/// Names of codecs, the PostgreSQL types that use them, and what they carry; what is in capitals
/// stands for one of the words that the last column lists. `docs/type-mapping.md` prints it.
pub const TABLE: &[(&str, &str, &str)] = &[
    ("integer", "bigint", "INTEGER"),
    ("real", "double precision", "REAL, to the bit; −0.0, infinities and subnormals included"),
    (
        "number",
        "double precision",
        "INTEGER within ±2⁵³ and REAL of a column with INTEGER or NUMERIC affinity, where SQLite \
         itself stores a whole value as INTEGER",
    ),
    ("text", "text", "TEXT that is UTF-8 and holds no NUL"),
    ("varchar:N", "varchar(n)", "the same, at most N characters"),
    ("blob", "bytea", "BLOB"),
    (
        "bool:FORM",
        "boolean",
        "`01`: INTEGER 0 and 1; `t-f`, `T-F`, `true-false`, `TRUE-FALSE`, `True-False`, \
         `yes-no`, `y-n`, `Y-N`: these two texts",
    ),
    ("date", "date", "`YYYY-MM-DD`, years 0001 to 9999"),
    (
        "time:CLOCK",
        "time",
        "`HH:MM` (`minutes`); `HH:MM:SS` with a fraction of `0` to `6` digits, and of six where \
         it needs more than that; with none or six digits (`0or6`, as Python writes); without \
         zeros at the end (`trimmed`, as Go and .NET write); with `-N` behind these, for a type \
         of that precision, no more than N digits that are not zeros",
    ),
    ("timestamp:SEP:CLOCK", "timestamp", "date, `space` or `T`, time as above"),
    ("timestamp:date", "timestamp", "`YYYY-MM-DD`: midnight"),
    (
        "timestamptz:SEP:CLOCK:SUFFIX",
        "timestamptz",
        "the same with `Z`, `+00:00` or `+00` behind it in every row, or with nothing (`none`), \
         which is taken for UTC",
    ),
    ("timestamptz:epoch-UNIT", "timestamptz", "INTEGER: `s`, `ms` or `us` since 1970-01-01 UTC"),
    (
        "uuid:FORM",
        "uuid",
        "`lower` and `upper`: TEXT with hyphens; `hex`: 32 lower-case digits; `blob`: BLOB of 16 \
         bytes",
    ),
    (
        "numeric",
        "numeric",
        "INTEGER and REAL of a column with INTEGER or NUMERIC affinity, REAL by the shortest \
         decimal that gives the same double; no infinities",
    ),
    ("numeric:P:S", "numeric(p,s)", "the same, where P digits with S behind the point hold it"),
    ("json", "json", "TEXT that is valid JSON, kept to the byte"),
    (
        "json:numeric",
        "json",
        "the same in a column with NUMERIC affinity, where SQLite stores a document that is a \
         bare number as INTEGER or REAL",
    ),
    (
        "tagged",
        "text",
        "any value behind a letter for its class: `i:5`, `r:1.5`, `t:hello`, `b:68656c` (BLOB in \
         hexadecimal), `x:00` (TEXT with NUL or invalid UTF-8, in hexadecimal)",
    ),
    (
        "escaped",
        "text",
        "any TEXT: a backslash doubled, NUL as `\\0`, a byte that is not UTF-8 as `\\xhh`",
    ),
    ("integer:BITS", "smallint, integer", "INTEGER of `16` or `32` bits"),
    ("real:32", "real", "REAL that `real` holds as it is"),
    (
        "real:32:rounded",
        "real",
        "REAL, rounded to the nearest `real`: never chosen, only by a person in the plan",
    ),
    (
        "number:any",
        "double precision",
        "INTEGER and REAL of any column, INTEGER where a double holds it; back INTEGER where it \
         is whole",
    ),
    (
        "numeric:real",
        "numeric",
        "REAL by its shortest decimal, whole numbers too; no −0 and no infinities",
    ),
    ("numeric:text", "numeric", "TEXT as PostgreSQL writes the number: `12.50`"),
    (
        "numeric:any",
        "numeric",
        "INTEGER, REAL, and TEXT in every spelling of a decimal; back as `numeric` writes it",
    ),
    ("numeric:any:text", "numeric", "the same; back as `numeric:text` writes it"),
    (
        "numeric:P:S:FORM",
        "numeric(p,s)",
        "`real`, `text`, `any`, `any:text`: the same, where P digits with S behind the point hold \
         it; back always with S digits behind the point as text",
    ),
    ("char:N", "char(n)", "TEXT of at most N characters without spaces at its end"),
    ("text:blob", "text", "BLOB that is UTF-8 and holds no NUL"),
    ("blob:text", "bytea", "TEXT, whatever its bytes are"),
    (
        "label:LABELS",
        "enum",
        "TEXT that is one of the labels, which `|` stands between; `\\` stands before a `|` or \
         `\\` of theirs",
    ),
    (
        "bool:any",
        "boolean",
        "INTEGER 0 and 1, TEXT `true`, `t`, `yes`, `y`, `on`, `1` and their opposites in any \
         case; back INTEGER 0 and 1",
    ),
    ("bool:any:text", "boolean", "the same; back `true` and `false`"),
    (
        "date:any",
        "date",
        "TEXT `YYYY-MM-DD`, alone or with a midnight behind it in a form of `timestamp:any`; back \
         without",
    ),
    ("date:julian", "date", "REAL: the Julian day of midnight"),
    ("time:any:CLOCK", "time", "TEXT: a time in every form of `timestamp:any`; back as CLOCK says"),
    (
        "timestamp:any:SEP:CLOCK",
        "timestamp",
        "TEXT: a date, alone (midnight) or with a space, `T` or `t` and `HH:MM`, `HH:MM:SS` or a \
         fraction of 1 to 9 digits behind it, of which those after the sixth are zeros, and UTC \
         behind that or not (`Z`, `+00`, `+00:00`, `+0000`); back as SEP and CLOCK say",
    ),
    (
        "timestamptz:any:SEP:CLOCK:SUFFIX",
        "timestamptz",
        "the same with any offset (`±HH`, `±HH:MM`, `±HHMM`); without one it is UTC; back in UTC",
    ),
    (
        "timestamptz:any:in:ZONE:SEP:CLOCK:SUFFIX",
        "timestamptz",
        "the same, but that without an offset it is local time of an IANA zone; back in UTC",
    ),
    (
        "timestamp:SEP:CLOCK:SUFFIX",
        "timestamp",
        "TEXT as `timestamptz:SEP:CLOCK:SUFFIX` has it; the suffix is dropped and comes back",
    ),
    ("timestamp:epoch-UNIT", "timestamp", "INTEGER: `s`, `ms` or `us` since 1970-01-01"),
    (
        "timestamp:epoch-s-real",
        "timestamp",
        "REAL seconds since 1970-01-01 UTC, in whole microseconds, years 1700 to 2239",
    ),
    ("timestamptz:epoch-s-real", "timestamptz", "the same"),
    (
        "timestamp:julian",
        "timestamp",
        "REAL: the Julian day in whole milliseconds, as SQLite's `julianday()` gives it",
    ),
    ("timestamptz:julian", "timestamptz", "the same"),
    (
        "timestamptz:in:ZONE:SEP:CLOCK",
        "timestamptz",
        "TEXT as `timestamp:SEP:CLOCK` has it: local time of an IANA zone; no time that its \
         clocks skip or show twice",
    ),
    (
        "uuid:any",
        "uuid",
        "TEXT with hyphens or without, in braces or not, in any case, and BLOB of 16 bytes; back \
         as `uuid:lower`",
    ),
    ("interval:UNIT", "interval", "INTEGER: `s`, `ms` or `us`, as whole days and a time of day"),
    (
        "interval:epoch",
        "interval",
        "TEXT: the time so long after 1970-01-01 as `timestamp:space:6` has it, which is how \
         SQLAlchemy stores it",
    ),
    (
        "interval:clock",
        "interval",
        "TEXT `HH:MM:SS`, with six digits behind it if there is a fraction, hours without bound, \
         a `-` before it if it is negative",
    ),
    (
        "jsonb",
        "jsonb",
        "TEXT that is valid JSON; back as `jsonb` writes it: of double keys the last, keys by \
         length, one space behind `:` and `,`",
    ),
    (
        "jsonb:numeric",
        "jsonb",
        "the same in a column with NUMERIC affinity, where SQLite stores a document that is a \
         bare number as INTEGER or REAL",
    ),
    (
        "array:ELEMENT:SPACING",
        "array",
        "TEXT that is a flat JSON array of `int2`, `int4`, `int8`, `float8`, `numeric` (a number in \
         JSON) or `numeric-text` (a string), both with `(p,s)` or not, `text`, `varchar`, \
         `varchar(n)`, `char(n)`, `bool`, `uuid`, `date`, `timestamp`, `timestamptz` or null, each \
         as a column of that type has it; the text `null` is NULL; back `compact` or with a space \
         behind each comma (`spaced`), times as `2024-01-01T12:00:00.5`, instants with `Z`",
    ),
    ("inet", "inet", "TEXT as PostgreSQL writes it: `10.0.0.1`, `2001:db8::/32`"),
    ("cidr", "cidr", "the same, always with the length of the network"),
    ("macaddr", "macaddr", "TEXT `08:00:2b:01:02:03`"),
    (
        "range:TYPE",
        "int4range, int8range, numrange, daterange, tsrange, tstzrange",
        "`int4`, `int8`, `num`, `date`, `ts`, `tstz`: TEXT as PostgreSQL writes the range: \
         `[1,10)`, `(,5)`, `empty`, `[\"2024-01-01 00:00:00+00\",)`; `[2024-01-01,9999-12-31]` \
         where it would write the year 10000; times without zeros at the end of the fraction, \
         those of `tstz` in UTC with `+00`",
    ),
    (
        "range:any:TYPE",
        "int4range, int8range, numrange, daterange, tsrange, tstzrange",
        "TEXT in every spelling of the range that PostgreSQL reads, with bounds in the forms of \
         `date:any`, `timestamp:any`, `timestamptz:any` or `numeric:any:text`; back as `range:TYPE` \
         has it: `[1,10]` as `[1,11)`",
    ),
    (
        "range:any:tstz:in:ZONE",
        "tstzrange",
        "the same, but that a bound without an offset is local time of an IANA zone",
    ),
    (
        "text:number",
        "text",
        "INTEGER and REAL of a column with INTEGER, REAL or NUMERIC affinity, by the shortest \
         digits, `5` and `5.0`, no infinities; TEXT that looks like no number to SQLite",
    ),
    ("varchar:N:number", "varchar(n)", "the same, at most N characters"),
    ("bit:N", "bit(n)", "TEXT of N digits 0 and 1"),
    ("varbit", "varbit", "TEXT of digits 0 and 1"),
    ("varbit:N", "varbit(n)", "the same, at most N digits"),
];

/// The name in the [`TABLE`] that a codec's name is an instance of.
#[cfg(test)]
pub(crate) fn pattern_of(name: &str) -> Option<&'static str> {
    nearest(TABLE.iter().map(|(pattern, ..)| *pattern), name)
}

/// Of the patterns that the name is an instance of the one with the most words of its own.
#[cfg(test)]
pub(crate) fn nearest<'a>(patterns: impl Iterator<Item = &'a str>, name: &str) -> Option<&'a str> {
    patterns.filter(|pattern| matches(pattern, name)).max_by_key(|pattern| {
        pattern.split(':').filter(|word| !is_placeholder(word)).map(str::len).sum::<usize>()
    })
}

#[cfg(test)]
fn is_placeholder(word: &str) -> bool {
    word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase())
        || matches!(word, "N" | "P" | "S")
}

#[cfg(test)]
fn matches(pattern: &str, name: &str) -> bool {
    let words: Vec<&str> = pattern.split(':').collect();
    let parts: Vec<&str> = name.splitn(words.len(), ':').collect();
    words.len() == parts.len()
        && words.iter().zip(parts).all(|(word, part)| match word.strip_suffix("UNIT") {
            _ if matches!(*word, "LABELS" | "FORM") => true,
            // `+00:00` is one word.
            _ if *word == "SUFFIX" => !part.contains(':') || part == "+00:00",
            Some(before) => {
                let unit = part.strip_prefix(before);
                unit.is_some_and(|unit| matches!(unit, "s" | "ms" | "us"))
            }
            None if is_placeholder(word) => !part.contains(':'),
            None => *word == part,
        })
}
