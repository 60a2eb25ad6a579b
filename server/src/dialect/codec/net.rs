//! Addresses of networks: `inet`, `cidr`, `macaddr`, as PostgreSQL writes them.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Refusal, text::check_text};

/// Which of the types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetType {
    /// `inet`: an address, and the length of its network unless it is the whole address.
    Inet,
    /// `cidr`: a network, always with its length.
    Cidr,
    /// `macaddr`: six bytes as `08:00:2b:01:02:03`.
    Macaddr,
}

/// Families as PostgreSQL sends them (`PGSQL_AF_INET` in `inet.h`).
const IPV4: u8 = 2;
const IPV6: u8 = 3;

impl NetType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Inet, Self::Cidr, Self::Macaddr];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Inet => "inet",
            Self::Cidr => "cidr",
            Self::Macaddr => "macaddr",
        }
    }

    /// Appends the field that PostgreSQL sends, without its length.
    pub(super) fn encode(self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let start = out.len();
        if self == Self::Macaddr {
            macaddr(text, out)?;
        } else {
            self.address(check_text(text)?, out)?;
        }
        let mut again = Vec::new();
        self.decode(&out[start..], &mut again)?;
        if again == text { Ok(()) } else { Err(Refusal::Form) }
    }

    fn address(self, text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let (address, bits) = match text.split_once('/') {
            None => (text, None),
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| Refusal::Form)?)),
        };
        let mut write = |family: u8, bytes: &[u8]| {
            let all = u8::try_from(bytes.len() * 8).map_err(|_| Refusal::Form)?;
            let length = u8::try_from(bytes.len()).map_err(|_| Refusal::Form)?;
            let network = u8::from(self == Self::Cidr);
            out.extend_from_slice(&[family, bits.unwrap_or(all), network, length]);
            out.extend_from_slice(bytes);
            Ok(())
        };
        if address.contains(':') {
            let address: Ipv6Addr = address.parse().map_err(|_| Refusal::Form)?;
            write(IPV6, &address.octets())
        } else {
            let address: Ipv4Addr = address.parse().map_err(|_| Refusal::Form)?;
            write(IPV4, &address.octets())
        }
    }

    /// Appends the text of a field.
    pub(super) fn decode(self, field: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        if self == Self::Macaddr {
            let bytes: [u8; 6] = super::array(field)?;
            let pairs = bytes.map(|byte| format!("{byte:02x}"));
            out.extend_from_slice(pairs.join(":").as_bytes());
            return Ok(());
        }
        let [family, bits, network, length, bytes @ ..] = field else { return Err(Refusal::Form) };
        let text = match (*family, bytes.len()) {
            (IPV4, 4) => Ipv4Addr::from(super::array::<4>(bytes)?).to_string(),
            (IPV6, 16) => ipv6(super::array(bytes)?),
            _ => return Err(Refusal::Form),
        };
        let all = bytes.len() * 8;
        let is_network = self == Self::Cidr;
        let inside = is_network && !is_prefix(bytes, usize::from(*bits));
        let wrong_length = usize::from(*length) != bytes.len();
        if wrong_length || usize::from(*bits) > all || *network != u8::from(is_network) || inside {
            return Err(Refusal::Form);
        }
        out.extend_from_slice(text.as_bytes());
        if is_network || usize::from(*bits) != all {
            out.extend_from_slice(format!("/{bits}").as_bytes());
        }
        Ok(())
    }
}

/// No bit is set behind the first so many.
fn is_prefix(bytes: &[u8], bits: usize) -> bool {
    bytes.iter().enumerate().all(|(number, byte)| {
        let kept = bits.saturating_sub(number * 8).min(8);
        kept == 8 || byte << kept == 0
    })
}

/// As `inet_net_ntop` of PostgreSQL writes it: the first of the longest runs of zeros is left out,
/// and an address that holds one of IPv4 shows it.
fn ipv6(bytes: [u8; 16]) -> String {
    let words = Ipv6Addr::from(bytes).segments();
    let mut run = (0, 0);
    for start in 0..8 {
        let length = words[start..].iter().take_while(|word| **word == 0).count();
        if length > 1 && length > run.1 {
            run = (start, length);
        }
    }
    let (start, length) = run;
    let [.., a, b, c, d] = bytes;
    let ipv4 = Ipv4Addr::new(a, b, c, d);
    match (start, length) {
        (0, 6) => return format!("::{ipv4}"),
        (0, 5) if words[5] == 0xffff => return format!("::ffff:{ipv4}"),
        _ => {}
    }
    let join = |words: &[u16]| {
        let texts: Vec<String> = words.iter().map(|word| format!("{word:x}")).collect();
        texts.join(":")
    };
    if length == 0 {
        return join(&words);
    }
    format!("{}::{}", join(&words[..start]), join(&words[start + length..]))
}

fn macaddr(text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
    let text = check_text(text)?;
    let mut pairs = text.split(':');
    for _ in 0..6 {
        let pair = pairs.next().filter(|pair| pair.len() == 2).ok_or(Refusal::Form)?;
        out.push(u8::from_str_radix(pair, 16).map_err(|_| Refusal::Form)?);
    }
    if pairs.next().is_none() { Ok(()) } else { Err(Refusal::Form) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_one_form() {
        for (r#type, text) in [
            (NetType::Inet, "10.0.0.1"),
            (NetType::Inet, "10.0.0.1/8"),
            (NetType::Inet, "::1"),
            (NetType::Inet, "::"),
            (NetType::Inet, "::ffff:1.2.3.4"),
            (NetType::Inet, "::1.2.3.4/120"),
            (NetType::Inet, "2001:db8::1:0:0:1"),
            (NetType::Inet, "1:0:3:4:5:6:7:8"),
            (NetType::Cidr, "10.0.0.0/8"),
            (NetType::Cidr, "10.0.0.1/32"),
            (NetType::Cidr, "2001:db8::/32"),
            (NetType::Macaddr, "08:00:2b:01:02:03"),
        ] {
            let mut out = Vec::new();
            assert_eq!(r#type.encode(text.as_bytes(), &mut out), Ok(()), "{text}");
        }
        for (r#type, text) in [
            (NetType::Inet, "10.0.0.1/32"),
            (NetType::Inet, "10.0.0.1/33"),
            (NetType::Inet, "10.0.0.01"),
            (NetType::Inet, "10.0.0"),
            (NetType::Inet, "::0001"),
            (NetType::Inet, "2001:DB8::1"),
            (NetType::Inet, "10.0.0.1/08"),
            (NetType::Inet, "fe80::1%eth0"),
            (NetType::Cidr, "10.0.0.1/8"),
            (NetType::Cidr, "10.0.0.0"),
            (NetType::Macaddr, "08-00-2b-01-02-03"),
            (NetType::Macaddr, "08:00:2B:01:02:03"),
            (NetType::Macaddr, "08:00:2b:01:02"),
            (NetType::Macaddr, "08:00:2b:01:02:03:04"),
            (NetType::Macaddr, "+8:00:2b:01:02:03"),
        ] {
            let mut out = Vec::new();
            assert_eq!(r#type.encode(text.as_bytes(), &mut out), Err(Refusal::Form), "{text}");
        }
    }
}
