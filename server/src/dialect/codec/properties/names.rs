//! Names of codecs, and the page that lists them.

use super::*;

#[test]
fn names_go_there_and_back() {
    for codec in all() {
        assert_eq!(codec.to_string().parse(), Ok(codec));
    }
    for name in [
        "",
        "int",
        "varchar:",
        "varchar:05",
        "numeric:2:3",
        "numeric:0:0",
        "time:7",
        "timestamptz:T:3",
        "uuid:",
        "Text",
        "integer:",
        "bool:invalid",
        "time:invalid",
        "time:6-6",
        "time:minutes-3",
        "integer:64",
        "integer:16:",
        "real:32:",
        "number:",
        "text:",
        "blob:",
        "char:0",
        "label",
        "label:a\\b",
        "numeric:any:real",
        "numeric:2:3:any",
        "timestamp:T:3:none",
        "timestamp:T:3:",
        "timestamptz:in:Europe/Atlantis:T:3",
        "timestamptz:any:in:Europe/Berlin:T:3:none",
        "timestamptz:any:T:3",
        "interval:minutes",
        "jsonb:",
        "array:int4",
        "array:json:compact",
        "array:varchar(05):compact",
        "array:char:compact",
        "array:integer:compact",
        "array:numeric-text(2,3):compact",
        "array:timestamp(3):compact",
        "inet:",
        "range",
        "range:int4:",
        "range:tstz:in:Europe/Berlin",
        "range:any:ts:in:Europe/Berlin",
        "range:any:tstz:in:Europe/Atlantis",
        "text:number:5",
        "varchar:05:number",
        "bit",
        "bit:0",
        "varbit:",
    ] {
        assert!(name.parse::<Codec>().is_err(), "{name}");
    }
}

#[test]
fn every_codec_is_in_the_table_and_in_the_page() {
    let page = include_str!("../../../../../docs/type-mapping.md");
    for (name, pg_type, what) in TABLE {
        let row = format!("| `{name}` | `{pg_type}` | {what} |");
        assert!(page.contains(&row), "docs/type-mapping.md lacks: {row}");
    }
    for codec in all() {
        let name = codec.to_string();
        let pattern = pattern_of(&name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let row = TABLE.iter().find(|(known, ..)| *known == pattern).unwrap();
        let natural = codec.natural_type();
        assert!(codec.fits_type(&natural), "{name} {natural}");
        let base = natural.split('(').next().unwrap();
        let fits = row.1.split(", ").any(|pg_type| pg_type.split('(').next() == Some(base));
        assert!(fits || (row.1 == "array" && natural.ends_with("[]")), "{name} {natural}");
    }
}
