use super::*;

fn back(range: RangeType, text: &str) -> Option<String> {
    let mut field = Vec::new();
    range.encode(text.as_bytes(), false, &mut field).ok()?;
    let mut out = Vec::new();
    range.decode(&field, &mut out).unwrap();
    // What is written comes back as it is.
    let mut again = Vec::new();
    range.encode(&out, true, &mut again).unwrap();
    assert_eq!(again, field, "{text}");
    Some(String::from_utf8(out).unwrap())
}

#[test]
fn ranges_come_back_as_postgresql_writes_them() {
    let tstz = RangeType::TsTz(None);
    let berlin = RangeType::TsTz(Zone::named("Europe/Berlin"));
    for (range, text, written) in [
        (RangeType::Int4, "[1,10)", "[1,10)"),
        (RangeType::Int4, "[1,10]", "[1,11)"),
        (RangeType::Int4, "(1,10]", "[2,11)"),
        (RangeType::Int4, " [ 1 , +10 ) ", "[1,10)"),
        (RangeType::Int4, "[\"1\",\\1\\0)", "[1,10)"),
        (RangeType::Int4, "[-2147483648,2147483646]", "[-2147483648,2147483647)"),
        (RangeType::Int4, "(,5]", "(,6)"),
        (RangeType::Int4, "[,]", "(,)"),
        (RangeType::Int4, "[5,]", "[5,)"),
        (RangeType::Int4, "EMPTY ", "empty"),
        (RangeType::Int4, "[5,5)", "empty"),
        (RangeType::Int4, "(5,6)", "empty"),
        (RangeType::Int4, "(2147483647,2147483647)", "empty"),
        (RangeType::Int8, "(9223372036854775806,)", "[9223372036854775807,)"),
        (RangeType::Num, "[1.50,1e1]", "[1.50,10]"),
        (RangeType::Num, "[-10,-9.999]", "[-10,-9.999]"),
        (RangeType::Num, "[-0.5,0)", "[-0.5,0)"),
        (RangeType::Num, "[1.0,1]", "[1.0,1]"),
        (RangeType::Num, "(1.0,1]", "empty"),
        (RangeType::Num, "[9999,10000]", "[9999,10000]"),
        (RangeType::Num, "[0.0001,0.1]", "[0.0001,0.1]"),
        (RangeType::Date, "[2024-01-01,2024-12-31]", "[2024-01-01,2025-01-01)"),
        (RangeType::Date, "[2024-01-01,9999-12-31]", "[2024-01-01,9999-12-31]"),
        (RangeType::Date, "[2024-01-01,9999-12-31)", "[2024-01-01,9999-12-31)"),
        (RangeType::Date, "(,9999-12-31]", "(,9999-12-31]"),
        (
            RangeType::Ts,
            "[2024-01-01,2024-01-02T12:30:00.500]",
            "[\"2024-01-01 00:00:00\",\"2024-01-02 12:30:00.5\"]",
        ),
        (tstz, "[\"2024-07-01 12:00:00+02\",)", "[\"2024-07-01 10:00:00+00\",)"),
        (tstz, "[2024-07-01 12:00:00,)", "[\"2024-07-01 12:00:00+00\",)"),
        (berlin, "[2024-07-01 12:00:00,)", "[\"2024-07-01 10:00:00+00\",)"),
    ] {
        assert_eq!(back(range, text).as_deref(), Some(written), "{text}");
    }
}

#[test]
fn what_is_no_range_of_the_type_is_refused() {
    for (range, text) in [
        (RangeType::Int4, ""),
        (RangeType::Int4, "1"),
        (RangeType::Int4, "[1]"),
        (RangeType::Int4, "[1,2"),
        (RangeType::Int4, "[1,2]x"),
        (RangeType::Int4, "[1,2,3]"),
        (RangeType::Int4, "[1,2)[3,4)"),
        (RangeType::Int4, "{[1,2)}"),
        (RangeType::Int4, "[2,1]"),
        (RangeType::Int4, "[1, )"),
        (RangeType::Int4, "[\"\",1)"),
        (RangeType::Int4, "[\"1,2)"),
        (RangeType::Int4, "[1,2)\\"),
        (RangeType::Int4, "[1,2\\"),
        (RangeType::Int4, "[1.0,2)"),
        (RangeType::Int4, "[1,2147483647]"),
        (RangeType::Int4, "(2147483647,)"),
        (RangeType::Int4, "[1,2147483648)"),
        (RangeType::Int4, "[1\0,2)"),
        (RangeType::Int4, "emptyx"),
        (RangeType::Int8, "[,9223372036854775807]"),
        (RangeType::Num, "[NaN,)"),
        (RangeType::Num, "[1,Infinity)"),
        (RangeType::Num, "[2.5,2.49]"),
        (RangeType::Num, "[-2.49,-2.5]"),
        (RangeType::Num, "[0,-0.1]"),
        (RangeType::Date, "[2024-02-30,)"),
        (RangeType::Date, "[2024-01-01,infinity)"),
        (RangeType::Date, "(9999-12-31,)"),
        (RangeType::Date, "[10000-01-01,)"),
        (RangeType::Date, "[2024-01-01 12:00,)"),
        (RangeType::Ts, "[2024-01-02,2024-01-01]"),
        (RangeType::Ts, "[2024-01-01 00:00:00+02,)"),
        (RangeType::TsTz(None), "[2024-01-01 00:00:00.0000001,)"),
        (RangeType::TsTz(Zone::named("Europe/Berlin")), "[2024-03-31 02:30:00,)"),
    ] {
        assert_eq!(back(range, text), None, "{text}");
    }
}

#[test]
fn only_the_form_of_postgresql_is_kept() {
    let kept = |text: &str| RangeType::Int4.encode(text.as_bytes(), true, &mut Vec::new()).is_ok();
    assert!(kept("[1,10)") && kept("(,)") && kept("empty"));
    for text in ["[1,10]", "[1, 10)", "[\"1\",10)", "[,10)", "[,)", "Empty", "[1,1)"] {
        assert!(!kept(text), "{text}");
    }
}

#[test]
fn fields_that_postgresql_does_not_send_are_refused() {
    let decoded = |field: &[u8]| RangeType::Int4.decode(field, &mut Vec::new());
    let bound = |number: i32| [&4_i32.to_be_bytes()[..], &number.to_be_bytes()].concat();
    assert_eq!(decoded(&[&[2][..], &bound(1), &bound(5)].concat()), Ok(()));
    for field in [
        vec![],
        vec![1, 0],
        vec![0x11],
        vec![0x80],
        vec![2, 0, 0, 0, 4],
        [&[2][..], &bound(1), &bound(1)].concat(),
        [&[2][..], &bound(5), &bound(1)].concat(),
        [&[6][..], &bound(1), &bound(5)].concat(),
        [&[2][..], &bound(1), &bound(5), &[0]].concat(),
        [&[0x0a][..], &bound(5)].concat(),
        [&[2][..], &[0xff; 4], &bound(5)].concat(),
    ] {
        assert_eq!(decoded(&field), Err(Refusal::Form), "{field:?}");
    }
}
