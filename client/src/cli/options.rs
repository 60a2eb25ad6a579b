//! What shapes a plan.

use clap::{Args as ArgsGroup, ValueEnum};
use switchback_client::{
    v1::{Choice, Disposition, GuardMode, IdentifierCase, PlanOptions, Rename, SchemaMode},
    words::Word,
};

/// What shapes a plan.
#[derive(Debug, ArgsGroup)]
pub(crate) struct OptionArgs {
    /// What to do about a finding: fail, encode, reject or accept; may be given several times
    #[arg(long = "on", value_name = "CODE=CHOICE", value_parser = choice)]
    on: Vec<Choice>,
    /// Names as the source spells them, or in lower case
    #[arg(long, value_enum, value_name = "CASE")]
    identifiers: Option<Identifiers>,
    /// Refuse on PostgreSQL what SQLite cannot hold, or take it and keep its row aside [default:
    /// strict]
    #[arg(long, value_enum, value_name = "MODE")]
    guards: Option<Guards>,
    /// Make the tables, or fill those that the application has made in PostgreSQL [default: create]
    #[arg(long, value_enum, value_name = "MODE")]
    schema: Option<Schema>,
    /// Schema in PostgreSQL that the tables go to or are in [default: the first of the user's
    /// search_path]
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    target_schema: String,
    /// With --schema existing: delete the rows that the tables hold
    #[arg(long)]
    empty_target: bool,
    /// With --schema existing: the zone of texts without an offset, such as Europe/Berlin
    /// [default: UTC]
    #[arg(long, value_name = "ZONE", default_value = "", hide_default_value = true)]
    time_zone: String,
    /// Only these tables; `*` stands for any letters, and it may be given several times
    #[arg(long, value_name = "TABLE")]
    include: Vec<String>,
    /// All but these tables, and with --schema existing all but these columns
    #[arg(long, value_name = "TABLE[.COLUMN]")]
    exclude: Vec<String>,
    /// With --schema existing: what is called otherwise in PostgreSQL
    #[arg(long, value_name = "TABLE[.COLUMN]=NAME", value_parser = rename)]
    rename: Vec<Rename>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Schema {
    Create,
    Existing,
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
            schema_mode: match self.schema {
                None => SchemaMode::Unspecified,
                Some(Schema::Create) => SchemaMode::Create,
                Some(Schema::Existing) => SchemaMode::Existing,
            }
            .into(),
            target_schema: self.target_schema,
            empty_target: self.empty_target,
            time_zone: self.time_zone,
            include_tables: self.include,
            exclude_tables: self.exclude,
            renames: self.rename,
        }
    }
}

fn rename(text: &str) -> Result<Rename, String> {
    let (source, target) = text
        .split_once('=')
        .ok_or("give what it is called on either side: users.name=full_name")?;
    let (table, column) = source.split_once('.').unwrap_or((source, ""));
    if table.is_empty() || target.is_empty() || source.ends_with('.') {
        return Err("a name is empty: write TABLE=NAME or TABLE.COLUMN=NAME".to_owned());
    }
    Ok(Rename { table: table.into(), column: column.into(), target: target.into() })
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
        .ok_or_else(|| format!("{word:?} is none of fail, encode, reject and accept"))?;
    Ok(Choice { code: code.to_owned(), disposition: disposition.into() })
}
