"""Shell scripts, by shellcheck."""

import subprocess


def check(root, tools):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True)
    scripts = [path for path in map(root.joinpath, listed.stdout.splitlines()) if is_shell(path)]
    ran = subprocess.run([tools / "deploy/bin/shellcheck", *scripts], capture_output=True, text=True)
    return [ran.stdout + ran.stderr] if ran.returncode else []


def is_shell(path):
    if not path.is_file() or path.suffix not in ("", ".sh"):
        return False
    with path.open("rb") as file:
        return file.readline() in (b"#!/usr/bin/env bash\n", b"#!/bin/sh\n", b"#!/bin/bash\n")
