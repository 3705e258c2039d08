"""Files of packed results (results/records.json.xz) that somebody else has written."""

import gzip
import json
import lzma

import pytest

PACK = {"schema": 1, "plans": {}, "provenance": [{"commit": None}], "checks": []}
RECORD = {"id": "0" * 16, "status": "done", "schema": 1, "provenance": 0}
CHECK = {"id": "1.1a", "measurements": [], "fingerprint": "x", "seconds": 1.0, "provenance": {}, "finished": ""}
DEEP = json.loads("[" * 400 + "]" * 400)


HUNGRY = lzma.compress(b"{}", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 3 << 29, "mode": lzma.MODE_FAST}])


def pack(*, check=None, plans=None, **changes):
    return {
        **PACK,
        "records": [{**RECORD, **changes}],
        "checks": [{**CHECK, **check}] if check else [],
        "plans": plans or {},
    }


REFUSED = {
    "an absolute id": pack(id="/tmp/paribus-hostile"),
    "an id that climbs": pack(id="../../../executed"),
    "an empty id": pack(id=""),
    "a dot": pack(id="."),
    "two dots": pack(id=".."),
    "NUL": pack(id="a\0"),
    "5,000 letters": pack(id="a" * 5000),
    "no id": {**PACK, "records": [{"provenance": 0}]},
    "provenance out of range": pack(provenance=7),
    "provenance from the end": pack(provenance=-1),
    "provenance that is no number": pack(provenance="x"),
    "a deep record": pack(choices={"a": DEEP}),
    "a deep check": pack(check={"provenance": {"a": DEEP}}),
    "a deep plan": pack(plans={"x": [DEEP]}),
    "records that are text": {**PACK, "records": "abc"},
    "records that are numbers": {**PACK, "records": [1, 2]},
    "a check with a path": pack(check={"id": "../../executed"}),
    "a check with an absolute path": pack(check={"id": "/tmp/paribus-hostile"}),
    "a check that is hidden": pack(check={"id": ".bashrc"}),
    "a check that is no text": pack(check={"id": ["1.1a"]}),
    "a check with a field of its own": pack(check={"evil": 1}),
    "measurements that are none": pack(check={"measurements": [1]}),
    "plans that are a list": {**PACK, "records": [], "plans": [1]},
    "a plan without arms": pack(plans={"x": [{"name": "x"}]}),
    "registrations that are numbers": {**PACK, "records": [], "registrations": [1]},
    "a registration without seeds": {
        **PACK,
        "records": [],
        "registrations": [{"name": "x", "entries": [{"time": "", "recipe": "", "seen": 0, "content": {}, "hash": ""}]}],
    },
    "another schema": {**PACK, "schema": 2, "records": []},
    "a list": [],
    "a number": 5,
    "a number of 5,000 digits": None,
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_pack_that_is_refused_as_a_whole(attack, tmp_path, case):
    text = json.dumps(REFUSED[case]) if REFUSED[case] is not None else '{"schema": ' + "1" * 5000 + "}"
    (tmp_path / "pack.json.gz").write_bytes(gzip.compress(text.encode()))
    assert "results.py" in attack("import", "pack.json.gz", code=2).err
    assert not (tmp_path / "outputs" / "runs").exists()


FILES = {
    "a bomb": lambda: gzip.compress(b" " * 600_000_000, 1),
    "no gzip": lambda: b"PK\x03\x04",
    "cut off": lambda: gzip.compress(b"x" * 10_000)[:-20],
    "not JSON": lambda: gzip.compress(b"{"),
    "not UTF-8": lambda: gzip.compress(b"\xff\xff"),
    "100,000 brackets": lambda: gzip.compress(b"[" * 100_000),
    "nothing": lambda: b"",
    "a bomb, xz": lambda: lzma.compress(b" " * 600_000_000, preset=0),
    "cut off, xz": lambda: lzma.compress(b"x" * 10_000)[:-20],
    "a file that asks for 1.5 GB of memory, xz": lambda: HUNGRY,
    "not JSON, xz": lambda: lzma.compress(b"{"),
}


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_pack(attack, tmp_path, case):
    (tmp_path / "pack.json.gz").write_bytes(FILES[case]())
    attack("import", "pack.json.gz", code=2)
    attack("claims", "--results", "pack.json.gz", code=2)


def test_a_pack_changes_no_run_that_is_there(attack, trained):
    before = (trained / "record.json").read_bytes()
    (trained.parents[2] / "pack.json.gz").write_bytes(gzip.compress(json.dumps(pack(id=trained.name)).encode()))
    attack("import", "pack.json.gz", code=0)
    assert (trained / "record.json").read_bytes() == before


@pytest.mark.parametrize(("name", "compress"), [("pack.json.xz", lzma.compress), ("pack.json.gz", gzip.compress)])
def test_a_sound_pack_is_imported(attack, tmp_path, name, compress):
    (tmp_path / name).write_bytes(compress(json.dumps(pack(check=CHECK)).encode()))
    attack("import", name, code=0)
    assert (tmp_path / "outputs" / "runs" / ("0" * 16) / "record.json").exists()
    assert (tmp_path / "outputs" / "checks" / "1.1a.json").exists()
