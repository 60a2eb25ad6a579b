//! Documents by the thousand: the codec of `jsonb` writes what PostgreSQL would.

use switchback_server::dialect::{codec::Codec, value::Value};

use super::{client, decimals::Bits};

/// Pieces of strings, good and bad.
const STRINGS: &[&str] = &[
    "a",
    "b",
    "bb",
    "é",
    "zz",
    "",
    "\\u0061",
    "\\n",
    "\\/",
    "\\\\",
    "\\\"",
    "\\ud83d\\ude00",
    "\\u001f",
    "\\u007f",
    "\u{1f600}",
    "\\ud800",
    "\\u0000",
    "\\x",
    "\\u00e9",
    "\u{ffff}",
];
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "10",
    "100000",
    "1.50",
    "-0.0",
    "1e2",
    "1E-3",
    "1.5e1",
    "12345.678e-2",
    "0.00001",
    "1e400",
    "123456789012345678901234567890",
    "1e131071",
    "1e131072",
    "0e5",
    "00",
    "1.",
    "-",
    "1e-16383",
    "1e-16384",
    "0.0e1",
    "9999e-4",
    "1e+5",
];

/// A random text that is a document, mostly.
fn document(bits: &mut Bits, depth: u32, out: &mut String) {
    let space = ["", "", " ", "\n\t"];
    let mut pick = |most: usize| usize::try_from(bits.next() % 1_000_000).unwrap_or(0) % most;
    out.push_str(space[pick(4)]);
    match if depth == 0 { pick(4) } else { pick(9) } {
        0 => out.push_str(["true", "false", "null", "nul"][pick(16).min(3) % 4]),
        1 => out.push_str(NUMBERS[pick(NUMBERS.len())]),
        2 | 3 => string(bits, out),
        4..=5 => {
            let count = pick(4);
            out.push('[');
            for number in 0..count {
                out.push_str(if number > 0 { "," } else { "" });
                document(bits, depth - 1, out);
            }
            out.push(']');
        }
        _ => {
            let count = pick(5);
            out.push('{');
            for number in 0..count {
                out.push_str(if number > 0 { "," } else { "" });
                string(bits, out);
                out.push(':');
                document(bits, depth - 1, out);
            }
            out.push('}');
        }
    }
}

fn string(bits: &mut Bits, out: &mut String) {
    out.push('"');
    for _ in 0..bits.next() % 3 {
        let piece = usize::try_from(bits.next() % 1_000_000).unwrap_or(0) % STRINGS.len();
        // Most strings are good ones.
        let bad = matches!(STRINGS[piece], "\\ud800" | "\\u0000" | "\\x");
        if !bad || bits.next().is_multiple_of(8) {
            out.push_str(STRINGS[piece]);
        }
    }
    out.push('"');
}

#[tokio::test]
async fn documents_are_written_as_postgresql_writes_them() {
    let client = client().await;
    let function = "CREATE FUNCTION sent(document text) RETURNS bytea LANGUAGE plpgsql AS \
        'BEGIN RETURN jsonb_send(document::jsonb); EXCEPTION WHEN OTHERS THEN RETURN NULL; END'";
    client.batch_execute(function).await.expect("a function");
    let mut bits = Bits(0x9e37_79b9_7f4a_7c15);
    let mut documents: Vec<String> = Vec::new();
    for number in 0..6_000 {
        let mut document_text = String::new();
        document(&mut bits, number % 5, &mut document_text);
        documents.push(document_text);
    }
    documents.extend(NUMBERS.iter().map(|number| format!("[{number}]")));
    documents.extend(STRINGS.iter().map(|text| format!("\"{text}\"")));
    documents.extend(["", " ", "[", "{\"a\":1}x", "[1,]", "\"\t\""].map(str::to_owned));
    documents.push("[".repeat(1_000) + &"]".repeat(1_000));
    let sql = "SELECT sent(document) FROM unnest($1::text[]) WITH ORDINALITY AS d (document, n) \
               ORDER BY n";
    let rows = client.query(sql, &[&documents]).await.expect("fields");
    let mut taken = 0;
    for (document, row) in documents.iter().zip(&rows) {
        let theirs: Option<Vec<u8>> = row.get(0);
        let mut ours = Vec::new();
        let encoded = Codec::Jsonb.encode(Value::Text(document.as_bytes()), &mut ours);
        let ours = encoded.is_ok().then(|| ours.split_off(4));
        let start: String = document.chars().take(300).collect();
        assert!(ours == theirs, "{start}: {:?} {:?}", shown(&ours), shown(&theirs));
        taken += usize::from(theirs.is_some());
    }
    assert!(taken > 3_000 && taken < documents.len() - 100, "{taken}");
}

fn shown(field: &Option<Vec<u8>>) -> Option<String> {
    field.as_ref().map(|field| String::from_utf8_lossy(&field[..field.len().min(300)]).into_owned())
}
