"""The Dockerfile: what it copies is there, and what it makes can do little."""

import fnmatch
import json
import re
import subprocess
import tomllib
from dataclasses import dataclass, field


@dataclass
class Stage:
    """`FROM image AS name`, and the instructions up to the next one: (keyword, rest)."""

    name: str
    image: str
    instructions: list = field(default_factory=list)

    def all(self, keyword):
        return [rest for word, rest in self.instructions if word == keyword]


def parse(text):
    """The stages, in order. Lines that end in a backslash go on; comments between them do not count."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    stages = []
    for instruction in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        keyword, rest = instruction.split(None, 1)
        if keyword == "FROM":
            image, name = re.fullmatch(r"(\S+) AS (\S+)", rest).groups()
            stages.append(Stage(name, image))
        else:
            stages[-1].instructions.append((keyword, rest))
    return stages


def lineage(stages, stage):
    """The stages that it is built on, the first one first, and itself."""
    below = [other for other in stages if other.name == stage.image]
    return (lineage(stages, below[0]) if below else []) + [stage]


def copies(stage):
    """Each COPY: the stage that it is from or None, its sources, its target."""
    for rest in stage.all("COPY"):
        source = re.match(r"--from=(\S+)\s+", rest)
        words = rest[source.end() if source else 0 :].split()
        yield source and source[1], words[:-1], words[-1]


def check(root, tools):
    text = (root / "Dockerfile").read_text()
    stages = parse(text)
    problems = linted(root, tools)
    names = {stage.name for stage in stages}
    for stage in stages:
        for origin, sources, _ in copies(stage):
            if origin and origin not in names:
                problems.append(f"stage {stage.name} copies from {origin}, which is no stage")
            for source in [] if origin else sources:
                if not (root / source).exists():
                    problems.append(f"stage {stage.name} copies {source}, which is not there")
                elif ignored(root, source):
                    problems.append(f"stage {stage.name} copies {source}, which is ignored")
                else:
                    # A pattern for what builds leave behind may meet a module of that name.
                    lost = [path for path in below(root, source) if ignored(root, path)]
                    problems += [f"stage {stage.name} lacks {path}, which is ignored" for path in lost]
    for name in ("sample", "switchback"):
        stage = next(stage for stage in stages if stage.name == name)
        problems += [f"stage {name}: {problem}" for problem in final(stages, stage)]
    if stages[-1].name != "switchback":
        problems.append("the last stage, which is built unless one is named, is not switchback")
    return [f"Dockerfile: {problem}" for problem in problems + compiler(root, stages)]


def linted(root, tools):
    # DL3008: Debian keeps no version that has been replaced. DL3066: the image makes that user.
    command = [tools / "deploy/bin/hadolint", "--no-color", "--ignore", "DL3008"]
    command += ["--ignore", "DL3066", root / "Dockerfile"]
    ran = subprocess.run(command, capture_output=True, text=True)
    return (ran.stdout + ran.stderr).splitlines() if ran.returncode else []


def below(root, source):
    """What a build reads of a copied directory."""
    for path in (root / source).rglob("*"):
        if path.suffix in (".rs", ".toml", ".sql") and not path.is_relative_to(root / "client/examples"):
            yield path.relative_to(root).as_posix()


def ignored(root, source):
    """By .dockerignore, whose last pattern that fits counts."""
    out = False
    for pattern in (root / ".dockerignore").read_text().splitlines():
        if not pattern or pattern.startswith("#"):
            continue
        takes_back = pattern.startswith("!")
        pattern = pattern.lstrip("!")
        parts = source.rstrip("/").split("/")
        above = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        if any(fnmatch.fnmatch(path, pattern) for path in above):
            out = not takes_back
    return out


def final(stages, stage):
    instructions = [pair for each in lineage(stages, stage) for pair in each.instructions]
    users = [rest for word, rest in instructions if word == "USER"]
    if not users or not re.fullmatch(r"[1-9]\d*(:[1-9]\d*)?", users[-1]):
        yield "runs as root, or as a name that Kubernetes cannot tell from root"
    if stage.name != "switchback":
        return
    health = [rest for word, rest in instructions if word == "HEALTHCHECK"]
    if not health or json.loads(health[-1].split("CMD", 1)[1])[:2] != ["switchback", "health"]:
        yield "is not checked by `switchback health`"
    if ("STOPSIGNAL", "SIGTERM") not in instructions:
        yield "is not ended by SIGTERM"


def compiler(root, stages):
    wanted = tomllib.loads((root / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    built = re.match(r"rust:([\d.]+)-", stages[0].image)
    number = lambda version: [int(part) for part in version.split(".")]
    if not built or number(built[1]) < number(wanted):
        return [f"is built by {stages[0].image}, and Cargo.toml asks for Rust {wanted}"]
    return []
