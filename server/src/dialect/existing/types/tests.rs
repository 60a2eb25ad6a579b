use super::*;

const AFFINITIES: [Affinity; 6] = [
    Affinity::Integer,
    Affinity::Text,
    Affinity::Blob,
    Affinity::Real,
    Affinity::Numeric,
    Affinity::Any,
];

fn target(wire: &str) -> TargetType {
    TargetType { name: wire.into(), wire: wire.into(), labels: Vec::new() }
}

fn names(wire: &str, affinity: Affinity) -> Vec<String> {
    let codecs = candidates(&target(wire), affinity, None);
    codecs.iter().map(ToString::to_string).collect()
}

/// A type of PostgreSQL, as `format_type` writes it, for each row of the table.
fn types(row: &str) -> Vec<String> {
    let row = row.replace("(p,s)", "(10,2)").replace("(n)", "(5)");
    match row.strip_prefix("an array of ") {
        Some(elements) => elements.split(", ").map(|element| format!("{element}[]")).collect(),
        None => row.split(", ").map(str::to_owned).collect(),
    }
}

#[test]
fn the_commonest_columns_have_the_likeliest_codec_first() {
    let first = |wire, affinity| names(wire, affinity).into_iter().next().unwrap();
    assert_eq!(first("integer", Affinity::Integer), "integer:32");
    assert_eq!(first("boolean", Affinity::Numeric), "bool:01");
    assert_eq!(first("boolean", Affinity::Text), "bool:t-f");
    assert_eq!(first("character varying(36)", Affinity::Text), "varchar:36");
    assert_eq!(first("timestamp without time zone", Affinity::Numeric), "timestamp:space:0");
    assert_eq!(first("timestamp(3) without time zone", Affinity::Text), "timestamp:space:0-3");
    assert_eq!(first("timestamp without time zone", Affinity::Integer), "timestamp:epoch-s");
    assert_eq!(first("timestamp with time zone", Affinity::Real), "timestamptz:epoch-s-real");
    assert_eq!(first("numeric(10,2)", Affinity::Numeric), "numeric:10:2");
    assert_eq!(first("numeric(10,2)", Affinity::Real), "numeric:10:2:real");
    assert_eq!(first("numeric(10)", Affinity::Text), "numeric:10:0:text");
    assert_eq!(first("jsonb", Affinity::Text), "jsonb");
    assert_eq!(first("jsonb", Affinity::Numeric), "jsonb:numeric");
    assert_eq!(first("bytea", Affinity::Blob), "blob");
    assert_eq!(first("text", Affinity::Text), "text");
    assert_eq!(first("text", Affinity::Blob), "text");
    assert_eq!(first("text", Affinity::Integer), "text:number");
    assert_eq!(first("character varying(9)", Affinity::Numeric), "varchar:9:number");
    assert_eq!(first("int4range", Affinity::Text), "range:int4");
}

#[test]
fn exact_codecs_come_first_and_none_of_them_rounds() {
    for (row, ..) in TABLE {
        for wire in types(row) {
            for affinity in AFFINITIES {
                let codecs = candidates(&target(&wire), affinity, None);
                assert!(codecs.is_sorted_by_key(|codec| !codec.keeps_form()), "{wire}");
                assert!(codecs.iter().all(|codec| codec.fits_type(&wire)), "{wire}");
                assert!(!codecs.contains(&Codec::Single(Single::Rounded)));
            }
        }
    }
}

#[test]
fn a_zone_keeps_text_from_being_taken_for_utc() {
    let wire = target("timestamp with time zone");
    let utc = candidates(&wire, Affinity::Text, None);
    let berlin = candidates(&wire, Affinity::Text, Some("Europe/Berlin"));
    let naive: Codec = "timestamptz:space:0:none".parse().unwrap();
    assert!(utc.contains(&naive) && !berlin.contains(&naive));
    assert!(berlin.contains(&"timestamptz:in:Europe/Berlin:space:0".parse().unwrap()));
    let any = "timestamptz:any:in:Europe/Berlin:space:6:+00:00".parse().unwrap();
    assert_eq!(berlin.last(), Some(&any));
    assert_eq!(candidates(&wire, Affinity::Text, Some("Europe/Atlantis")), []);
}

#[test]
fn an_enum_takes_its_labels_and_other_types_nothing() {
    let mood = TargetType {
        name: "public.mood".into(),
        wire: String::new(),
        labels: vec!["sad".into(), "a|b".into()],
    };
    let codecs = candidates(&mood, Affinity::Text, None);
    assert_eq!(codecs, ["label:sad|a\\|b".parse().unwrap()]);
    assert!(codecs[0].fits_type(&mood.name));
    for wire in ["", "money", "xml", "int4multirange", "int4range[]", "numeric(3,5)"] {
        assert_eq!(candidates(&target(wire), Affinity::Text, None), [], "{wire}");
    }
}

#[test]
fn epochs_are_plausible_in_one_unit() {
    let codecs = candidates(&target("timestamp with time zone"), Affinity::Integer, None);
    let fits = |number| {
        let epochs = codecs.iter().filter(|codec| matches!(codec, Codec::Epoch(_)));
        let fits = epochs.filter(|codec| plausible(**codec, number, number));
        fits.map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(fits(1_700_000_000), ["timestamptz:epoch-s"]);
    assert_eq!(fits(1_700_000_000_000), ["timestamptz:epoch-ms"]);
    assert!(fits(5).is_empty());
    assert!(plausible(Codec::Integer, 5, 5));
}

#[test]
fn the_table_has_every_candidate_and_the_page_has_the_table() {
    let page = include_str!("../../../../../docs/type-mapping.md");
    for (row, codecs, note) in TABLE {
        let list: Vec<String> = codecs.iter().map(|codec| format!("`{codec}`")).collect();
        let line = format!("| {row} | {} | {note} |", list.join(", "));
        assert!(page.contains(&line), "docs/type-mapping.md lacks: {line}");
        let mut used: Vec<&str> = Vec::new();
        for wire in types(row) {
            let labels = if row == &"an enum" { vec!["a".to_owned()] } else { Vec::new() };
            let target = TargetType { labels, ..target(&wire) };
            for (affinity, zone) in
                AFFINITIES.into_iter().flat_map(|a| [(a, None), (a, Some("Europe/Berlin"))])
            {
                for codec in candidates(&target, affinity, zone) {
                    let name = codec.to_string();
                    let pattern = crate::dialect::codec::pattern_of(&name).unwrap();
                    assert!(codecs.contains(&pattern), "{row}: {name}");
                    used.push(pattern);
                }
            }
        }
        for codec in *codecs {
            assert!(used.contains(codec), "{row} never has {codec}");
        }
    }
}
