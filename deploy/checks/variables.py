"""Environment variables: the programs know each that a deployment sets."""

import re

# The SDK's own, and those of branches that are not merged yet.
OTHERS = {"AWS_REGION"}
NAME = r"(?:SWITCHBACK|AWS|OTEL)_[A-Z0-9_]+"
# deploy/make-secrets has some of its own.
FILES = ("Dockerfile", "deploy/compose.yaml", "deploy/k8s/**/*.yaml", "deploy/systemd/*")


def check(root, tools):
    known = OTHERS | {
        name
        for folder in ("server/src", "client/src")
        for path in (root / folder).rglob("*.rs")
        for name in re.findall(rf'"({NAME})"', path.read_text())
    }
    return [
        f"{path.relative_to(root)}: no program knows {name}"
        for pattern in FILES
        for path in sorted(root.glob(pattern))
        for name in sorted(set(set_in(path.read_text())) - known)
    ]


def set_in(text):
    """`NAME: value`, `NAME=value` and `name: NAME`, whatever stands before it on the line."""
    for line in text.splitlines():
        if "make-secrets" not in line:
            yield from re.findall(rf"\b({NAME})(?:: |=|, value|, \$patch)", line)
