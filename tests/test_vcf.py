from __future__ import annotations

import contextlib
import gzip
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from cyvcf2 import VCF, Writer

from mintflow import vcf as reader
from mintflow.vcf import UnreadableVcf, VcfContent, VcfVariant


def read(path: Path, sample: str, most: int, records: int = 1000, mb: int = 1) -> VcfContent:
    return reader.read(path, sample, max_variants=most, max_records=records, max_line_mb=mb)


ANN = '##INFO=<ID=ANN,Number=.,Type=String,Description="Functional annotations">'
CSQ = (
    '##INFO=<ID=CSQ,Number=.,Type=String,Description="Consequence annotations from Ensembl VEP. '
    'Format: Allele|Consequence|SYMBOL|HGVSc">'
)


def vcf(path: Path, records: list[str], annotation: str = ANN, samples: str = "S1\tS2") -> Path:
    """A VCF of ``records``: CHROM POS REF ALT FILTER INFO GT GT, blanks for tabs."""
    lines = [
        "##fileformat=VCFv4.2",
        "##contig=<ID=1>",
        '##FILTER=<ID=low,Description="low quality">',
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">',
        annotation,
        f"#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\t{samples}",
    ]
    for record in records:
        chrom, pos, ref, alt, kept, info, *calls = record.split(" ")
        lines.append("\t".join([chrom, pos, ".", ref, alt, ".", kept, info, "GT", *calls]))
    path.write_text("\n".join(lines) + "\n")
    return path


def ann(allele: str, effect: str, gene: str, name: str = "") -> str:
    """One entry of SnpEff's ANN."""
    return f"{allele}|{effect}|MODERATE|{gene}|id|transcript|NM_1.1|coding|1/2|{name}|p.X|||||"


def test_calls_of_the_sample(tmp_path: Path) -> None:
    records = [
        f"1 10 A G PASS ANN={ann('G', 'missense_variant', 'GENE1', 'c.5A>G')} 0/1 0/0",
        f"1 20 A G . ANN={ann('G', 'stop_gained&splice_region_variant', 'GENE2')} 1|1 0/1",
        f"1 30 A G PASS ANN={ann('G', 'missense_variant', 'GENE3')} 0/0 0/1",
        f"1 40 A G low ANN={ann('G', 'missense_variant', 'GENE4')} 0/1 0/1",
        f"1 50 A G PASS ANN={ann('G', 'intron_variant', 'GENE5')} 0/1 0/0",
        f"1 60 A G PASS ANN={ann('G', 'missense_variant', 'GENE6')} 1 0",
        f"1 70 A G PASS ANN={ann('G', 'missense_variant', 'GENE7')} ./1 ./.",
        f"1 80 A G PASS ANN={ann('G', 'missense_variant', '')} 0/1 0/0",
        "1 90 A G PASS . 0/1 0/0",
    ]
    content = read(vcf(tmp_path / "a.vcf", records), "S1", 100)
    assert content.variants == [
        VcfVariant("GENE1", "c.5A>G", "heterozygous", "missense"),
        VcfVariant("GENE2", None, "homozygous", "nonsense"),
        VcfVariant("GENE6", None, "hemizygous", "missense"),
        VcfVariant("GENE7", None, "unknown", "missense"),
    ]
    assert (content.filtered, content.no_gene) == (1, 3)
    assert [found.gene_symbol for found in read(tmp_path / "a.vcf", "S2", 100).variants] == ["GENE2", "GENE3"]


def test_most_severe_effect_on_each_gene(tmp_path: Path) -> None:
    entries = [
        ann("G", "synonymous_variant", "GENE1", "c.1A>G"),
        ann("G", "frameshift_variant", "GENE1", "c.2A>G"),
        ann("G", "missense_variant", "GENE0"),
    ]
    records = [f"1 10 A G PASS ANN={','.join(entries)} 0/1 0/0"]
    found = read(vcf(tmp_path / "a.vcf", records), "S1", 100).variants
    assert found == [
        VcfVariant("GENE0", None, "heterozygous", "missense"),
        VcfVariant("GENE1", "c.2A>G", "heterozygous", "frameshift"),
    ]


