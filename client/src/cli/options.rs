//! What shapes a plan.

use clap::{Args as ArgsGroup, ValueEnum};
use switchback_client::{
    v1::{Choice, Disposition, GuardMode, IdentifierCase, PlanOptions},
    words::Word,
};

/// What shapes a plan.
#[derive(Debug, ArgsGroup)]
pub(crate) struct OptionArgs {
    /// What to do about a finding: fail, encode or reject; may be given several times
    #[arg(long = "on", value_name = "CODE=CHOICE", value_parser = choice)]
    on: Vec<Choice>,
    /// Names as the source spells them, or in lower case
    #[arg(long, value_enum, value_name = "CASE")]
    identifiers: Option<Identifiers>,
    /// Refuse on PostgreSQL what SQLite cannot hold, or take it and keep its row aside [default:
    /// strict]
    #[arg(long, value_enum, value_name = "MODE")]
    guards: Option<Guards>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Identifiers {
    Exact,
    Lower,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Guards {
    Strict,
    Lenient,
}

impl OptionArgs {
    /// As the server takes them; of two choices for one code the last one counts.
    pub(crate) fn into_options(self) -> PlanOptions {
        let mut choices: Vec<Choice> = Vec::new();
        for choice in self.on {
            choices.retain(|earlier| earlier.code != choice.code);
            choices.push(choice);
        }
        let identifier_case = match self.identifiers {
            None => IdentifierCase::Unspecified,
            Some(Identifiers::Exact) => IdentifierCase::Exact,
            Some(Identifiers::Lower) => IdentifierCase::Lower,
        };
        let guards = match self.guards {
            None => GuardMode::Unspecified,
            Some(Guards::Strict) => GuardMode::Strict,
            Some(Guards::Lenient) => GuardMode::Lenient,
        };
        PlanOptions {
            choices,
            identifier_case: identifier_case.into(),
            guards: guards.into(),
            ..Default::default()
        }
    }
}

fn choice(text: &str) -> Result<Choice, String> {
    let (code, word) =
        text.split_once('=').ok_or("give a finding's code and a choice: nul_in_text=encode")?;
    let code = code.trim();
    if code.is_empty() {
        return Err("the finding's code is empty".to_owned());
    }
    let disposition = Disposition::from_word(word.trim())
        .filter(|disposition| *disposition != Disposition::Unspecified)
        .ok_or_else(|| format!("{word:?} is none of fail, encode and reject"))?;
    Ok(Choice { code: code.to_owned(), disposition: disposition.into() })
}
