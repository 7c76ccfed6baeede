"""The demo: from a signed release to a streamed answer, on a throwaway host.

`python -m tests.lab.demo up|down|env|shell`; the Makefile's demo targets call it.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
from openai import OpenAI
from rich.table import Table

from b3iq.errors import B3iqError
from tests.lab import host as hosts
from tests.lab import image, inventory, operate
from tests.lab.cli import run
from tests.lab.errors import LabError
from tests.lab.forward import Forward
from tests.lab.host import ROOT, Host
from tests.lab.progress import Steps, console

NAME = "demo"
PROMPT = "Hello!"
STOP_S = 5.0
RELEASE = ROOT / "build" / "release"


@dataclass(frozen=True)
class Demo:
    """Everything of the demo that is not the host itself, below one 0700 directory."""

    directory: Path = ROOT / "build" / "demo"

    @property
    def inventory(self) -> Path:
        """As an operator would write it."""
        return self.directory / "inventory"

    @property
    def key_file(self) -> Path:
        """The local key, 0600."""
        return self.directory / "local-key"

    @property
    def password_file(self) -> Path:
        """The owner's password, 0600."""
        return self.directory / "owner-password"

    @property
    def complete(self) -> Path:
        """There once this host has been installed and has answered."""
        return self.directory / "complete"

    @property
    def journal(self) -> Path:
        """What the host said last, kept when a run fails."""
        return self.directory / "failed-host.log"

    @property
    def forward(self) -> Forward:
        """The SSH forward of the node's listener."""
        return Forward(self.directory)


def up(demo: Demo) -> None:
    """Do all of it; a host that was never complete does not survive a failure."""
    demo.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        _up(demo, Steps(total=8))
    except BaseException:
        if not demo.complete.exists():
            _keep_journal(demo)
            down(demo)
        raise


def _up(demo: Demo, steps: Steps) -> None:
    with steps.step("Build a release and sign it with throwaway keys"):
        _run([sys.executable, "-m", "release", "demo", "--output", str(RELEASE)])
    with steps.step("Boot a throwaway systemd host"):
        host = _host(demo)
        console.print(f"      {host.name} at {host.address}, reached by SSH alone")
    with steps.step("Install with playbooks/install.yml, over SSH"):
        root = RELEASE / "trusted-root.json"
        inventory.write(host, demo.inventory, RELEASE / "repository", root)
        where = str(demo.inventory.relative_to(ROOT))
        console.print(f"      ansible-playbook -i {where} playbooks/install.yml")
        _run([*_ansible(), "-i", where, "playbooks/install.yml"])
    with steps.step("Forward the node's loopback listener to this machine"):
        base_url = demo.forward.open(host)
        console.print(f"      {base_url}")
    with steps.step("Claim the node with its setup token"):
        claimed = operate.claim(host, base_url, demo.password_file)
        console.print(f"      {'claimed by' if claimed else 'already owned by'} {operate.OWNER}")
    with steps.step("Make a local key, into a file of mode 0600"):
        operate.make_key(host, base_url, demo.key_file, NAME)
        console.print(f"      {demo.key_file.relative_to(ROOT)}")
    with steps.step("Ask for a chat completion, streamed"):
        receipt_hash = ask(base_url, demo.key_file, PROMPT)
        console.print(f"      receipt {receipt_hash}")
    with steps.step("Ask systemd how exposed the services are (0 is best, 10 worst)"):
        console.print(_exposures(host))
    demo.complete.touch(mode=0o600)
    _farewell(demo, base_url, steps)


def _host(demo: Demo) -> Host:
    try:
        return hosts.get(NAME)
    except LabError:
        _forget(demo)
        hosts.destroy(NAME)
    with console.status("      building the base image if the cache lacks it (half a minute)"):
        image.ensure()
    with console.status("      booting"):
        return hosts.create(NAME)


def _ansible() -> list[str]:
    return [sys.executable, "-m", "ansible", "playbook"]


