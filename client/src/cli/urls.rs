//! Where each engine is, as the applications of this machine reach it. The server's answers never
//! carry a path or a credential, so the URLs come from here.

use std::{ffi::OsString, fmt, fs, path::Path};

use clap::Args as ArgsGroup;
use switchback_client::{Error, Result, v1::Engine};

const PATH_VARIABLE: &str = "SWITCHBACK_SQLITE";
const TEMPLATE_VARIABLE: &str = "SWITCHBACK_SQLITE_URL";
const POSTGRES_VARIABLE: &str = "SWITCHBACK_POSTGRES";
/// Stands for the path in a template.
const PLACEHOLDER: &str = "{path}";

#[derive(ArgsGroup)]
pub(crate) struct UrlArgs {
    /// The SQLite file
    #[arg(long, env = PATH_VARIABLE, value_name = "PATH")]
    sqlite: Option<OsString>,
    /// The URL of the PostgreSQL database
    #[arg(long, env = POSTGRES_VARIABLE, value_name = "URL", hide_env_values = true)]
    postgres: Option<String>,
    /// How the SQLite file's URL is written, with {path} for its absolute path
    /// [default: sqlite://{path}, escaped as a URL is]
    #[arg(long, env = TEMPLATE_VARIABLE, value_name = "TEMPLATE", value_parser = template)]
    sqlite_url: Option<String>,
}

/// Shows no URL: it holds a password.
impl fmt::Debug for UrlArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UrlArgs").field("sqlite", &self.sqlite).finish_non_exhaustive()
    }
}

/// Both engines' URLs.
pub(crate) struct Urls {
    sqlite: String,
    postgres: String,
    /// What the program needs to ask `switchback env` itself.
    variables: Vec<(&'static str, String)>,
}

impl UrlArgs {
    /// The URL of one engine.
    pub(crate) fn url(&self, engine: Engine) -> Result<String> {
        match engine {
            Engine::Sqlite => {
                let path = self.path()?;
                Ok(match self.template() {
                    Some(template) => template.replace(PLACEHOLDER, &path),
                    None => format!("sqlite://{}", escaped(&path)),
                })
            }
            Engine::Postgres => match self.postgres.as_deref().filter(|url| !url.is_empty()) {
                Some(url) => Ok(url.to_owned()),
                None => Err(missing("PostgreSQL", "--postgres URL", POSTGRES_VARIABLE)),
            },
            Engine::Unspecified => {
                Err(Error::new("INTERNAL", "the server does not say which engine is active"))
            }
        }
    }

    /// Both URLs: a program that follows the active engine needs the other one some day.
    pub(crate) fn both(&self) -> Result<Urls> {
        let sqlite = self.url(Engine::Sqlite)?;
        let postgres = self.url(Engine::Postgres)?;
        let mut variables =
            vec![(PATH_VARIABLE, self.path()?), (POSTGRES_VARIABLE, postgres.clone())];
        variables.extend(self.template().map(|template| (TEMPLATE_VARIABLE, template.to_owned())));
        Ok(Urls { sqlite, postgres, variables })
    }

    fn template(&self) -> Option<&str> {
        self.sqlite_url.as_deref().filter(|template| !template.is_empty())
    }

    fn path(&self) -> Result<String> {
        match self.sqlite.as_ref().filter(|path| !path.is_empty()) {
            Some(path) => absolute(Path::new(path)),
            None => Err(missing("SQLite", "--sqlite PATH", PATH_VARIABLE)),
        }
    }
}

impl Urls {
    pub(crate) fn url(&self, engine: Engine) -> &str {
        if engine == Engine::Postgres { &self.postgres } else { &self.sqlite }
    }

    pub(crate) fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }
}

/// An empty variable is one that is not set.
fn template(text: &str) -> Result<String, String> {
    if text.is_empty() || text.contains(PLACEHOLDER) {
        Ok(text.to_owned())
    } else {
        Err(format!("it has no {PLACEHOLDER}; SQLAlchemy's is sqlite:///{PLACEHOLDER}"))
    }
}

fn missing(engine: &str, flag: &str, variable: &str) -> Error {
    Error::new("MISSING_URL", format!("where the {engine} database is has not been said"))
        .with_hint(format!("give {flag}, or set {variable}: the server tells nobody"))
}

/// The file need not exist, its directory must.
fn absolute(path: &Path) -> Result<String> {
    let refused = |why: String| {
        Error::new("INVALID_FILE", format!("the path of the SQLite file cannot be used: {why}"))
            .with_hint(format!("check --sqlite and {PATH_VARIABLE}"))
    };
    let name = path.file_name().ok_or_else(|| refused("it names no file".to_owned()))?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = fs::canonicalize(parent.unwrap_or(Path::new(".")))
        .map_err(|error| refused(format!("its directory: {error}")))?;
    let path = parent.join(name).into_os_string().into_string();
    path.map_err(|_| refused("it is not UTF-8".to_owned()))
}

/// Escapes what a URL would read as the end of its path, or as an escape.
fn escaped(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for letter in path.chars() {
        match letter {
            '%' | '?' | '#' | ' ' => text.push_str(&format!("%{:02X}", u32::from(letter))),
            _ => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(sqlite: &str, postgres: &str, template: &str) -> UrlArgs {
        UrlArgs {
            sqlite: Some(sqlite.into()),
            postgres: Some(postgres.into()),
            sqlite_url: Some(template.into()),
        }
    }

    #[test]
    fn urls_are_absolute_and_follow_the_template() {
        for (path, template, url) in [
            ("/a.db", "", "sqlite:///a.db"),
            ("/usr/../50% of?.db", "", "sqlite:///50%25%20of%3F.db"),
            ("/a.db", "sqlite:///{path}", "sqlite:////a.db"),
            ("/a b.db", "file:{path}", "file:/a b.db"),
        ] {
            assert_eq!(args(path, "", template).url(Engine::Sqlite).as_deref(), Ok(url));
        }
        let relative = args("a.db", "", "").url(Engine::Sqlite).unwrap();
        assert!(relative.starts_with("sqlite:///") && relative.ends_with("/a.db"), "{relative}");
        assert!(template("sqlite:a.db").is_err());
    }

    #[test]
    fn what_is_missing_is_wrong_usage_with_a_hint() {
        let nothing = args("", "", "");
        for engine in [Engine::Sqlite, Engine::Postgres] {
            let error = nothing.url(engine).unwrap_err();
            assert_eq!(error.exit().code(), 2);
            assert!(error.hint().contains("SWITCHBACK_"), "{}", error.hint());
        }
        assert_eq!(args("/nowhere/a.db", "", "").url(Engine::Sqlite).unwrap_err().exit().code(), 2);
        let error = args("", "postgres://u:secret@h/d", "").both().err().unwrap();
        assert!(!format!("{error:?}").contains("secret"));
    }

    #[test]
    fn the_password_is_not_shown() {
        let args = args("/a.db", "postgres://u:secret@h/d", "");
        assert!(!format!("{args:?}").contains("secret"));
        let urls = args.both().unwrap();
        assert_eq!(urls.url(Engine::Postgres), "postgres://u:secret@h/d");
        assert_eq!(urls.url(Engine::Sqlite), "sqlite:///a.db");
    }
}
