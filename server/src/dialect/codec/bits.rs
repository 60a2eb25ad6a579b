//! Text of the digits 0 and 1 as a bit string.
//!
//! The field (`varbit_send`): the number of bits, and bytes that begin with the first one.

use super::{Refusal, array};

/// Which of the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BitType {
    /// `bit(n)`: so many.
    Fixed(u32),
    /// `bit varying`; with a limit `bit varying(n)`.
    Varying(Option<u32>),
}

impl BitType {
    /// Type of PostgreSQL, shortest spelling.
    pub(super) fn type_name(self) -> String {
        match self {
            Self::Fixed(length) => format!("bit({length})"),
            Self::Varying(None) => "varbit".to_owned(),
            Self::Varying(Some(limit)) => format!("varbit({limit})"),
        }
    }

    fn has_room(self, count: usize) -> bool {
        let Ok(count) = u32::try_from(count) else { return false };
        match self {
            Self::Fixed(length) => count == length,
            Self::Varying(limit) => limit.is_none_or(|limit| count <= limit),
        }
    }

    /// Appends the field without its length.
    pub(super) fn encode(self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if !self.has_room(text.len()) || !text.iter().all(|digit| matches!(digit, b'0' | b'1')) {
            return Err(Refusal::Form);
        }
        let count = i32::try_from(text.len()).map_err(|_| Refusal::Form)?;
        out.extend_from_slice(&count.to_be_bytes());
        out.extend(text.chunks(8).map(|digits| {
            let bits = digits.iter().enumerate().filter(|(_, digit)| **digit == b'1');
            bits.map(|(place, _)| 0x80_u8 >> place).sum::<u8>()
        }));
        Ok(())
    }

    /// Appends the digits of a field.
    pub(super) fn decode(self, field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let (count, bytes) = field.split_at_checked(4).ok_or(Refusal::Form)?;
        let count =
            usize::try_from(i32::from_be_bytes(array(count)?)).map_err(|_| Refusal::Form)?;
        // Bits behind the last one are 0.
        let unused = (bytes.len() * 8).checked_sub(count).ok_or(Refusal::Form)?;
        let last = bytes.last().copied().unwrap_or(0);
        if !self.has_room(count)
            || unused >= 8
            || last.trailing_zeros() < u32::try_from(unused).unwrap_or(8)
        {
            return Err(Refusal::Form);
        }
        let bit = |place: usize| bytes[place / 8] << (place % 8) & 0x80 != 0;
        out.extend((0..count).map(|place| if bit(place) { b'1' } else { b'0' }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(r#type: BitType, text: &str) -> Option<Vec<u8>> {
        let mut field = Vec::new();
        r#type.encode(text.as_bytes(), &mut field).ok()?;
        let mut back = Vec::new();
        r#type.decode(&field, &mut back).unwrap();
        assert_eq!(back, text.as_bytes());
        Some(field)
    }

    #[test]
    fn digits_are_bits_and_come_back() {
        let any = BitType::Varying(None);
        assert_eq!(encoded(any, ""), Some(vec![0, 0, 0, 0]));
        assert_eq!(encoded(any, "0101"), Some(vec![0, 0, 0, 4, 0x50]));
        assert_eq!(encoded(any, "00000000"), Some(vec![0, 0, 0, 8, 0]));
        assert_eq!(encoded(any, "111111111"), Some(vec![0, 0, 0, 9, 0xff, 0x80]));
        assert_eq!(encoded(BitType::Fixed(3), "101"), Some(vec![0, 0, 0, 3, 0xa0]));
        for (r#type, text) in [
            (any, "2"),
            (any, "0 1"),
            (any, "x1f"),
            (BitType::Fixed(3), "10"),
            (BitType::Fixed(3), "1010"),
            (BitType::Varying(Some(2)), "101"),
        ] {
            assert_eq!(encoded(r#type, text), None, "{text}");
        }
    }

    #[test]
    fn fields_that_postgresql_does_not_send_are_refused() {
        let decoded = |field: &[u8]| BitType::Varying(None).decode(field, &mut Vec::new());
        for field in [
            &[][..],
            &[0, 0, 0],
            &[0, 0, 0, 0, 0],
            &[0, 0, 0, 4],
            &[0, 0, 0, 4, 0x58],
            &[0, 0, 0, 8, 0, 0],
            &[0xff, 0xff, 0xff, 0xff],
        ] {
            assert_eq!(decoded(field), Err(Refusal::Form), "{field:?}");
        }
    }
}
