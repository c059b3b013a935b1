"""Flashing: the right bootloader, the right board, and dfu-util's messages in words."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import pytest

import vaectrol
from common.refusal import Refusal
from hardware import flash as flash_module
from hardware.board import load_board
from hardware.flash import Bootloader, Device, flash, list_devices
from hardware.image import MARK, read_image
from hardware.protocol import Link, Port
from hardware.rehearsal import Rehearsal
from hardware.simulated import SimulatedBoard

pytestmark = pytest.mark.fast


def write_bin(
    path: Path, *, board="patch_sm", boot="sram", reset=0x2400_0401, model="00c0ffee", size=4096
) -> Path:
    """An image's outside: vectors, identity line, and padding where code would be."""
    words = {"board": board, "boot": boot, "version": "0.1.0", "instrument": "voltmeter", "model": model}
    body = struct.pack("<II", 0x2002_0000, reset) + MARK + json.dumps(words).encode() + b"\0"
    path.write_bytes(body.ljust(size, b"\xa5"))
    return path


@pytest.fixture
def dfu(tmp_path, monkeypatch):
    """A dfu-util on the PATH that plays a scene; returns how to choose one and where its calls are logged."""
    program = tmp_path / "bin" / "dfu-util"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("fake_dfu_util.py")} "$@"\n'
    )
    program.chmod(0o755)
    log = tmp_path / "calls"
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setenv("FAKE_DFU_LOG", str(log))
    monkeypatch.setattr(flash_module, "candidate_ports", lambda: [])

    def scene(name: str) -> Path:
        monkeypatch.setenv("FAKE_DFU_SCENE", name)
        return log

    return scene


def test_exit_74_after_leave_is_success(dfu, tmp_path):
    log = dfu("leave")
    seen: list[tuple[str, int]] = []
    image = read_image(write_bin(tmp_path / "drum.bin"), "patch_sm")
    done = flash(image, wait=False, progress=lambda stage, percent: seen.append((stage, percent)))
    assert done.device.bootloader is Bootloader.DAISY
    assert seen[0] == ("Erase", 0) and seen[-1] == ("Download", 100)
    call = log.read_text().splitlines()[-1]
    assert call == f"-a 0 -s 0x90040000:leave -D {tmp_path / 'drum.bin'} -d ,0483:df11 -p 1-2"


def test_a_clean_exit_is_success_too(dfu, tmp_path):
    dfu("clean")
    assert flash(read_image(write_bin(tmp_path / "drum.bin")), wait=False).bytes == 4096


def test_the_st_bootloader_is_told_apart_by_name(dfu, tmp_path):
    dfu("st")
    assert [device.bootloader for device in list_devices()] == [Bootloader.ST]
    with pytest.raises(Refusal, match="this is the ST bootloader"):
        flash(read_image(write_bin(tmp_path / "drum.bin")), wait=False)
    # and an image for the internal flash goes there
    image = read_image(write_bin(tmp_path / "small.bin", boot="none", reset=0x0800_0401))
    assert flash(image, wait=False).device.bootloader is Bootloader.ST


@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        ("none", "no bootloader found: tap RESET"),
        ("two", r"2 modules wait in a bootloader: 1-1 .*, 1-4\.2"),
        ("stranger", "which is no Daisy"),
        ("forbidden", r"50-daisy\.rules"),
        ("forbidden_0.9", r"may not open it .*Cannot open DFU device 0483:df11.*50-daisy\.rules"),
        ("forbidden_0.7", r"may not open it .*50-daisy\.rules"),
        ("forbidden_0.5", r"may not open it .*50-daisy\.rules"),
        ("forbidden_libusb", r"may not open it .*50-daisy\.rules"),
        ("closed_while_writing", r"may not open it .*50-daisy\.rules"),
        ("nameless", r"may not open it .*50-daisy\.rules"),
        ("driver", "no driver that dfu-util can use .*WinUSB"),
        ("busy", "could not be opened .LIBUSB_ERROR_BUSY"),
        ("another", "no bootloader found: tap RESET"),
        ("pathless", "install dfu-util 0.9 or later"),
        ("not_writeable", "it is the wrong one for drum.bin; nothing was written"),
        ("unplugged", "the module went away while it was written; .* bootloader itself is untouched"),
        ("vanished", "left before dfu-util reached it"),
        ("strange", 'exit status 64 and said .*Wrong state after command "ERASE_PAGE"'),
    ],
)
def test_what_goes_wrong_is_one_sentence(dfu, tmp_path, scene, sentence):
    dfu(scene)
    with pytest.raises(Refusal, match=sentence):
        flash(read_image(write_bin(tmp_path / "drum.bin")), wait=False)


def test_two_modules_are_told_apart_by_path(dfu, tmp_path):
    log = dfu("two")
    flash(read_image(write_bin(tmp_path / "drum.bin")), path="1-4.2", wait=False)
    assert log.read_text().splitlines()[-1].endswith("-p 1-4.2")


