"""`instep new`: a client or a rule to start from, whole enough to pass `instep check` and `instep test` at once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from engine.cli.schemas import first_line, write_schemas
from engine.facts.outside import ROLES, Connector, installed_actions, installed_connectors
from engine.language.files import CLIENTS, own_files, read_files
from engine.language.json_schema import kind_of
from engine.language.known import Known, known_in
from engine.problems import did_you_mean

_CLIENT_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_RULE_ID = re.compile(r"[a-z][a-z0-9_]*")
_SECRET = re.compile(r"key|token|secret|password")
_USUAL = "sync"  # the group of rules that only tell people


class Refusal(ValueError):  # noqa: N818
    """It cannot be made; the message says why, and what to do instead."""


def new_client(root: Path, name: str) -> list[Path]:
    """A client's folder with its `client.yaml` and a first scenario; the paths of both. Raises `Refusal`."""
    if not _CLIENT_NAME.fullmatch(name):
        raise Refusal(f'"{name}" is no name for a client: lower-case letters, digits, - and _, first a letter')
    folder = f"{CLIENTS}/{name}"
    files = {f"{folder}/client.yaml": _client_yaml(name), f"{folder}/{name}.test.yaml": _CLIENT_TEST.format(name=name)}
    return _written(root, files)


def new_rule(root: Path, rule_id: str, client: str | None, group: str | None) -> list[Path]:
    """A file with one rule, and one with its scenario; the paths of both. Raises `Refusal`."""
    if not _RULE_ID.fullmatch(rule_id):
        raise Refusal(f'"{rule_id}" is no id for a rule: lower-case letters, digits and _, first a letter')
    known = known_in(read_files(root), installed_actions(), installed_connectors())
    if rule_id in known.rules:
        raise Refusal(f"there is a rule {rule_id} at {known.rules[rule_id]}: change it there, or override it in a client's file")
    wanted = group or (_USUAL if _USUAL in known.groups else known.groups[-1] if known.groups else _USUAL)
    if wanted not in known.groups:
        raise Refusal(f'there is no group "{wanted}"{did_you_mean(wanted, known.groups)}')
    folder = _folder(root, client, known)
    words = {"id": rule_id, "group": wanted, "groups": ", ".join(known.groups)}
    return _written(
        root, {f"{folder}/{rule_id}.yaml": fill(_RULE, words), f"{folder}/{rule_id}.test.yaml": fill(_RULE_TEST, words)}
    )


def _folder(root: Path, client: str | None, known: Known) -> str:
    """Where a new rule goes: to the client named, or to the only one, or to a base pack of one's own."""
    own = own_files(root)
    mine = own.folders(CLIENTS)
    if client is not None:
        if client not in known.clients:
            raise Refusal(f'there is no client "{client}"{did_you_mean(client, known.clients)}; make it with instep new client')
        return f"{CLIENTS}/{client}"
    if any(own.below("rules/base")):
        return "rules/base"
    if len(mine) == 1:
        return f"{CLIENTS}/{mine[0]}"
    raise Refusal(
        "say whose rule it is, with --client NAME" + (f" (one of: {', '.join(mine)})" if mine else "; instep new client")
    )


def _written(root: Path, files: dict[str, str]) -> list[Path]:
    """Writes YAML files that are not there yet, each under the line that names its schema."""
    kinds = {name: kind_of(name) or "rules" for name in files}
    return write_all(root, {name: f"{first_line(name, kinds[name])}\n{text}" for name, text in files.items()})


def write_all(root: Path, files: dict[str, str]) -> list[Path]:
    """Writes files that are not there yet, all or none, and the schemas that know them. Raises `Refusal`."""
    there = [name for name in files if (root / name).exists()]
    if there:
        raise Refusal(f"{there[0]} is there already, and nothing is written over: choose another name, or change that file")
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    write_schemas(root)
    return [root / name for name in files]


