"""compose.yaml: it is a Compose file, what it names is there, and containers can do little."""

import json
import re

import compose_spec
import yaml

# The images of others, which need what they need.
OTHERS = {"postgres", "store"}
CONFINED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}


def check(root, tools):
    path = root / "deploy/compose.yaml"
    project = yaml.safe_load(path.read_text())
    try:
        # As JSON: the merges of YAML are carried out by now.
        compose_spec.PyCompose.from_json(json.dumps(project))
    except ValueError as error:
        return [f"compose.yaml: {error}"]
    problems = []
    for name, service in project["services"].items():
        found = [*files(root, service), *references(project, service), *secrets(project, service)]
        if name not in OTHERS:
            found += confined(service)
        problems += [f"compose.yaml: {name}: {problem}" for problem in found]
    return problems


def files(root, service):
    """Bind mounts of files that are not there become empty directories."""
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith(".") and not (root / "deploy" / source).is_file():
            yield f"there is no {source}"
    build = service.get("build")
    if build:
        stages = re.findall(r"^FROM .* AS (\w+)$", (root / "Dockerfile").read_text(), re.MULTILINE)
        if build["target"] not in stages:
            yield f"the Dockerfile has no stage {build['target']}"


def references(project, service):
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source[0] not in "./" and source not in project["volumes"]:
            yield f"there is no volume {source}"
    for other in service.get("depends_on", {}):
        if other not in project["services"]:
            yield f"there is no service {other}"


def secrets(project, service):
    given = set(service.get("secrets", []))
    for secret in given - set(project["secrets"]):
        yield f"there is no secret {secret}"
    for value in service.get("environment", {}).values():
        named = re.fullmatch(r"/run/secrets/(.*)", str(value))
        if not named:
            continue
        # A variable that chooses one: any of them will do.
        pattern = re.sub(r"\\\$\\\{.*\\\}", ".*", re.escape(named[1]))
        if not any(re.fullmatch(pattern, secret) for secret in given):
            yield f"is not given the secret {named[1]}"


def confined(service):
    for setting, wanted in CONFINED.items():
        if service.get(setting) != wanted:
            yield f"{setting} is not {wanted}"
    if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", service.get("user", "")):
        yield "runs as root"
