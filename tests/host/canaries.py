"""Looking for secrets on the whole host: in its journal, its processes and its files."""

from __future__ import annotations

import base64
import json
import urllib.parse

from tests.lab.host import Host

# Prints where a needle is found, never the needle. Read from standard input, so that the
# needles themselves are in no argument. Its own process is the one that it skips.
SEARCH = """
import json, os, pathlib, subprocess
needles = {{name: [bytes.fromhex(form) for form in forms] for name, forms in {needles}.items()}}
def look(place, data):
    for name, forms in needles.items():
        if any(form in data for form in forms):
            print(name, "in", place)
journal = subprocess.run(["journalctl", "--no-pager", "-o", "export"], capture_output=True)
look("the journal", journal.stdout)
for process in pathlib.Path("/proc").glob("[0-9]*"):
    if process.name in (str(os.getpid()), str(os.getppid())):
        continue
    for file in ("cmdline", "environ"):
        try:
            look(f"{{file}} of {{(process / 'comm').read_text().strip()}}",
                 (process / file).read_bytes())
        except OSError:
            pass
# The models are the release's own files, and list the answers that they are tested with.
models = "/var/lib/b3iq/models/"
for root in ("/var/log", "/etc", "/var/lib/b3iq", "/run/b3iq", "/tmp", "/var/tmp", "/root"):
    for file in pathlib.Path(root).rglob("*"):
        if file.is_file() and not file.is_symlink() and not str(file).startswith(models):
            look(str(file), file.read_bytes())
"""


def forms(secret: str | bytes) -> list[bytes]:
    """Raw, base64 (in each alignment), hex, URL- and JSON-escaped."""
    raw = secret if isinstance(secret, bytes) else secret.encode()
    aligned = [base64.b64encode(raw[skip:]).rstrip(b"=")[:-2] for skip in range(3)]
    safe = [form.replace(b"+", b"-").replace(b"/", b"_") for form in aligned]
    escaped = [urllib.parse.quote(raw).encode()]
    if isinstance(secret, str):
        escaped.append(json.dumps(secret)[1:-1].encode())
    return [raw, raw.hex().encode(), *aligned, *safe, *escaped]


def search(host: Host, needles: dict[str, str | bytes]) -> list[str]:
    """Where on the host a needle is."""
    spelt = {name: [form.hex() for form in forms(secret)] for name, secret in needles.items()}
    found = host.run("python3 -", stdin=SEARCH.format(needles=json.dumps(spelt)), timeout=90)
    return found.stdout.splitlines()


def found_in(places: dict[str, bytes], needles: dict[str, str | bytes]) -> list[str]:
    """In which of these bytes a needle is, in any form."""
    return [
        f"{name} in {place}"
        for name, secret in needles.items()
        for place, data in places.items()
        if any(form in data for form in forms(secret))
    ]


def sealed(host: Host, name: str) -> bytes:
    """A secret that rests encrypted: what only the node should ever see."""
    path = f"/etc/credstore.encrypted/{name}"
    shown = host.run(f"systemd-creds decrypt --name={name} {path} - | base64 -w 0").stdout
    return decoded(shown)


def decoded(shown: str) -> bytes:
    """Bytes that came over SSH as base64, whatever they are."""
    return base64.b64decode(shown)
