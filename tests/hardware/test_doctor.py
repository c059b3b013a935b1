"""The doctor looks at everything, one line each, and only what is needed makes it fail."""

from __future__ import annotations

import json

import pytest

import vaectrol
from hardware import doctor


def test_the_doctor_says_a_line_for_everything(capsys):
    assert vaectrol.main(["doctor"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    for name in ("python", "torch", "ziglang", "dfu-util", "libDaisy", "serial devices", "disk"):
        assert sum(line[9:].startswith(f"{name} ") for line in lines) == 1, name
    assert vaectrol.main(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"name", "ok", "required", "says"} == set(found[0])
    assert len(found) == len(lines)


def test_only_what_is_needed_is_a_failure(monkeypatch, capsys):
    monkeypatch.setitem(doctor.OPTIONAL_PACKAGES, "no-such-package", "nothing")
    monkeypatch.setitem(doctor.TOOLS, "no-such-tool", "nothing at all")
    assert vaectrol.main(["doctor"]) == 0
    assert "absent   no-such-tool" in capsys.readouterr().out
    monkeypatch.setitem(doctor.PACKAGES, "no-such-package", "everything")
    assert vaectrol.main(["doctor"]) == 1
    assert "MISSING  no-such-package" in capsys.readouterr().out


@pytest.mark.parametrize("built", [True, False])
def test_libdaisy_must_be_built(built, tmp_path, monkeypatch):
    monkeypatch.setenv("LIBDAISY_DIR", str(tmp_path))
    if built:
        (tmp_path / "build").mkdir()
        (tmp_path / "build" / "libdaisy.a").write_bytes(b"")
    found = next(finding for finding in doctor.examine() if finding.name == "libDaisy")
    assert found.ok is built
    assert str(tmp_path) in found.says
