//! A plain application, not written for Switchback: it writes to the database that `DATABASE_URL`
//! names, and keeps a journal of what was acknowledged. `switchback_tests::workload` says more.
//!
//! ```text
//! writer NUMBER SEED DIRECTORY [--rows R] [--rate PER_SECOND] [--size CHANGES] [--count N]
//!        [--stay] [--leash]
//! ```
//!
//! `--leash` ends it with its standard input: whoever started it may be killed.

use std::{env, io, process::ExitCode, str::FromStr};

use switchback_tests::workload::{
    engine::Place,
    run::{Settings, run},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{oneshot, watch},
};

const USAGE: u8 = 64;

// A thread of its own for the signal: SQLite blocks the main one.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> ExitCode {
    let (settings, leash) = match read(env::args().skip(1)) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("writer: {error}");
            return USAGE.into();
        }
    };
    let (sender, stop) = watch::channel(false);
    let mut terminated = match signal(SignalKind::terminate()) {
        Ok(terminated) => terminated,
        Err(error) => {
            eprintln!("writer: SIGTERM cannot be handled: {error}");
            return ExitCode::FAILURE;
        }
    };
    tokio::spawn(async move {
        tokio::select! {
            _ = terminated.recv() => {}
            () = end_of_input(), if leash => {}
        }
        sender.send_replace(true);
        // A dropped sender would count as an answer.
        std::future::pending::<()>().await;
    });
    match run(settings, stop).await {
        Ok(code) => code.into(),
        Err(error) => {
            eprintln!("writer: {error}");
            ExitCode::FAILURE
        }
    }
}

/// On a thread of its own, which the end of the process does not wait for.
async fn end_of_input() {
    let (sender, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = io::copy(&mut io::stdin(), &mut io::sink());
        let _ = sender.send(());
    });
    let _ = ended.await;
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<(Settings, bool), String> {
    let url = env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    let mut settings = Settings {
        writer: number(arguments.next())?,
        seed: number(arguments.next())?,
        directory: arguments.next().ok_or("a directory is missing")?.into(),
        rows: 0,
        rate: 0,
        size: 2,
        count: None,
        stay: false,
        place: Place::of_url(&url)?,
    };
    let mut leash = false;
    while let Some(flag) = arguments.next() {
        match flag.as_str() {
            "--rows" => settings.rows = number(arguments.next())?,
            "--rate" => settings.rate = number(arguments.next())?,
            "--size" => settings.size = number(arguments.next())?,
            "--count" => settings.count = Some(number(arguments.next())?),
            "--stay" => settings.stay = true,
            "--leash" => leash = true,
            other => return Err(format!("{other} is no argument")),
        }
    }
    Ok((settings, leash))
}

fn number<T: FromStr>(text: Option<String>) -> Result<T, String> {
    let text = text.ok_or("a number is missing")?;
    text.parse().map_err(|_| format!("{text} is no number"))
}
