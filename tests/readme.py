"""Runs commands as the README prints them.

python3 tests/readme.py run "Set up and run the tests"     the block that follows this sentence
python3 tests/readme.py list                               every command, one a line
"""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Every command of every `sh` block, continued lines joined."""
    found = []
    for block in BLOCK.findall(text):
        found += [line for line in block.replace("\\\n", " ").splitlines() if line.strip() and not line.startswith("#")]
    return found


def after(text: str, sentence: str) -> str:
    """The block that follows the sentence that starts with these words."""
    start = text.index(sentence)
    found = BLOCK.search(text, start)
    if found is None:
        raise SystemExit(f"README.md: no commands follow {sentence!r}")
    return found.group(1)


def main() -> None:
    text = README.read_text(encoding="utf-8")
    if sys.argv[1:2] == ["list"]:
        print("\n".join(commands(text)))
    elif sys.argv[1:2] == ["run"] and len(sys.argv) == 3:
        script = after(text, sys.argv[2])
        print(script, flush=True)
        raise SystemExit(subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=README.parent, check=False).returncode)
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
