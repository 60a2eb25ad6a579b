//! The schema of a snapshot by `pg_dump`.

use std::time::Duration;

use tokio::{io::AsyncReadExt, process::ChildStdout, time::timeout};

use super::programs::{Program, run};
use crate::{
    backup::{
        chunk::{CHUNK, ChunkRef, Sink},
        manifest::SchemaDump,
    },
    db::postgres::Postgres,
    error::{Error, Reason, Result},
};

/// Ten thousand tables take a few minutes; whoever takes this long hangs.
const BOUND: Duration = Duration::from_secs(30 * 60);

/// Dumps the schema as the snapshot shows it, through a sink; with its bytes.
pub(super) async fn dump_schema(
    program: &Program,
    postgres: &Postgres,
    snapshot: &str,
    sink: &impl Sink,
) -> Result<(SchemaDump, u64)> {
    let mut command = program.command(postgres);
    command.args(["--format=custom", "--compress=0", "--schema-only", "--no-password"]);
    // A subscription that is restored would take its slot. The tables are locked already, so that
    // pg_dump waits for nobody.
    command.args(["--exclude-schema=switchback", "--no-subscriptions"]);
    command.args(["--lock-wait-timeout=10s", "--snapshot", snapshot]);
    let work = run(command, postgres.secret(), async |output| store(output, sink).await);
    let (chunks, said) = timeout(BOUND, work).await.unwrap_or_else(|_| {
        let minutes = BOUND.as_secs() / 60;
        Err(Error::new(
            Reason::TargetFailed,
            format!("pg_dump was not ready within {minutes} minutes"),
        ))
    })?;
    if !said.success {
        return Err(Error::new(Reason::TargetFailed, format!("pg_dump: {}", said.summary())).hint(
            "pg_dump has to be able to read every table; run it by hand to see all that it says",
        ));
    }
    let bytes = chunks.iter().map(|chunk| u64::from(chunk.length)).sum();
    let version = program.version.clone();
    Ok((SchemaDump { pg_dump: version, chunks, own_triggers: Vec::new() }, bytes))
}

/// Cuts the archive into chunks.
async fn store(mut output: ChildStdout, sink: &impl Sink) -> Result<Vec<ChunkRef>> {
    let mut chunks = Vec::new();
    loop {
        let mut chunk = Vec::with_capacity(CHUNK);
        while chunk.len() < CHUNK {
            let room = (CHUNK - chunk.len()) as u64;
            let read = (&mut output).take(room).read_buf(&mut chunk).await;
            let read = read.map_err(|error| {
                Error::new(Reason::Internal, "the output of pg_dump broke off").caused_by(error)
            })?;
            if read == 0 {
                break;
            }
        }
        if chunk.is_empty() {
            return Ok(chunks);
        }
        chunks.push(sink.put(chunk).await?);
    }
}