def test_only_alleles_that_the_sample_carries(tmp_path: Path) -> None:
    info = ",".join([ann("G", "missense_variant", "GENE1"), ann("T", "stop_gained", "GENE1")])
    records = [f"1 10 A G,T PASS ANN={info} 0/1 1/2"]
    path = vcf(tmp_path / "a.vcf", records)
    assert [found.consequence for found in read(path, "S1", 100).variants] == ["missense"]
    both = read(path, "S2", 100).variants
    assert [(found.consequence, found.zygosity) for found in both] == [("nonsense", "heterozygous")]


def test_vep_annotation_names_deletions_its_own_way(tmp_path: Path) -> None:
    info = "CSQ=-|frameshift_variant|GENE1|c.9del,T|missense_variant|GENE2|"
    records = [f"1 10 CA C,CT PASS {info} 0/1 0/2"]
    path = vcf(tmp_path / "a.vcf", records, CSQ)
    assert read(path, "S1", 100).variants == [VcfVariant("GENE1", "c.9del", "heterozygous", "frameshift")]
    assert [found.gene_symbol for found in read(path, "S2", 100).variants] == ["GENE2"]


def test_the_only_sample_needs_no_name(tmp_path: Path) -> None:
    records = [f"1 10 A G PASS ANN={ann('G', 'missense_variant', 'GENE1')} 0/1"]
    path = vcf(tmp_path / "a.vcf", records, samples="only")
    assert len(read(path, "", 100).variants) == 1


@pytest.mark.parametrize(
    ("sample", "most", "field"),
    [("S3", 100, "#CHROM header"), ("", 100, "#CHROM header"), ("S1", 1, "(records)")],
)
def test_refused(tmp_path: Path, sample: str, most: int, field: str) -> None:
    entry = ann("G", "missense_variant", "GENE1")
    records = [f"1 {position} A G PASS ANN={entry} 0/1 0/0" for position in (10, 20)]
    with pytest.raises(UnreadableVcf) as problem:
        read(vcf(tmp_path / "a.vcf", records), sample, most)
    assert problem.value.field == field
    assert len(read(tmp_path / "a.vcf", "S1", 2).variants) == 2


def test_records_of_others_are_not_read_without_end(tmp_path: Path) -> None:
    entry = ann("G", "missense_variant", "GENE1")
    records = [f"1 {position} A G PASS ANN={entry} 0/0 0/1" for position in range(10, 40)]
    with pytest.raises(UnreadableVcf, match=r"rare\.genotypes\.max_vcf_records"):
        read(vcf(tmp_path / "a.vcf", records), "S1", 10, records=29)
    assert read(tmp_path / "a.vcf", "S1", 10, records=30).variants == []


@pytest.mark.parametrize(
    ("ending", "opened"), [("vcf", open), ("vcf.gz", gzip.open)], ids=["plain", "packed"]
)
@pytest.mark.parametrize("where", ["header line", "header", "record"])
def test_what_does_not_end_is_never_held(tmp_path: Path, ending: str, opened: Any, where: str) -> None:
    """A few kB unpack to 64 MB, of which one is read."""
    entry = ann("G", "missense_variant", "GENE1")
    lines = vcf(tmp_path / "sound.vcf", [f"1 10 A G PASS ANN={entry} 0/1 0/0"]).read_bytes().splitlines(True)
    path, megabyte = tmp_path / f"a.{ending}", b"x" * (1 << 20)
    short = b"##source=" + b"x" * 1000 + b"\n"
    with opened(path, "wb") as file:
        for line in lines:
            file.write(line)
            if line.startswith(b"##fileformat") and where != "record":
                pieces = {"header line": [b"##x=", *[megabyte] * 64], "header": [short] * (64 << 10)}[where]
                for piece in pieces:
                    file.write(piece)
                file.write(b"\n" * (where == "header line"))
        if where == "record":
            for piece in (b"1\t20\t", *[megabyte] * 64):
                file.write(piece)
    tracemalloc.start()
    try:
        with pytest.raises(UnreadableVcf, match=r"rare\.genotypes\.max_vcf_line_mb") as problem:
            read(path, "S1", 100)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert "1 MB" in str(problem.value.value)


