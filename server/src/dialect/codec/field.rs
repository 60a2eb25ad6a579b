//! Fields of PostgreSQL's binary COPY format: a 32-bit length and so many bytes.

use super::Refusal;

/// Longest field that PostgreSQL takes: its allocations end at 1 GiB, and a varlena's header is
/// part of that.
pub(super) const LONGEST_FIELD: usize = 0x3fff_ffff - 4;

/// Appends a field of so many bytes, with its length.
#[inline]
pub(super) fn fixed<const N: usize>(bytes: [u8; N], out: &mut Vec<u8>) {
    const { assert!(N <= 16) };
    let mut field = [0; 20];
    field[3] = N.to_le_bytes()[0];
    field[4..4 + N].copy_from_slice(&bytes);
    out.extend_from_slice(&field[..4 + N]);
}

/// Appends the bytes as a field, with their length.
#[inline]
pub(super) fn varying(bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    out.extend_from_slice(&length_of(bytes.len())?);
    out.extend_from_slice(bytes);
    Ok(())
}

fn length_of(length: usize) -> Result<[u8; 4], Refusal> {
    if length > LONGEST_FIELD {
        return Err(Refusal::Form);
    }
    u32::try_from(length).map(u32::to_be_bytes).map_err(|_| Refusal::Form)
}

/// Writes a field whose length is known only when it is written.
pub(super) fn framed(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    match write(out).and_then(|()| length_of(out.len() - start - 4)) {
        Ok(length) => {
            out[start..start + 4].copy_from_slice(&length);
            Ok(())
        }
        Err(refusal) => {
            out.truncate(start);
            Err(refusal)
        }
    }
}

/// The bytes of a field whose type has so many.
pub(super) fn array<const N: usize>(field: &[u8]) -> Result<[u8; N], Refusal> {
    field.try_into().map_err(|_| Refusal::Form)
}
