"""Our declarations of CLAP are the real ones: sizes, places and numbers, where CLAP_DIR names a checkout."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from cffi import FFI

from firmware.build import PORTS
from tests.firmware.abi import assertions, compile_checks

CLAP_DIR = os.environ.get("CLAP_DIR")
OURS = PORTS / "clap" / "clap_abi.h"


def pairs(words: str) -> list[tuple[str, str]]:
    """Read ``mine=real``, or one name for both."""
    return [(one.split("=")[0], one.split("=")[-1]) for one in words.split()]


KEY = "note=note_id port=port_index channel key"
STRUCTS = {
    ("ClapVersion", "clap_version_t"): "major minor revision",
    ("ClapEvent", "clap_event_header_t"): "bytes=size time space=space_id type flags",
    ("ClapNote", "clap_event_note_t"): f"head=header {KEY} velocity",
    ("ClapValue", "clap_event_param_value_t"): f"head=header parameter=param_id cookie {KEY} value",
    ("ClapMidi", "clap_event_midi_t"): "head=header port=port_index data",
    (
        "ClapTransport",
        "clap_event_transport_t",
    ): "head=header flags beats=song_pos_beats seconds=song_pos_seconds "
    "tempo tempo_per_sample=tempo_inc loop_from_beats=loop_start_beats loop_to_beats=loop_end_beats "
    "loop_from_seconds=loop_start_seconds loop_to_seconds=loop_end_seconds bar_beats=bar_start "
    "bar=bar_number numerator=tsig_num denominator=tsig_denom",
    ("ClapEventsIn", "clap_input_events_t"): "context=ctx count=size get",
    ("ClapEventsOut", "clap_output_events_t"): "context=ctx push=try_push",
    ("ClapBuffer", "clap_audio_buffer_t"): "floats=data32 doubles=data64 channels=channel_count latency "
    "constant=constant_mask",
    (
        "ClapProcess",
        "clap_process_t",
    ): "steady_time frames=frames_count transport in=audio_inputs out=audio_outputs "
    "ins=audio_inputs_count outs=audio_outputs_count events_in=in_events events_out=out_events",
    ("ClapHost", "clap_host_t"): "version=clap_version context=host_data name vendor url release=version "
    "extension=get_extension request_restart request_process request_callback",
    (
        "ClapAbout",
        "clap_plugin_descriptor_t",
    ): "version=clap_version id name vendor url manual_url support_url release=version description features",
    ("ClapPlugin", "clap_plugin_t"): "about=desc context=plugin_data init destroy activate deactivate "
    "start=start_processing stop=stop_processing reset process extension=get_extension on_main_thread",
    (
        "ClapFactory",
        "clap_plugin_factory_t",
    ): "count=get_plugin_count about=get_plugin_descriptor create=create_plugin",
    ("ClapEntry", "clap_plugin_entry_t"): "version=clap_version init deinit factory=get_factory",
    ("ClapParameter", "clap_param_info_t"): "id flags cookie name module least=min_value most=max_value "
    "rest=default_value",
    ("ClapParameters", "clap_plugin_params_t"): "count get=get_info value=get_value write=value_to_text "
    "read=text_to_value flush",
    ("ClapHostParameters", "clap_host_params_t"): "rescan clear request_flush",
    ("ClapAudioPort", "clap_audio_port_info_t"): "id name flags channels=channel_count type=port_type "
    "in_place_with=in_place_pair",
    ("ClapAudioPorts", "clap_plugin_audio_ports_t"): "count get",
    ("ClapNotePort", "clap_note_port_info_t"): "id dialects=supported_dialects best=preferred_dialect name",
    ("ClapNotePorts", "clap_plugin_note_ports_t"): "count get",
    ("ClapLatency", "clap_plugin_latency_t"): "ticks=get",
    ("ClapReader", "clap_istream_t"): "context=ctx read",
    ("ClapWriter", "clap_ostream_t"): "context=ctx write",
    ("ClapState", "clap_plugin_state_t"): "save load",
    ("ClapHostLog", "clap_host_log_t"): "log",
}
NUMBERS = """
CLAP_NOTE_ON=CLAP_EVENT_NOTE_ON CLAP_NOTE_OFF=CLAP_EVENT_NOTE_OFF CLAP_NOTE_CHOKE=CLAP_EVENT_NOTE_CHOKE
CLAP_VALUE=CLAP_EVENT_PARAM_VALUE CLAP_MODULATION=CLAP_EVENT_PARAM_MOD CLAP_TRANSPORT=CLAP_EVENT_TRANSPORT
CLAP_MIDI=CLAP_EVENT_MIDI CLAP_HAS_TEMPO=CLAP_TRANSPORT_HAS_TEMPO
CLAP_HAS_BEATS=CLAP_TRANSPORT_HAS_BEATS_TIMELINE
CLAP_IS_PLAYING=CLAP_TRANSPORT_IS_PLAYING CLAP_PROCESS_FAILED=CLAP_PROCESS_ERROR
CLAP_PROCESS_GOES_ON=CLAP_PROCESS_CONTINUE CLAP_IS_STEPPED=CLAP_PARAM_IS_STEPPED
CLAP_IS_AUTOMATABLE=CLAP_PARAM_IS_AUTOMATABLE CLAP_IS_MODULATABLE=CLAP_PARAM_IS_MODULATABLE
CLAP_RESCAN_VALUES=CLAP_PARAM_RESCAN_VALUES CLAP_IS_MAIN=CLAP_AUDIO_PORT_IS_MAIN
CLAP_SPEAKS_NOTES=CLAP_NOTE_DIALECT_CLAP CLAP_SPEAKS_MIDI=CLAP_NOTE_DIALECT_MIDI
CLAP_NAME_BYTES=CLAP_NAME_SIZE
CLAP_PATH_BYTES=CLAP_PATH_SIZE CLAP_SEVERE=CLAP_LOG_ERROR CLAP_NO_ID=CLAP_INVALID_ID
"""
WORDS = {
    "CLAP_FACTORY": "CLAP_PLUGIN_FACTORY_ID",
    "CLAP_PARAMETERS": "CLAP_EXT_PARAMS",
    "CLAP_AUDIO_PORTS": "CLAP_EXT_AUDIO_PORTS",
    "CLAP_NOTE_PORTS": "CLAP_EXT_NOTE_PORTS",
    "CLAP_LATENCY": "CLAP_EXT_LATENCY",
    "CLAP_STATE": "CLAP_EXT_STATE",
    "CLAP_LOG": "CLAP_EXT_LOG",
    "CLAP_MONO": "CLAP_PORT_MONO",
    "CLAP_STEREO": "CLAP_PORT_STEREO",
}
needs_clap = pytest.mark.skipif(
    CLAP_DIR is None, reason="CLAP_DIR names no checkout of github.com/free-audio/clap"
)


@needs_clap
@pytest.mark.parametrize(
    "target", ["x86_64-linux-gnu", "x86_64-windows-gnu", "x86_64-macos", "aarch64-macos", "aarch64-linux-gnu"]
)
def test_every_struct_and_number_is_the_real_one(target, tmp_path):
    structs = {names: pairs(words) for names, words in STRUCTS.items()}
    checks = assertions(structs, [*pairs(NUMBERS), ("(int64_t)CLAP_BEAT", "1LL << 31")])
    dirs = [Path(str(CLAP_DIR)) / "include", PORTS / "clap"]
    compile_checks(["<clap/clap.h>", "<clap_abi.h>"], checks, dirs, tmp_path, target)


@needs_clap
def test_a_wrong_place_is_found(tmp_path):
    checks = assertions({("ClapNote", "clap_event_note_t"): [("channel", "key")]}, [])
    dirs = [Path(str(CLAP_DIR)) / "include", PORTS / "clap"]
    with pytest.raises(AssertionError, match="static assertion failed"):
        compile_checks(["<clap/clap.h>", "<clap_abi.h>"], checks, dirs, tmp_path, "x86_64-linux-gnu")


@needs_clap
def test_every_name_is_the_real_one():
    ours = dict(re.findall(r'#define (CLAP_\w+) ("[^"]+")', OURS.read_text()))
    theirs: dict[str, str] = {}
    for header in (Path(str(CLAP_DIR)) / "include" / "clap").rglob("*.h"):
        theirs |= dict(re.findall(r'char (CLAP_\w+)\[\] = ("[^"]+")', header.read_text()))
    assert {mine: theirs[real] for mine, real in WORDS.items()} == ours


@pytest.mark.fast
def test_every_struct_that_is_declared_is_held():
    """No member of ours is without its check: what is declared is read by a parser of C."""
    text = OURS.read_text()
    ffi = FFI()
    ffi.cdef("".join(line for line in text.splitlines(True) if not line.startswith("#")))
    declared = set(re.findall(r"^typedef struct (Clap\w+)", text, re.MULTILINE))
    assert declared == {mine for mine, _ in STRUCTS}
    for (mine, _), words in STRUCTS.items():
        fields = ffi.typeof(mine).fields
        assert fields is not None
        assert [name for name, _ in fields] == [name for name, _ in pairs(words)], mine
