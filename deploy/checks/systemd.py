"""The unit: systemd understands it, and it is confined."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

# Of ten, where ten is what a service without any setting has.
MOST_EXPOSED = 20


def check(root, tools):
    unit = (root / "deploy/systemd/switchback.service").read_text()
    problems = credentials(unit)
    if not shutil.which("systemd-analyze"):
        print("note: systemd-analyze is not here: the unit is not verified")
        return problems
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "switchback.service")
        # A program that is there: it is looked for.
        path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit, flags=re.MULTILINE))
        said = run("systemd-analyze", "verify", path)
        if said:
            problems.append(f"systemd-analyze verify: {said}")
        score = ["--offline=true", f"--threshold={MOST_EXPOSED}", "--no-pager"]
        said = run("systemd-analyze", "security", *score, path, quiet=True)
        if said:
            problems.append(f"systemd-analyze security: {said}")
    return problems + users(root)


def users(root):
    """The user, the group and the directories are made."""
    folder = root / "deploy/systemd"
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "etc").mkdir()
        # In the order in which they are at the start: directories belong to groups.
        said = run("systemd-sysusers", f"--root={directory}", folder / "switchback.sysusers", quiet=True)
        if os.getuid() == 0:
            create = ["--create", folder / "switchback.tmpfiles"]
            said = said or run("systemd-tmpfiles", f"--root={directory}", *create)
            srv = Path(directory, "srv/app")
            if not said and (not srv.is_dir() or srv.stat().st_mode & 0o7777 != 0o2770):
                said = "/srv/app is not made with the mode 2770"
        group = Path(directory, "etc/group")
        if not said and not re.search(r"^app:.*:switchback$", group.read_text(), re.MULTILINE):
            said = "switchback is not in the group of the application"
    return [f"systemd: users and directories: {said}"] if said else []


def run(*command, quiet=False):
    """What is wrong; nothing where it succeeds and says nothing."""
    ran = subprocess.run(command, capture_output=True, text=True)
    said = (ran.stdout + ran.stderr).strip()
    return "" if ran.returncode == 0 and (quiet or not said) else said or f"exit code {ran.returncode}"


def credentials(unit):
    """Each that is given is used, and the other way round."""
    given = set(re.findall(r"^LoadCredential=(\S+):", unit, re.MULTILINE))
    used = set(re.findall(r"=%d/(\S+)", unit))
    return [f"the credential {name} is not used or not given" for name in sorted(given ^ used)]
