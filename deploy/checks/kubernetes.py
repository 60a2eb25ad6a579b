"""The manifests: they are of their schemas, and what they name is there."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

OLDEST, NEWEST = "1.29", "1.37"
# Each component on its own, and the versions that it is for.
COMPONENTS = {
    None: (OLDEST, NEWEST),
    "s3": (OLDEST, NEWEST),
    "grpc-probes": (NEWEST, NEWEST),
    "mesh": (OLDEST, NEWEST),
    "before-1.29": ("1.27", "1.28"),
}


def check(root, tools):
    if not shutil.which("kubectl"):
        print("note: kubectl is not here: kustomizations are not built, their files are looked at")
        return of_files(root)
    problems = []
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        shutil.copytree(root / "deploy/k8s", place / "k8s")
        secrets = [root / "deploy/make-secrets", place / "k8s/secrets", "switchback"]
        subprocess.run(secrets, check=True)
        known = {path.name for path in (place / "k8s/components").iterdir()}
        problems += [f"no version is known for components/{name}" for name in known - set(COMPONENTS)]
        base = []
        for component, versions in COMPONENTS.items():
            objects = build(place, component)
            base = base or objects
            problems += judge(objects, versions, component or "k8s")
        job = kustomize(place / "k8s/migrate")
        problems += judge(job, (OLDEST, NEWEST), "k8s/migrate", beside=base)
    return problems


def build(place, component):
    overlay = place / f"overlay-{component}"
    overlay.mkdir()
    kustomization = {"resources": ["../k8s"]}
    if component:
        kustomization["components"] = [f"../k8s/components/{component}"]
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return kustomize(overlay)


def kustomize(directory):
    ran = subprocess.run(["kubectl", "kustomize", directory], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"error: {directory.name}: {ran.stderr}")
    return list(yaml.safe_load_all(ran.stdout))


def of_files(root):
    objects = []
    for path in sorted((root / "deploy/k8s").glob("**/*.yaml")):
        if path.name != "kustomization.yaml":
            objects += list(yaml.safe_load_all(path.read_text()))
    return of_schema(objects, (OLDEST, NEWEST), "k8s")


def judge(objects, versions, place, beside=()):
    problems = of_schema(objects, versions, place)
    there = {(thing["kind"], thing["metadata"]["name"]) for thing in [*objects, *beside]}
    for thing in objects:
        pod = thing.get("spec", {}).get("template", {}).get("spec")
        if pod:
            found = [*references(pod, there), *confined(pod)]
            problems += [f"{place}: {thing['metadata']['name']}: {problem}" for problem in found]
    return problems


def of_schema(objects, versions, place):
    problems = []
    for version in dict.fromkeys(versions):
        for thing in objects:
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                name = f"{thing['kind']} {thing['metadata']['name']}"
                where = ".".join(map(str, error.path))
                problems.append(f"{place}: {name} ({version}): {where}: {error.message}")
    return problems


def references(pod, there):
    # components/s3 says how this one is made.
    there = there | {("Secret", "switchback-store")}
    volumes = {claim["name"] for claim in pod.get("volumes", [])} | {"data", "state"}
    for volume in pod.get("volumes", []):
        if "secret" in volume and ("Secret", volume["secret"]["secretName"]) not in there:
            yield f"there is no Secret {volume['secret']['secretName']}"
        if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in there:
            yield f"there is no ConfigMap {volume['configMap']['name']}"
    for container in containers(pod):
        for source in container.get("envFrom", []):
            if ("Secret", source["secretRef"]["name"]) not in there:
                yield f"there is no Secret {source['secretRef']['name']}"
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"there is no volume {mount['name']}"
        paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
        for variable in container.get("env", []):
            value = variable["value"]
            if value.startswith("/") and not any(value.startswith(path + "/") for path in paths):
                yield f"{variable['name']} names a file that is not mounted"


def confined(pod):
    settings = pod.get("securityContext", {})
    if not settings.get("runAsNonRoot") or "seccompProfile" not in settings:
        yield "may run as root, or every system call"
    if pod.get("automountServiceAccountToken", True):
        yield "gets a token of the cluster"
    for container in containers(pod):
        wanted = {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        if container.get("securityContext") != wanted:
            yield f"{container['name']} is not confined"
        if "memory" not in container.get("resources", {}).get("limits", {}):
            yield f"{container['name']} may use all the memory"


def containers(pod):
    return pod.get("initContainers", []) + pod["containers"]
