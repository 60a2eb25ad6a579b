// Calls Switchback from Node.js; the interface is loaded from proto/ (or --proto):
//
//     npm ci --ignore-scripts
//     node example.mjs status
//
// Each line of the output is one JSON object.

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

// How long a server may be away before an example gives up, and the pause between two tries.
const PATIENCE = 60_000;
const PAUSE = 200;

const here = (path) => fileURLToPath(new URL(path, import.meta.url));

class Switchback {
  constructor({ endpoint, proto, ca, token }) {
    const { DatabaseService, OperationService } = load(proto);
    const credentials = ca ? grpc.credentials.createSsl(ca) : grpc.credentials.createInsecure();
    const options = {
      // Ends a stream whose server is gone without a word.
      "grpc.keepalive_time_ms": 20_000,
      "grpc.keepalive_timeout_ms": 10_000,
      // A plan is as large as a schema.
      "grpc.max_receive_message_length": -1,
    };
    this.databases = new DatabaseService(endpoint, credentials, options);
    this.operations = new OperationService(endpoint, credentials, options);
    this.metadata = new grpc.Metadata();
    if (token) this.metadata.set("authorization", `Bearer ${token}`);
  }

  close() {
    this.databases.close();
    this.operations.close();
  }

  status(database) {
    const deadline = Date.now() + 10_000;
    return new Promise((resolve, reject) => {
      this.databases.getDatabase({ database }, this.metadata, { deadline }, (error, response) =>
        error ? reject(error) : resolve(response.database),
      );
    });
  }

  // Yields the active engine, and again at each switch, for as long as there is a server.
  async *activeEngine(database) {
    let known;
    for (const attempt = new Attempt(); ; await pause(PAUSE)) {
      try {
        for await (const response of this.databases.watchDatabase({ database }, this.metadata)) {
          attempt.worked();
          if (response.database.epoch === known) continue;
          known = response.database.epoch;
          yield response.database;
        }
      } catch (error) {
        attempt.failed(error);
      }
    }
  }

  // Starts an operation and yields its events up to the result.
  //
  // The operation belongs to the server. Where the stream breaks, it is watched from the event after
  // the last one that was seen; where it breaks before the first one, the same request_id attaches
  // to the operation that it has started, if it has.
  async *run(method, request) {
    let operation;
    let seen = 0;
    for (const attempt = new Attempt(); ; await pause(PAUSE)) {
      const watch = { operation_id: operation, from_sequence: seen + 1 };
      try {
        const stream = operation
          ? this.operations.watchOperation(watch, this.metadata)
          : this.databases[method](request, this.metadata);
        for await (const { event } of stream) {
          attempt.worked();
          operation = event.operation_id;
          seen = event.sequence;
          yield event;
          if (event.event === "result") return;
        }
      } catch (error) {
        attempt.failed(error);
      }
    }
  }
}

class Attempt {
  lost = undefined;

  worked() {
    this.lost = undefined;
  }

  // Throws what another try does not change, and what has lasted for too long.
  failed(error) {
    const away = [grpc.status.UNAVAILABLE, grpc.status.UNKNOWN].includes(error.code);
    this.lost ??= Date.now();
    if (!away || Date.now() - this.lost > PATIENCE) throw error;
    console.error(`the connection is lost, trying again: ${error.details}`);
  }
}

function load(proto) {
  const files = ["database", "operation"].map((name) => `switchback/v1/${name}.proto`);
  const settings = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true };
  const definition = protoLoader.loadSync(files, { ...settings, includeDirs: [proto] });
  return grpc.loadPackageDefinition(definition).switchback.v1;
}

// The reason, the hint and the operation of an error, from google.rpc.ErrorInfo.
function told(error) {
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  const types = protoLoader.loadSync(here("errors.proto"), { defaults: true });
  // Messages without a service are decoded by the functions of their definition.
  const decode = (name, buffer) => types[`google.rpc.${name}`].deserialize(buffer);
  for (const detail of bytes ? decode("Status", bytes).details : []) {
    const type = detail.type_url ?? detail.typeUrl;
    if (!type.endsWith("/google.rpc.ErrorInfo")) continue;
    const info = decode("ErrorInfo", detail.value);
    if (info.domain !== "switchback") continue;
    return { reason: info.reason, message: error.details, ...info.metadata };
  }
  return { reason: grpc.status[error.code], message: error.details };
}

const say = (fields) => console.log(JSON.stringify(fields));
const word = (value, prefix) => value.replace(prefix, "").toLowerCase();

// Says what an event is; the exit code where it is the result.
function show({ event: kind, operation_id, sequence, phase, result }) {
  const line = { event: kind, operation_id, sequence };
  if (kind === "phase") line.phase = word(phase.phase, "PHASE_");
  if (kind === "result") {
    line.state = word(result.state, "OPERATION_STATE_");
    line.rows = result.migrate?.rows ?? 0;
    if (result.error) Object.assign(line, { reason: result.error.reason, hint: result.error.hint });
  }
  say(line);
  return kind === "result" ? Number(line.state !== "succeeded") : undefined;
}

async function run(switchback, command, { database, "request-id": request_id }) {
  if (command === "status") {
    const { active_engine, epoch, phase } = await switchback.status(database);
    say({ active_engine: word(active_engine, "ENGINE_"), epoch, phase: word(phase, "PHASE_") });
    return 0;
  }
  if (command === "follow") {
    for await (const { active_engine, epoch } of switchback.activeEngine(database)) {
      say({ active_engine: word(active_engine, "ENGINE_"), epoch });
    }
    return 0;
  }
  let code;
  for await (const event of switchback.run(command, { database, request_id })) code = show(event);
  return code;
}

async function main() {
  const string = (value) => ({ type: "string", default: value });
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      endpoint: string("127.0.0.1:50051"),
      // Of the server's authority: calls go over TLS.
      ca: string(),
      // It needs TLS beyond loopback.
      "token-file": string(),
      database: string("default"),
      "request-id": string(""),
      proto: string(here("../../../proto")),
    },
  });
  const [command] = positionals;
  if (!["status", "follow", "plan", "migrate"].includes(command)) {
    console.error("usage: node example.mjs [options] status|follow|plan|migrate");
    return 2;
  }
  const { endpoint, proto, ca, "token-file": tokenFile } = values;
  const token = tokenFile ? readFileSync(tokenFile, "utf8").trim() : process.env.SWITCHBACK_TOKEN;
  const switchback = new Switchback({ endpoint, proto, ca: ca && readFileSync(ca), token });
  try {
    return await run(switchback, command, values);
  } catch (error) {
    if (error.code === undefined) throw error;
    say({ event: "error", ...told(error) });
    return error.code === grpc.status.UNAVAILABLE ? 4 : 5;
  } finally {
    switchback.close();
  }
}

process.exitCode = await main();
