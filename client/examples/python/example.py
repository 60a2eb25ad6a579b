"""Calls Switchback from Python. The stubs are generated from proto/:

    python3 -m venv venv && venv/bin/pip install -r requirements.txt
    mkdir -p stubs
    venv/bin/python -m grpc_tools.protoc -I ../../../proto --python_out=stubs \\
        --grpc_python_out=stubs ../../../proto/switchback/v1/*.proto
    PYTHONPATH=stubs venv/bin/python example.py status

Each line of the output is one JSON object.
"""

import argparse
import json
import os
import sys
import time

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from switchback.v1 import common_pb2, database_pb2, database_pb2_grpc, operation_pb2, operation_pb2_grpc

# How long a server may be away before an example gives up, and the pause between two tries.
PATIENCE = 60
PAUSE = 0.2
# Ends a stream whose server is gone without a word.
KEEPALIVE = [("grpc.keepalive_time_ms", 20_000), ("grpc.keepalive_timeout_ms", 10_000)]
# gRPC waits for up to two minutes between two attempts unless it is told.
RECONNECT = [("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 2_000)]
# A plan is as large as a schema.
LIMITS = [("grpc.max_receive_message_length", -1)]


class Switchback:
    def __init__(self, endpoint, ca=None, token=None):
        options = KEEPALIVE + RECONNECT + LIMITS
        if ca:
            self.channel = grpc.secure_channel(endpoint, grpc.ssl_channel_credentials(ca), options)
        else:
            self.channel = grpc.insecure_channel(endpoint, options)
        self.metadata = [("authorization", f"Bearer {token}")] if token else []
        self.databases = database_pb2_grpc.DatabaseServiceStub(self.channel)
        self.operations = operation_pb2_grpc.OperationServiceStub(self.channel)

    def close(self):
        """Ends the calls that are open: the interpreter may wait for them at its end."""
        self.channel.close()

    def status(self, database):
        request = database_pb2.GetDatabaseRequest(database=database)
        return self.databases.GetDatabase(request, metadata=self.metadata, timeout=10).database

    def active_engine(self, database):
        """Yields the active engine, and again at each switch, for as long as there is a server."""
        request = database_pb2.WatchDatabaseRequest(database=database)
        known = None
        for attempt in tries():
            try:
                for response in self.databases.WatchDatabase(request, metadata=self.metadata):
                    attempt.worked()
                    state = response.database
                    if state.epoch != known:
                        known = state.epoch
                        yield state
            except grpc.RpcError as error:
                attempt.failed(error)

    def run(self, call, request):
        """Starts an operation and yields its events up to the result.

        The operation belongs to the server. Where the stream breaks, it is watched from the event
        after the last one that was seen; where it breaks before the first one, the same request_id
        attaches to the operation that it has started, if it has.
        """
        operation, seen, ended = None, 0, False
        for attempt in tries():
            try:
                if operation is None:
                    stream = call(request, metadata=self.metadata)
                else:
                    watch = operation_pb2.WatchOperationRequest(
                        operation_id=operation, from_sequence=seen + 1
                    )
                    stream = self.operations.WatchOperation(watch, metadata=self.metadata)
                for response in stream:
                    attempt.worked()
                    event = response.event
                    operation, seen = event.operation_id, event.sequence
                    ended = event.WhichOneof("event") == "result"
                    yield event
            except grpc.RpcError as error:
                if not ended:
                    attempt.failed(error)
            if ended:
                return


class Attempt:
    def __init__(self):
        self.lost = None

    def worked(self):
        self.lost = None

    def failed(self, error):
        """Raises what another try does not change, and what has lasted for too long."""
        away = error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN)
        self.lost = self.lost or time.monotonic()
        if not away or time.monotonic() - self.lost > PATIENCE:
            raise error
        print(f"the connection is lost, trying again: {error.details()}", file=sys.stderr)


def tries():
    attempt = Attempt()
    while True:
        yield attempt
        time.sleep(PAUSE)


def told(error):
    """The reason, the hint and the operation of an error, from google.rpc.ErrorInfo."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else []:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info) and info.domain == "switchback":
            return {"reason": info.reason, "message": error.details(), **info.metadata}
    return {"reason": error.code().name, "message": error.details()}


def say(**fields):
    print(json.dumps(fields), flush=True)


def engine(value):
    return common_pb2.Engine.Name(value).removeprefix("ENGINE_").lower()


def phase(value):
    return common_pb2.Phase.Name(value).removeprefix("PHASE_").lower()


def show(event):
    """Says what an event is; the exit code where it is the result."""
    kind = event.WhichOneof("event")
    more = {"phase": phase(event.phase.phase)} if kind == "phase" else {}
    if kind == "result":
        result = event.result
        state = operation_pb2.OperationState.Name(result.state).removeprefix("OPERATION_STATE_")
        more = {"state": state.lower(), "rows": result.migrate.rows}
        if result.HasField("error"):
            more |= {"reason": result.error.reason, "hint": result.error.hint}
    say(event=kind, operation_id=event.operation_id, sequence=event.sequence, **more)
    if kind == "result":
        return 0 if event.result.state == operation_pb2.OPERATION_STATE_SUCCEEDED else 1
    return None


def main():
    parser = argparse.ArgumentParser(description="Calls Switchback from Python")
    parser.add_argument("--endpoint", default="127.0.0.1:50051", help="host:port")
    parser.add_argument("--ca", help="file with the server's authority: calls go over TLS")
    parser.add_argument("--token-file", help="file with a token; it needs TLS beyond loopback")
    parser.add_argument("--database", default="default")
    parser.add_argument("--request-id", default="", help="what makes a repeated request attach")
    parser.add_argument("command", choices=["status", "follow", "plan", "migrate"])
    args = parser.parse_args()
    switchback = Switchback(args.endpoint, read(args.ca), token(args.token_file))
    try:
        return run(switchback, args)
    except grpc.RpcError as error:
        say(event="error", **told(error))
        return 4 if error.code() == grpc.StatusCode.UNAVAILABLE else 5
    finally:
        switchback.close()


def run(switchback, args):
    named = {"database": args.database, "request_id": args.request_id}
    if args.command == "status":
        state = switchback.status(args.database)
        say(active_engine=engine(state.active_engine), epoch=state.epoch, phase=phase(state.phase))
        return 0
    if args.command == "follow":
        for state in switchback.active_engine(args.database):
            say(active_engine=engine(state.active_engine), epoch=state.epoch)
        return 0
    if args.command == "plan":
        call, request = switchback.databases.Plan, database_pb2.PlanRequest(**named)
    else:
        call, request = switchback.databases.Migrate, database_pb2.MigrateRequest(**named)
    for event in switchback.run(call, request):
        code = show(event)
    return code


def read(path):
    if not path:
        return None
    with open(path, "rb") as file:
        return file.read()


def token(path):
    return read(path).decode().strip() if path else os.environ.get("SWITCHBACK_TOKEN")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        # The operation goes on: the same request_id attaches to it.
        sys.exit(130)
