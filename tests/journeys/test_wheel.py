"""The program as it is installed: a wheel, in a folder that has nothing to do with this one."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

MAIN = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of an environment that has the wheel; what it depends on is that of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(MAIN)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = folder.glob("*.whl")
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    [site] = (folder / "venv").glob("lib/python*/site-packages")
    (site / "beneath.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    install = [sys.executable, "-m", "pip", "--python", str(folder / "venv"), "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--force-reinstall", str(wheel)], check=True, capture_output=True)
    return folder / "venv" / "bin"


def run(installed: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(installed / "instep"), *words], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_a_consultant_begins_in_an_empty_folder_with_what_is_installed(installed: Path, tmp_path: Path) -> None:
    first = (("new", "client", "northwind"), ("new", "rule", "mine"))
    for words in (*first, ("check",), ("test", "rules/clients/northwind"), ("schema",)):
        done = run(installed, tmp_path, *words)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    where = "import engine.language.files as files; print(files.shipped_root())"
    shipped = subprocess.run([str(installed / "python"), "-c", where], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "_bundled" in shipped.stdout
