"""What accelerate makes of the files in config/launch, as far as that goes without GPUs."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest
import yaml


@pytest.mark.parametrize(("name", "flag"), [("fsdp2", "use_fsdp"), ("zero3", "use_deepspeed")])
def test_accelerate_reads_the_launch_configuration(root: Path, name: str, flag: str) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    path = root / f"config/launch/{name}.yaml"
    script = str(root / "workflow/scripts/train_student.py")
    known: argparse.Namespace = launch_command_parser().parse_args([script])
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    for part in ("fsdp_config", "deepspeed_config"):
        # accelerate takes keys of these parts that it does not know
        assert not {key for key in written.get(part, {}) if not hasattr(known, key)}
    arguments, *_ = _validate_launch_command(
        launch_command_parser().parse_args(["--config_file", str(path), script])
    )
    assert getattr(arguments, flag) and arguments.num_processes == 4
    assert {arguments.use_fsdp, arguments.use_deepspeed} == {True, False}


def test_fsdp2_reaches_the_processes(root: Path) -> None:
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    path = root / "config/launch/fsdp2.yaml"
    arguments, *_ = _validate_launch_command(
        launch_command_parser().parse_args(["--config_file", str(path), "train_student.py"])
    )
    seen = prepare_multi_gpu_env(arguments)
    assert seen["ACCELERATE_USE_FSDP"] == "true" and seen["FSDP_VERSION"] == "2"
    assert seen["FSDP_RESHARD_AFTER_FORWARD"] == "true"
    assert seen["FSDP_STATE_DICT_TYPE"] == "FULL_STATE_DICT"
