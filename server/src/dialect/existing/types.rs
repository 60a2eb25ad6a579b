//! stub
use super::super::{codec::Codec, schema::Affinity};
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TargetType {
    pub name: String,
    pub wire: String,
    pub labels: Vec<String>,
}
pub fn candidates(target: &TargetType, _affinity: Affinity, _zone: Option<&str>) -> Vec<Codec> {
    match target.name.as_str() {
        "bigint" => vec![Codec::Integer],
        "text" => vec![Codec::Text],
        _ => vec![],
    }
}
pub fn plausible(_codec: &Codec, _min: i64, _max: i64) -> bool {
    true
}