def test_bcf_that_does_not_end(tmp_path: Path) -> None:
    """Its lengths are numbers; the sound one is read."""
    entry = ann("G", "missense_variant", "GENE1")
    reader = VCF(str(vcf(tmp_path / "a.vcf", [f"1 10 A G PASS ANN={entry} 0/1 0/0"] * 3)))
    writer = Writer(str(tmp_path / "a.bcf"), reader, mode="wb")
    for record in reader:
        writer.write_record(record)
    writer.close()
    assert len(read(tmp_path / "a.bcf", "S1", 100).variants) == 3
    content = gzip.decompress((tmp_path / "a.bcf").read_bytes())
    for place in (5, 9 + int.from_bytes(content[5:9], "little")):  # of the header, of the first record
        damaged = content[:place] + (1 << 30).to_bytes(4, "little") + content[place + 4 :]
        (tmp_path / "b.bcf").write_bytes(gzip.compress(damaged))
        with pytest.raises(UnreadableVcf, match=r"rare\.genotypes\.max_vcf_line_mb"):
            read(tmp_path / "b.bcf", "S1", 100)


def test_names_in_a_broken_file_reach_no_log(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """htslib tells of both to the standard error of the process, where a job's log ends."""
    folder = tmp_path / "Jane Doe"
    folder.mkdir()
    entry = ann("G", "missense_variant", "GENE1")
    sound = vcf(folder / "a.vcf", [f"1 10 A G PASS ANN={entry} 0/1 0/0"]).read_text()
    told = []
    for damaged in (
        "\x00\x01\x02",
        sound.replace("S2", "S1"),
        sound.replace("\t10\t", "\tJane\t"),
        sound[:-9],
    ):
        (folder / "b.vcf").write_text(damaged)
        with contextlib.suppress(Exception):
            list(VCF(str(folder / "b.vcf")))
        told.append(capfd.readouterr().err)
        with contextlib.suppress(UnreadableVcf):
            read(folder / "b.vcf", "S1", 100)
        assert capfd.readouterr().err == ""
    assert "Jane Doe" in told[0] and "S1" in told[1] and "Jane" in told[2], "the fault"
    os.write(2, b"heard again")
    assert capfd.readouterr().err == "heard again"


def test_unreadable(tmp_path: Path) -> None:
    plain = vcf(tmp_path / "plain.vcf", ["1 10 A G PASS . 0/1 0/0"], "##source=caller")
    with pytest.raises(UnreadableVcf, match="neither SnpEff's ANN nor VEP's CSQ") as problem:
        read(plain, "S1", 10)
    assert problem.value.field == "INFO"
    with pytest.raises(UnreadableVcf, match="no such file"):
        read(tmp_path / "none.vcf", "S1", 10)
    (tmp_path / "text.vcf").write_text("this is no VCF\n")
    with pytest.raises(UnreadableVcf, match="not a readable VCF"):
        read(tmp_path / "text.vcf", "S1", 10)
    (tmp_path / "empty.vcf").write_bytes(b"")
    with pytest.raises(UnreadableVcf, match="not a readable VCF"):
        read(tmp_path / "empty.vcf", "S1", 10)


def test_a_name_that_no_file_can_have(tmp_path: Path) -> None:
    with pytest.raises(UnreadableVcf, match="no such file"):
        read(tmp_path / ("x" * 300), "S1", 10)
