//! The codec of each column, from what the census has seen.

use switchback_proto::v1::{ColumnPlan, Finding, Severity};

use super::{
    draft::Pair,
    facts::{ColumnFit, Shapes},
    target::TargetColumn,
    types::{self, TargetType},
};
use crate::dialect::{
    codec::{Codec, Moment, NumericForm, RangeType, Separator, Spacing, Suffix},
    finding::{self, Place, finding},
    schema::Column,
};

/// A column of the source on its way into one of the target.
pub(super) struct Subject<'a> {
    pub(super) table: &'a str,
    pub(super) column: &'a Column,
    pub(super) target: &'a TargetColumn,
    pub(super) pair: &'a Pair,
    pub(super) fit: &'a ColumnFit,
    /// It names rows.
    pub(super) is_key: bool,
}

/// The column's plan and what is to be said about it; none where nothing fits its type.
pub(super) fn plan(subject: &Subject<'_>) -> (Option<ColumnPlan>, Vec<Finding>) {
    let mut findings = Vec::new();
    let Some((codec, reason)) = choose(subject, &mut findings) else { return (None, findings) };
    let Subject { column, target, fit, .. } = subject;
    if target.not_null && fit.nulls > 0 && target.generated.is_none() {
        findings.push(nulls(subject));
    }
    if column.not_null && !target.not_null && target.generated.is_none() {
        findings.push(stricter(subject));
    }
    if subject.is_key && !names_rows(codec) || !codec.keeps_form() && fit.values > 0 {
        findings.push(form(subject, codec));
    }
    if assumes_a_zone(codec, &fit.shapes) && fit.values > 0 {
        findings.push(zone(subject, codec));
    }
    let plan = ColumnPlan {
        source: column.name.clone(),
        target: target.name.clone(),
        declared: column.declared.clone(),
        r#type: target.r#type.name.clone(),
        codec: codec.to_string(),
        not_null: target.not_null,
        default: target.default.clone().unwrap_or_default(),
        generated: target.generated.clone().unwrap_or_default(),
        identity: target.identity,
        reason,
        wire: wire(&target.r#type).to_owned(),
        expression: String::new(),
        sequence: target.sequence.clone().unwrap_or_default(),
    };
    (Some(plan), findings)
}

/// The built-in type that stands for another one; empty where it is one itself.
pub(super) fn wire(r#type: &TargetType) -> &str {
    match (r#type.labels.is_empty(), r#type.wire == r#type.name) {
        (false, _) => "text",
        (true, true) => "",
        (true, false) => &r#type.wire,
    }
}

fn choose(subject: &Subject<'_>, findings: &mut Vec<Finding>) -> Option<(Codec, String)> {
    let Subject { target, pair, fit, .. } = subject;
    let name = &target.r#type.name;
    if fit.values == 0 {
        // Whatever the application writes later: the codec that takes most forms.
        let widest = pair.candidates.iter().rev().find(|codec| takes_any_shape(**codec));
        // A row is found by the very value that its key had.
        let widest = widest.filter(|_| !subject.is_key);
        let codec = written_back(*widest.or(pair.candidates.first())?, &fit.shapes);
        return Some((codec, format!("the target's column is {name}; no values yet")));
    }
    let all = format!("the target's column is {name}, and all {} values fit", fit.values);
    // Of one codec nothing is to be guessed: a reviewed plan has named it.
    let one = (pair.candidates.len() == 1).then(|| fit.fitting.first()).flatten();
    if let Some(codec) = one {
        return Some((*codec, all));
    }
    if let Some(codec) = fit.fitting.iter().find(|codec| !is_epoch(**codec)) {
        return Some((written_back(*codec, &fit.shapes), all));
    }
    let (low, high) = fit.integers.unwrap_or_default();
    let plausible = fit
        .fitting
        .iter()
        .find(|codec| fit.integers.is_some() && types::plausible(**codec, low, high));
    if let Some(codec) = plausible {
        findings.push(epoch(subject, *codec));
        return Some((*codec, all));
    }
    if let Some(codec) = fit.fitting.first() {
        findings.push(unclear(subject, &fit.fitting));
        return Some((*codec, "the unit is not known".to_owned()));
    }
    let codec = *fit.last.as_ref().or(pair.candidates.first())?;
    Some((codec, format!("the target's column is {name}; some values do not fit")))
}

/// Whether a key comes back as it was: PostgreSQL takes decimals with more zeros for the same.
fn names_rows(codec: Codec) -> bool {
    let is_decimal_text =
        matches!(codec, Codec::NumericAs(_, NumericForm::Text | NumericForm::AnyText));
    codec.keeps_form() && !is_decimal_text
}

/// Numbers of which only their range tells the unit.
fn is_epoch(codec: Codec) -> bool {
    matches!(codec, Codec::Epoch(_) | Codec::Moment(Moment::Epoch(_)))
}

/// Texts whose shape may differ from row to row.
fn takes_any_shape(codec: Codec) -> bool {
    use Moment::{DateAny, TimeAny, TimestampAny, TimestampTzAny, TimestampTzAnyIn};
    let moment = match codec {
        Codec::RangeAny(_) => return true,
        Codec::Moment(moment) => moment,
        _ => return false,
    };
    matches!(
        moment,
        DateAny | TimeAny(_) | TimestampAny(..) | TimestampTzAny(..) | TimestampTzAnyIn(..)
    )
}

/// What takes several shapes is written back as most values are written.
fn written_back(codec: Codec, shapes: &Shapes) -> Codec {
    let separator = if shapes.with_t > shapes.with_space { Separator::T } else { Separator::Space };
    let suffix = match (shapes.with_z, shapes.with_offset) {
        (0, 0) => Suffix::None,
        (z, offset) if z > offset => Suffix::Z,
        _ => Suffix::Minutes,
    };
    let moment = match codec {
        Codec::Array(element, _) if shapes.compact > shapes.spaced => {
            return Codec::Array(element, Spacing::Compact);
        }
        Codec::Array(element, _) => return Codec::Array(element, Spacing::Spaced),
        Codec::Moment(moment) => moment,
        _ => return codec,
    };
    Codec::Moment(match moment {
        Moment::TimestampAny(_, clock) => Moment::TimestampAny(separator, clock),
        Moment::TimestampTzAny(_, clock, _) => Moment::TimestampTzAny(separator, clock, suffix),
        Moment::TimestampTzAnyIn(zone, _, clock, before) => {
            // Local text has no offset only where none of the instants is ambiguous.
            let suffix = if suffix == Suffix::None { before } else { suffix };
            Moment::TimestampTzAnyIn(zone, separator, clock, suffix)
        }
        other => other,
    })
}

/// Texts without an offset become instants.
fn assumes_a_zone(codec: Codec, shapes: &Shapes) -> bool {
    match codec {
        Codec::TimestampTz(_, _, suffix) => suffix == Suffix::None,
        Codec::Moment(Moment::In(..)) => true,
        Codec::Moment(Moment::TimestampTzAny(..) | Moment::TimestampTzAnyIn(..))
        | Codec::RangeAny(RangeType::TsTz(_)) => {
            let all = shapes.with_t + shapes.with_space + shapes.alone;
            shapes.with_offset + shapes.with_z < all
        }
        _ => false,
    }
}

/// The zone that they are taken to be in.
fn zone_of(codec: Codec) -> String {
    match codec {
        Codec::Moment(Moment::In(zone, ..) | Moment::TimestampTzAnyIn(zone, ..))
        | Codec::RangeAny(RangeType::TsTz(Some(zone))) => zone.name().to_owned(),
        _ => "UTC".to_owned(),
    }
}

fn place<'a>(subject: &Subject<'a>) -> Place<'a> {
    Place::column(subject.table, &subject.column.name)
}

