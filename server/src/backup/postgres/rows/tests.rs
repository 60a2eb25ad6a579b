//! Output of COPY in pieces of every size, and rows larger than a chunk.

use super::*;

fn cut(format: RowFormat, output: &[u8], pieces: usize) -> Result<(Vec<Vec<u8>>, Tally)> {
    let mut cutter = Cutter::new(format);
    let mut chunks = Vec::new();
    for mut piece in output.chunks(pieces) {
        while !piece.is_empty() {
            chunks.extend(cutter.feed(&mut piece)?);
        }
    }
    let (last, tally) = cutter.finish()?;
    chunks.extend(last);
    Ok((chunks, tally))
}

fn row(fields: &[Option<&[u8]>]) -> Vec<u8> {
    let mut row = i16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        let length = field.map_or(-1, |field| i32::try_from(field.len()).unwrap());
        row.extend_from_slice(&length.to_be_bytes());
        row.extend_from_slice(field.unwrap_or_default());
    }
    row
}

fn binary(rows: &[Vec<u8>]) -> Vec<u8> {
    [HEADER.to_vec(), rows.concat(), vec![0xff, 0xff]].concat()
}

fn sum(rows: &[&[u8]]) -> Digest {
    let mut sum = Digest::default();
    rows.iter().for_each(|row| sum.add(Digest::of(&blake3::hash(row))));
    sum
}

#[test]
fn rows_are_counted_and_summed_wherever_pieces_end() {
    let rows = [row(&[Some(b"a"), None]), row(&[]), row(&[Some(b""), Some(b"bcd")]), row(&[None])];
    let digest = sum(&rows.each_ref().map(Vec::as_slice));
    for pieces in 1..60 {
        let (chunks, tally) = cut(RowFormat::Binary, &binary(&rows), pieces).unwrap();
        assert_eq!(chunks, [rows.concat()], "pieces of {pieces}");
        let bytes = rows.concat().len() as u64;
        assert_eq!(tally, Tally { rows: 4, bytes, digest }, "pieces of {pieces}");
    }
    let text = b"1\ta\\nb\n\n\\N\t\n";
    for pieces in 1..20 {
        let (chunks, tally) = cut(RowFormat::Text, text, pieces).unwrap();
        assert_eq!(chunks, [text.to_vec()]);
        let digest = sum(&[b"1\ta\\nb", b"", b"\\N\t"]);
        assert_eq!(tally, Tally { rows: 3, bytes: text.len() as u64, digest });
    }
}

#[test]
fn no_rows_are_no_chunk() {
    for (format, output) in [(RowFormat::Binary, binary(&[])), (RowFormat::Text, Vec::new())] {
        assert_eq!(cut(format, &output, 7).unwrap(), (Vec::new(), Tally::default()));
    }
}

#[test]
fn chunks_end_at_rows_and_only_a_larger_row_goes_on_in_the_next() {
    let small = row(&[Some(&[b's'; 700_000])]);
    let fits = row(&[Some(&vec![b'f'; LARGEST - 6])]);
    let large = row(&[Some(&vec![b'l'; 2 * LARGEST + 5]), None]);
    let rows = [&small, &small, &small, &small, &small, &fits, &small, &large, &small]
        .map(|row| row.as_slice());
    let output = binary(&rows.map(<[u8]>::to_vec));
    for pieces in [1000, 65_536, output.len()] {
        let (chunks, tally) = cut(RowFormat::Binary, &output, pieces).unwrap();
        let lengths: Vec<usize> = chunks.iter().map(Vec::len).collect();
        let (s, l) = (small.len(), large.len());
        let expected = [3 * s, 2 * s, LARGEST, s, LARGEST, LARGEST, l - 2 * LARGEST + s];
        assert_eq!(lengths, expected, "pieces of {pieces}");
        assert_eq!(chunks.concat(), rows.concat());
        assert_eq!((tally.rows, tally.digest), (9, sum(&rows)));
    }
}

#[test]
fn long_lines_are_cut_as_well() {
    let line = [vec![b'x'; 2 * LARGEST], b"\n".to_vec()].concat();
    let text = [b"first\n".to_vec(), line.clone(), b"last\n".to_vec()].concat();
    for pieces in [4096, text.len()] {
        let (chunks, tally) = cut(RowFormat::Text, &text, pieces).unwrap();
        let lengths: Vec<usize> = chunks.iter().map(Vec::len).collect();
        assert_eq!(lengths, [6, LARGEST, LARGEST, 6]);
        assert_eq!(chunks.concat(), text);
        assert_eq!(tally.digest, sum(&[b"first", &line[..line.len() - 1], b"last"]));
    }
}

#[test]
fn damaged_output_is_refused() {
    let whole = binary(&[row(&[Some(b"abc")])]);
    assert!(cut(RowFormat::Binary, &whole[..whole.len() - 2], 99).is_err(), "no trailer");
    assert!(cut(RowFormat::Binary, &[&whole[..], b"x"].concat(), 99).is_err(), "behind it");
    let mut damaged = whole.clone();
    damaged[21..25].copy_from_slice(&(-2_i32).to_be_bytes());
    assert!(cut(RowFormat::Binary, &damaged, 99).is_err(), "negative length");
    let mut damaged = whole;
    damaged[0] = b'Q';
    assert!(cut(RowFormat::Binary, &damaged, 99).is_err(), "signature");
    assert!(cut(RowFormat::Text, b"half a line", 99).is_err());
}

#[test]
fn a_sum_carries_and_does_not_depend_on_the_order() {
    let all = Digest([u64::MAX; 4]);
    let mut one = Digest([1, 0, 0, 0]);
    one.add(all);
    assert_eq!(one, Digest::default(), "it wraps");
    let mut carried = Digest([u64::MAX, 0, 0, 0]);
    carried.add(Digest([1, 0, 0, 0]));
    assert_eq!(carried, Digest([0, 1, 0, 0]));
    assert_eq!(&carried.to_hex()[..18], "000000000000000001");
    assert_eq!(sum(&[b"a", b"b"]), sum(&[b"b", b"a"]));
    assert_ne!(sum(&[b"a", b"a"]), sum(&[b"b", b"b"]));
}