def fill(text: str, words: dict[str, str]) -> str:
    """The text with each `<word>` in it filled in."""
    for word, value in words.items():
        text = text.replace(f"<{word}>", value)
    return text


def _client_yaml(name: str) -> str:
    connectors = installed_connectors()
    roles = "\n".join(line for role in ROLES for line in _role(name, role, connectors))
    return _CLIENT.replace("<name>", name).replace("<connectors>", roles)


def _role(client: str, role: str, connectors: dict[str, type[Connector]]) -> Iterator[str]:
    """One role with the settings its connector needs, each with what it means."""
    fitting = sorted(name for name, connector in connectors.items() if connector.role == role)
    if not fitting:
        return
    use = fitting[0]
    yield f"  {role}:"
    yield f"    use: {use}" + (f"  # or {', '.join(fitting[1:])}" if fitting[1:] else "")
    for setting, about in connectors[use].Settings.model_fields.items():
        if about.is_required():
            yield f"    {setting}: {_placeholder(client, use, setting, about)}  # {about.description}"


def _placeholder(client: str, use: str, setting: str, about: FieldInfo) -> str:
    if about.annotation is SecretStr or _SECRET.search(setting):
        secret = f"{client}_{use}_{setting}".upper().replace("-", "_")
        return f"{{secret: {secret}}}"
    by_type: dict[Any, str] = {int: "1", bool: "true"}
    if setting == "url":
        return '"https://example.com"'
    return by_type.get(about.annotation, "example.com")


_CLIENT = """# The client <name>: what it is built on, where its systems are, and what it sets. An editor completes the words.
client: <name>
extends: [base]                # the shipped rules
time_zone: Europe/London       # where its days and batches are counted

# Who fills which role. A secret is only ever named here: put its value into the environment or a .env file.
connectors:
<connectors>

# What the rules leave to the client; an editor lists all there is. These are what is usual.
params:
  refund_on: first_scan        # or receipt, or inspection
  permissions.partial_refund: true

# shadow: decide and record everything, send nothing. Going live is mode: live, with since: the day from which on cases count.
mode: shadow
"""

_CLIENT_TEST = """# What {name} counts on, tried on every change by: instep test
# The samples (order, return, scanned, ...) are in the base pack's samples.test.yaml.

scenarios:
  A refund goes out when the carrier first scans the parcel:
    given: return
    when:
      +1h: scanned
    then:
      start: nothing
      +1h: {{marketplace.refund: L1#1}}
"""

_RULE = """# A rule is a standing condition: while it holds, something is done once, forbidden, or raised to a person.

rules:
  <id>:
    title: Tell somebody of a return that nobody answered
    group: <group>  # one of <groups>; a forbid binds the groups after its own
    each: rma                  # looked at for every RMA of a case; `rma` is the one at hand
    when:                      # all of these must hold; a fact that has not come makes a rule neither true nor false
      - rma.status == "requested"
      - exists(rma.requested_at)
    after: rma.requested_at + days(3)   # not before this instant
    then:
      # An action would be:  - marketplace.refund: {units: rma.units_to_refund}
      # A veto would be:     - forbid: marketplace.refund
      #                        because: why, as people read it
      - raise:
          owner: customer service
          severity: medium
          title: "RMA {rma.id} has waited three days for an answer"
          runbook: Approve or reject the return in the returns platform.
"""

_RULE_TEST = """# What <id> promises. instep test tries it; where it fails, it shows what happened and why.

scenarios:
  <id> tells of a return that waits for three days, and not before:
    given: [return, {rma 1001: {status: requested, requested_at: start}}]
    then:
      +71h: {not: {raise: <id>}}
      +73h: {raise: <id>}

  <id> is quiet once the return was answered:
    given: [return, {rma 1001: {status: requested, requested_at: start}}]
    when:
      +1d: {rma 1001: {status: approved}}
    then:
      +73h: {not: {raise: <id>}}
"""