def test_the_version_is_read_back(dfu, tmp_path, board_library, monkeypatch):
    dfu("leave")
    with SimulatedBoard(load_board("patch_sm"), board_library) as board:
        ports: list[Port] = []
        monkeypatch.setattr(flash_module, "candidate_ports", lambda: list(ports))
        image = read_image(write_bin(tmp_path / "drum.bin"))
        real_write = flash_module.write_image

        def write_then_appear(*arguments, **keywords):
            real_write(*arguments, **keywords)
            ports.append(Port(board.device, ""))

        monkeypatch.setattr(flash_module, "write_image", write_then_appear)
        done = flash(image)
        assert done.hello is not None and done.hello.version == "0.1.0"
        other = read_image(write_bin(tmp_path / "other.bin", model="deadbeef"))
        ports.clear()
        with pytest.raises(Refusal, match="not with what was written"):
            flash(other)


def test_a_running_module_is_asked_into_its_bootloader_unless_it_is_another_board(
    dfu, tmp_path, board_library, monkeypatch
):
    with SimulatedBoard(load_board("patch_sm"), board_library) as board:
        monkeypatch.setattr(flash_module, "candidate_ports", lambda: [Port(board.device, "")])
        waiting = [Device("1-2", "@Flash /0x90000000/64*4Kg")]
        monkeypatch.setattr(
            flash_module, "list_devices", lambda *_: waiting if board.reboot_asked is not None else []
        )
        dfu("leave")
        seed = read_image(write_bin(tmp_path / "seed.bin", board="seed"))
        with pytest.raises(
            Refusal, match=r"is a patch_sm, and seed\.bin is built for seed; nothing was written"
        ):
            flash(seed, wait=False)
        assert board.reboot_asked is None
        flash(read_image(write_bin(tmp_path / "drum.bin")), wait=False)
        assert board.reboot_asked == 1


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda p: p.write_bytes(b"\x7fELF" + b"\0" * 500), "it is an ELF file"),
        (lambda p: p.write_bytes(b"hello"), "not an image made by"),
        (lambda p: write_bin(p, size=600_000), "has 600,000 bytes and patch_sm takes 491,520"),
        (lambda p: write_bin(p, reset=0x0800_0401), "is damaged"),
        (lambda p: write_bin(p, boot="floppy"), "cannot start an image of kind 'floppy'"),
        (lambda p: write_bin(p, board="toaster"), "there is no board 'toaster'"),
        (lambda p: None, "cannot read the image"),
    ],
)
def test_what_is_no_image_is_refused_before_anything_is_touched(tmp_path, make, sentence):
    path = tmp_path / "x.bin"
    make(path)
    with pytest.raises(Refusal, match=sentence):
        read_image(path)


def test_an_image_for_another_board_is_refused(tmp_path):
    with pytest.raises(Refusal, match="built for seed, not for patch_sm"):
        read_image(write_bin(tmp_path / "drum.bin", board="seed"), "patch_sm")


def test_without_dfu_util_it_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Refusal, match="apt install dfu-util"):
        list_devices()


def test_a_rehearsal_plays_the_whole_exchange_with_a_module_that_is_not_there(tmp_path, capsys):
    assert vaectrol.main(["flash", "--rehearse", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["rehearsed"] and told["hello"]["instrument"] == "stand-in"
    image = write_bin(tmp_path / "drum.bin", size=150_001)
    assert vaectrol.main(["flash", str(image), "--rehearse", "--board", "patch_sm"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Rehearsed, nothing was written to a module: drum.bin, 150,001 of 491,520 bytes" in said
    assert "answered: voltmeter 0.1.0, model 00c0ffee, patch_sm" in said


def test_a_rehearsal_refuses_what_a_flash_refuses(tmp_path, capsys):
    image = write_bin(tmp_path / "drum.bin")
    assert vaectrol.main(["flash", str(image), "--rehearse", "--board", "seed"]) == 2
    assert "is built for patch_sm, not for seed" in capsys.readouterr().err
    assert vaectrol.main(["flash", "--rehearse", "--board", "rpi4"]) == 2
    assert "rpi4 takes no image by USB" in capsys.readouterr().err
    assert vaectrol.main(["flash"]) == 2
    assert "name the image" in capsys.readouterr().err


def test_the_rehearsed_module_runs_the_old_program_until_it_is_written(tmp_path):
    image = read_image(write_bin(tmp_path / "drum.bin"))
    with Rehearsal(image.board, tmp_path) as played:
        with Link(played.device) as link:
            assert link.hello().instrument == "what ran before"
        assert list_devices(str(played.program)) == []
        assert played.play(image).hello.instrument == "voltmeter"
        held = (tmp_path / "flash.bin").read_bytes()
        assert held[: len(image.data)] == image.data and set(held[len(image.data) :]) == {0xFF}
