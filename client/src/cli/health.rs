//! `health`: is the server there, its service, the database's active engine, and the way back.

use serde::Serialize;
use switchback_client::{Health, Result, exit::Exit};

use super::{Session, output::Grid};

#[derive(Serialize)]
struct Line<'a> {
    service: &'a str,
    status: &'static str,
}

/// Asks for the named services, or for all that a database has where none is named.
pub(crate) async fn run(session: &mut Session, named: Vec<String>) -> Result<Exit> {
    let client = session.connect().await?;
    let asked = if named.is_empty() { all(&session.database()) } else { counted(named) };
    let mut grid = Grid::new(["SERVICE", "STATUS"]);
    let mut exit = Exit::Done;
    for Asked { service, counts } in &asked {
        let health = client.health(service).await?;
        if *counts && health != Health::Serving {
            exit = Exit::Unreachable;
        }
        let status = word(health);
        if session.output.is_json() {
            session.output.json(&Line { service, status });
        } else {
            grid.row([if service.is_empty() { "(process)" } else { service }, status]);
        }
    }
    if !session.output.is_json() {
        session.output.text(&grid.to_string());
    }
    Ok(exit)
}

/// A name of `grpc.health.v1`, and whether the exit code depends on it.
struct Asked {
    service: String,
    counts: bool,
}

fn all(database: &str) -> Vec<Asked> {
    let mut asked = counted(vec![
        String::new(),
        "switchback.v1.DatabaseService".to_owned(),
        format!("database/{database}"),
    ]);
    // Applications are served all the same where there is no way back, or one that lags.
    asked.push(Asked { service: format!("rollback/{database}"), counts: false });
    asked
}

fn counted(services: Vec<String>) -> Vec<Asked> {
    services.into_iter().map(|service| Asked { service, counts: true }).collect()
}

fn word(health: Health) -> &'static str {
    match health {
        Health::Serving => "serving",
        Health::NotServing => "not_serving",
        Health::Unknown => "unknown",
    }
}
