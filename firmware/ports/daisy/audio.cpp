#include "audio.h"

#include "../../engine/port.h"
#include "gates.h"
#include "load.h"
#include "module.h"

namespace vaectrol {
namespace {

static_assert(BOARD_INPUTS <= PORT_MAX_INPUTS && BOARD_DACS <= PORT_MAX_CV_OUTS, "the board fits the port");
static_assert(BOARD_BLOCK <= PORT_MAX_BLOCK, "the block fits the port");

constexpr uint32_t kFlushToZero = 1u << 24; // FPSCR.FZ

struct Buffers {
    float inputs[PORT_MAX_INPUTS];
    uint32_t gates_in[BOARD_BLOCK], gates_out[BOARD_BLOCK];
    float audio_in[PORT_MAX_AUDIO][BOARD_BLOCK], audio_out[PORT_MAX_AUDIO][BOARD_BLOCK];
    float cv_out[BOARD_DACS][BOARD_BLOCK];
} buffers;

// An instrument may have more CV outputs than the board: those go nowhere.
VAECTROL_COLD float unheard[BOARD_BLOCK];

// Sums for the protocol. The main loop asks for a fresh start; only the callback writes sums.
struct CodeSums {
    float sum[PORT_MAX_INPUTS];
    uint32_t blocks;

    CodeSums Copy() const volatile {
        CodeSums copy;
        copy.blocks = blocks;
        for (size_t i = 0; i < PORT_MAX_INPUTS; i++) copy.sum[i] = sum[i];
        return copy;
    }
} sums;
volatile bool restart_sums;

void ReadInputs() {
    if (restart_sums) {
        sums = {};
        restart_sums = false;
    }
    for (size_t i = 0; i < BOARD_INPUTS; i++) {
        buffers.inputs[i] = InputCode(i);
        sums.sum[i] += buffers.inputs[i];
    }
    sums.blocks++;
}

// The codec's stages may invert: the instrument hears and speaks volts at the jack.
void ScaledCopy(const float *from, float *to, size_t count, float sign) {
    for (size_t i = 0; i < count; i++) to[i] = sign * from[i];
}

void Callback(daisy::AudioHandle::InputBuffer in, daisy::AudioHandle::OutputBuffer out, size_t size) {
    LoadBegin();
    __set_FPSCR(__get_FPSCR() | kFlushToZero); // each exception starts with a mode of its own
    const float *const audio_in[PORT_MAX_AUDIO] = {buffers.audio_in[0], buffers.audio_in[1]};
    float *const audio_out[PORT_MAX_AUDIO] = {buffers.audio_out[0], buffers.audio_out[1]};
    float *cv_out[PORT_MAX_CV_OUTS];
    for (size_t i = 0; i < PORT_MAX_CV_OUTS; i++) cv_out[i] = i < BOARD_DACS ? buffers.cv_out[i] : unheard;
    ReadInputs();
    TakeGates(buffers.gates_in, size);
    for (size_t c = 0; c < PORT_MAX_AUDIO; c++) ScaledCopy(in[c], buffers.audio_in[c], size, BOARD_AUDIO_SIGN_IN);
    const PortBlock block = {size, buffers.inputs, buffers.gates_in, audio_in, audio_out, cv_out, buffers.gates_out};
    instrument_render(&block);
    for (size_t c = 0; c < PORT_MAX_AUDIO; c++) ScaledCopy(audio_out[c], out[c], size, BOARD_AUDIO_SIGN_OUT);
    const size_t cv_outs = instrument_info()->cv_outs < BOARD_DACS ? instrument_info()->cv_outs : BOARD_DACS;
    for (size_t i = 0; i < cv_outs; i++) WriteCvOut(i, buffers.cv_out[i][size - 1]);
    WriteGates(buffers.gates_out[size - 1]);
    LoadEnd();
}

} // namespace

void StartAudio() { module.StartAudio(Callback); }

uint32_t ReadCodes(void *, float *codes) {
    const volatile CodeSums &live = sums;
    CodeSums seen;
    do { // again, where a callback came between: sums of one block more than their count would be a wrong mean
        seen = live.Copy();
    } while (seen.blocks != live.blocks);
    restart_sums = true;
    for (size_t i = 0; i < PORT_MAX_INPUTS; i++) {
        const float last = buffers.inputs[i];
        codes[i] = seen.blocks > 0 ? seen.sum[i] / static_cast<float>(seen.blocks) : last;
    }
    return seen.blocks;
}

} // namespace vaectrol