fn nulls(subject: &Subject<'_>) -> Finding {
    let fit = subject.fit;
    let message = format!("{} rows hold NULL, and the target's column takes none", fit.nulls);
    let hint = "fill them in the source, or give the target's column a default and leave the \
                column out";
    let code = finding::NOT_NULL_VIOLATED;
    let found = finding(Severity::Blocker, code, place(subject), message, hint);
    Finding { count: fit.nulls, examples: fit.null_examples.clone(), ..found }
}

fn stricter(subject: &Subject<'_>) -> Finding {
    let message = "takes no NULL in SQLite, and the target's column does: a row with one cannot \
                   come back, and stops all others";
    let hint = "nothing is to be done unless the application writes NULLs there on PostgreSQL";
    finding(Severity::Note, finding::SOURCE_IS_STRICTER, place(subject), message, hint)
}

fn form(subject: &Subject<'_>, codec: Codec) -> Finding {
    if subject.is_key {
        return finding(
            Severity::Blocker,
            finding::KEY_FORM,
            place(subject),
            format!(
                "names rows, and its values have several forms of one {}",
                subject.target.r#type.name
            ),
            "write them in one form in the source: a row that comes back could not be found",
        );
    }
    finding(
        Severity::Note,
        finding::FORM_CHANGES,
        place(subject),
        format!("values keep their meaning and not their form ({codec})"),
        "a row that is changed on PostgreSQL comes back in the form that the codec writes",
    )
}

fn zone(subject: &Subject<'_>, codec: Codec) -> Finding {
    let message = format!("texts without an offset are taken for times in {}", zone_of(codec));
    let hint = "name another zone with --time-zone if that is wrong";
    finding(Severity::Warning, finding::ZONE_ASSUMED, place(subject), message, hint)
}

fn epoch(subject: &Subject<'_>, codec: Codec) -> Finding {
    let message = format!("integers are taken for times ({codec})");
    let hint = "choose another codec in the plan if that is wrong";
    finding(Severity::Warning, finding::EPOCH_TIMESTAMPS, place(subject), message, hint)
}

fn unclear(subject: &Subject<'_>, fitting: &[Codec]) -> Finding {
    let names: Vec<String> = fitting.iter().map(Codec::to_string).collect();
    let message = "numbers that could be times of several units";
    let hint = format!("choose the column's codec in the plan: {}", names.join(", "));
    finding(Severity::Blocker, finding::EPOCH_UNCLEAR, place(subject), message, hint)
}
