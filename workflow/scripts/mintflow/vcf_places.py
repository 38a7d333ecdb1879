"""Where the VCFs lie that a phenopacket names."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class VcfPlaces:
    """Where relative file names of one phenopacket start."""

    source: Path
    member: str
    allowed: str | Path | None

    def resolve(self, uri: str) -> tuple[str | None, str]:
        """The path, or None and why not."""
        try:
            parts = urlsplit(uri)
        except ValueError:
            return None, "no address"
        if parts.scheme not in {"", "file"}:
            return None, f"a {parts.scheme} address; only local files are read"
        # file://data/a.vcf, as in the schema's own example, is meant as a relative name
        name = unquote(parts.netloc + parts.path) if parts.scheme else uri
        if parts.netloc == "localhost":
            name = unquote(parts.path)
        folder = self.source if self.source.is_dir() else self.source.parent
        beside = folder / PurePosixPath(self.member).parent if self.source.is_dir() else folder
        try:
            # by name alone: a link in the folder is its owner's choice, a name in a phenopacket is not
            path = os.path.normpath(beside / name)
            places = [folder, self.allowed] if self.allowed else [folder]
            inside = any(Path(os.path.abspath(path)).is_relative_to(os.path.abspath(p)) for p in places)
        except ValueError:
            return None, "no file name"
        if not inside:
            return None, "a file neither beside the phenopackets nor in rare.cohort.vcf_folder"
        return path, ""