def _run(command: list[str]) -> None:
    """Run a long step whose own output is its progress."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    if console.is_terminal:
        environment["ANSIBLE_FORCE_COLOR"] = "1"
    # In a group of its own, so that an interrupt ends all that it started before the host goes.
    child = subprocess.Popen(command, cwd=ROOT, env=environment, process_group=0)
    try:
        status = child.wait()
    except BaseException:
        with contextlib.suppress(subprocess.TimeoutExpired):
            os.killpg(child.pid, signal.SIGTERM)
            child.wait(STOP_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        raise
    if status:
        raise LabError(
            f"`{shlex.join(command[2:])}` exited {status}; its output is above.",
            remedy="Correct what it names and run `make demo` again.",
        )


def ask(base_url: str, key_file: Path, prompt: str) -> str:
    """Stream one answer to the terminal with the OpenAI SDK; returns the receipt's hash."""
    client = OpenAI(base_url=f"{base_url}/v1", api_key=key_file.read_text().strip(), max_retries=0)
    model = client.models.list().data[0].id
    console.print(f"      {model} is asked: [bold]{prompt}[/]\n      > ", end="")
    receipt_hash = ""
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": prompt}],
        max_tokens=128,
        temperature=0,
        stream=True,
    )
    for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            console.print(chunk.choices[0].delta.content, end="", style="green", markup=False)
        extension = (chunk.model_extra or {}).get("b3iq") or {}
        receipt_hash = extension.get("receipt_hash", receipt_hash)
    console.print()
    if not receipt_hash:
        raise LabError("The answer came without a receipt.")
    return receipt_hash


def _exposures(host: Host) -> Table:
    table = Table("Unit", "Exposure", "systemd says")
    for unit in operate.UNITS:
        score, word = operate.exposure(host, unit)
        table.add_row(unit, f"{score:.1f}", word)
    return table


def _farewell(demo: Demo, base_url: str, steps: Steps) -> None:
    console.print(f"\n[bold green]The node is up[/] after {steps.elapsed_s():.0f} s.")
    page = base_url.replace("127.0.0.1", "localhost")
    console.print(f"  Console   {page}/  as [bold]{operate.OWNER}[/], with the password in")
    console.print(f"            {demo.password_file.relative_to(ROOT)}")
    console.print('  API       eval "$(make demo-env)"', markup=False)
    console.print("  Shell     make demo-shell")
    console.print("  The end   make demo-down")


def _keep_journal(demo: Demo) -> None:
    """Save what the host said, since it is about to go."""
    try:
        said = hosts.get(NAME).run("journalctl --no-pager -n 200 -u 'b3iq-*'", check=False).stdout
    except (B3iqError, OSError, subprocess.TimeoutExpired):
        return
    demo.journal.write_text(said)
    console.print(f"      the services' journal is in {demo.journal.relative_to(ROOT)}")


def _forget(demo: Demo) -> None:
    """What belonged to a host that is gone is of no use, and secret."""
    demo.forward.close()
    for path in (demo.key_file, demo.password_file, demo.complete):
        path.unlink(missing_ok=True)
    shutil.rmtree(demo.inventory, ignore_errors=True)


def down(demo: Demo) -> bool:
    """Destroy the host and forget its secrets; False where there was nothing."""
    _forget(demo)
    return hosts.destroy(NAME)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """The demo's host: install it, use it, throw it away."""


@cli.command("up")
def up_command() -> None:
    """Install a throwaway host and get a streamed answer from it."""
    up(Demo())


@cli.command("down")
def down_command() -> None:
    """Destroy the demo's host."""
    gone = down(Demo())
    console.print("The demo's host is gone." if gone else "There was no demo host.")


@cli.command()
def env() -> None:
    """Print the demo's variables as shell assignments."""
    demo = Demo()
    base_url = demo.forward.base_url()
    if base_url is None or not demo.key_file.exists():
        raise LabError("The demo is not up.", remedy="Run `make demo`.")
    values = {
        "B3IQ_LOCAL_BASE_URL": base_url,
        "B3IQ_LOCAL_KEY_FILE": str(demo.key_file),
        "B3IQ_RELEASE_REPOSITORY": str(RELEASE / "repository"),
    }
    for name, value in values.items():
        click.echo(f"{name}={shlex.quote(value)}")
    click.echo(f"export {' '.join(values)}")


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1)
def shell(command: tuple[str, ...]) -> None:
    """Open a root shell on the demo's host, or run COMMAND there and exit as it does."""
    options = ("-t",) if not command and sys.stdin.isatty() else ()
    line = hosts.get(NAME).ssh(*command, options=options)
    os.execvp(line[0], line)  # noqa: S606  an argument list, no shell on this side


def main() -> None:
    """Entry point of `python -m tests.lab.demo`."""
    run(cli, "python -m tests.lab.demo")


if __name__ == "__main__":
    main()
