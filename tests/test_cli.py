"""What the command-line programs share."""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from mintflow import cli

SCRIPTS = sorted((Path(__file__).resolve().parent.parent / "workflow" / "scripts").glob("*.py"))


def test_settings_from_text_and_file(tmp_path: Path) -> None:
    (tmp_path / "s.json").write_text('{"k": 3}')
    assert cli.settings('{"k": 3}') == cli.settings(str(tmp_path / "s.json")) == {"k": 3}
    for wrong in ("{k: 3}", "nowhere.json", str(tmp_path)):
        with pytest.raises(argparse.ArgumentTypeError):
            cli.settings(wrong)


def test_progress_reports_and_passes_items_on(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mintflow"):
        assert list(cli.progress(range(3), 3, "counting", every=0)) == [0, 1, 2]
    assert "counting: 1/3 (33 %)" in caplog.text
    assert "counting: 3 done" in caplog.text


def test_a_warning_names_no_path_of_this_machine(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import warnings\nfrom mintflow import cli\n"
        "cli.run(lambda _: warnings.warn('something is old', FutureWarning),"
        " cli.parser('', with_settings=False))\n"
    )
    done = subprocess.run(
        [sys.executable, program],
        env={"PYTHONPATH": str(SCRIPTS[0].parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "FutureWarning: something is old\n"


def test_no_log_names_a_path_of_this_machine(tmp_path: Path) -> None:
    """Whoever logs it: the program, a library, a warning or a traceback; blanks and all."""
    place = tmp_path / "Jane Doe's home"
    place.mkdir()
    program = tmp_path / "program.py"
    program.write_text(
        "import logging, os, warnings\nfrom mintflow import cli\n"
        "def main(args):\n"
        "    warnings.warn(f'{args.file} is old')\n"
        "    found = os.getcwd(), args.settings['path']\n"
        "    logging.getLogger('library').warning('reads %s/x.bin and %s', *found)\n"
        # transformers' logger has a handler of its own and tells no other
        "    own = logging.getLogger('own')\n    own.propagate = False\n"
        "    own.addHandler(logging.StreamHandler())\n    own.warning('own: %s', args.settings['path'])\n"
        "    try:\n        open(args.file)\n"
        "    except OSError:\n        own.exception('own exception')\n"
        "    raise ValueError(f'{args.file}: no')\n"
        "parser = cli.parser('')\nparser.add_argument('--file')\ncli.run(main, parser)\n"
    )
    settings = json.dumps({"path": str(place / "a b")})
    done = subprocess.run(
        [sys.executable, program, "--file", place / "c d.vcf", "--settings", settings],
        env={"PYTHONPATH": str(SCRIPTS[0].parent), "HOME": "/root"},
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and "ValueError: …/c d.vcf: no" in done.stderr, done.stderr
    assert "…/c d.vcf is old" in done.stderr and "/x.bin and …/a b" in done.stderr, done.stderr
    assert "own: …/a b" in done.stderr and "own exception\nTraceback" in done.stderr, done.stderr
    assert "FileNotFoundError" in done.stderr and str(tmp_path) not in done.stderr, done.stderr


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_script_explains_itself_quickly(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", str(script), "--help"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout
    assert len(done.stdout.splitlines()) > 4


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_user_errors_end_with_code_2(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(script), "--no-such-flag"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
