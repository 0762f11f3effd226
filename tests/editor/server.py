"""A YAML language server driven as an editor drives it: over standard input and output, in the Language Server Protocol."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from queue import Empty, Queue
from typing import Any, Self

Json = dict[str, Any]
SETTINGS: Json = {"validate": True, "hover": True, "completion": True}


def found() -> str | None:
    """The server's command: INSTEP_YAML_SERVER, or the one on the path."""
    return os.environ.get("INSTEP_YAML_SERVER") or shutil.which("yaml-language-server")


class Server:
    """`with Server(command, folder) as server:` - one editor with one folder open."""

    def __init__(self, command: str, folder: Path) -> None:
        self._folder = folder
        self._process = subprocess.Popen([command, "--stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
        self._answers: Queue[Json] = Queue()
        self._told: Queue[Json] = Queue()
        self._ids = 0
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> Self:
        root = self._folder.as_uri()
        capabilities = {"textDocument": {"hover": {"contentFormat": ["markdown"]}, "publishDiagnostics": {}}}
        self.ask("initialize", {"processId": os.getpid(), "rootUri": root, "capabilities": capabilities})
        self.tell("initialized", {})
        self.tell(
            "workspace/didChangeConfiguration", {"settings": {"yaml": {"validate": True, "hover": True, "completion": True}}}
        )
        return self

    def __exit__(self, *fault: object) -> None:
        self._process.kill()
        self._process.wait(10)

    def open(self, name: str, text: str) -> list[Json]:
        """Opens a file of the folder with this text; what the server says is wrong with it."""
        uri = (self._folder / name).as_uri()
        document = {"uri": uri, "languageId": "yaml", "version": 1, "text": text}
        self.tell("textDocument/didOpen", {"textDocument": document})
        while True:
            told = self._next(self._told)
            if told["method"] == "textDocument/publishDiagnostics" and told["params"]["uri"] == uri:
                return list(told["params"]["diagnostics"])

    def completion(self, name: str, line: int, character: int) -> dict[str, Json]:
        """What is offered at a place, counted from 0, by label."""
        answer = self.ask("textDocument/completion", self._at(name, line, character))
        items = answer["items"] if isinstance(answer, dict) else answer or []
        return {item["label"]: item for item in items}

    def hover(self, name: str, line: int, character: int) -> str:
        """What is shown of the word at a place."""
        answer = self.ask("textDocument/hover", self._at(name, line, character))
        return str(answer["contents"]["value"]) if answer else ""

    def _at(self, name: str, line: int, character: int) -> Json:
        uri = (self._folder / name).as_uri()
        return {"textDocument": {"uri": uri}, "position": {"line": line, "character": character}}

    def ask(self, method: str, params: Json) -> Any:
        self._ids += 1
        self._send({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        while True:
            answer = self._next(self._answers)
            if answer["id"] == self._ids:
                assert "error" not in answer, answer
                return answer["result"]

    def tell(self, method: str, params: Json) -> None:
        self._send({"jsonrpc": "2.0", "method": method, "params": params})

    def _next(self, queue: Queue[Json]) -> Json:
        try:
            return queue.get(timeout=60)
        except Empty:
            raise AssertionError("the language server said nothing for a minute") from None

    def _send(self, message: Json) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            length = 0
            while (header := stream.readline().strip()) or not length:
                if not header:
                    return
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            message = json.loads(stream.read(length))
            if "method" not in message:
                self._answers.put(message)
            elif "id" in message:  # the server asks: settings are the defaults, all else is fine
                asked = message.get("params") or {}
                answers = [SETTINGS if item.get("section") == "yaml" else None for item in asked.get("items", [])]
                result = answers if message["method"] == "workspace/configuration" else None
                self._send({"jsonrpc": "2.0", "id": message["id"], "result": result})
            else:
                self._told.put(message)
