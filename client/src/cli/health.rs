//! `health`: is the server there, its service, the database's active engine, and the way back.

use serde::Serialize;
use switchback_client::{Health, Result, exit::Exit};

use super::{Session, output::Grid};

#[derive(Serialize)]
struct Line<'a> {
    service: &'a str,
    status: &'static str,
}

pub(crate) async fn run(session: &mut Session) -> Result<Exit> {
    let client = session.connect().await?;
    let services = [
        String::new(),
        "switchback.v1.DatabaseService".to_owned(),
        format!("database/{}", session.database()),
    ];
    let way_back = format!("rollback/{}", session.database());
    let mut grid = Grid::new(["SERVICE", "STATUS"]);
    let mut exit = Exit::Done;
    for service in services.iter().chain([&way_back]) {
        let health = client.health(service).await?;
        // Applications are served all the same where there is no way back, or one that lags.
        if health != Health::Serving && *service != way_back {
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

fn word(health: Health) -> &'static str {
    match health {
        Health::Serving => "serving",
        Health::NotServing => "not_serving",
        Health::Unknown => "unknown",
    }
}
