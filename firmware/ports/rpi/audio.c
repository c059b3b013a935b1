#define _GNU_SOURCE
#include "audio.h"

#include "../../engine/port.h"
#include "alsa.h"
#include "board.h"
#include "converters.h"
#include "gates.h"
#include "moment.h"
#include "realtime.h"

#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define RATE_HZ 48000u
#define CHANNELS 2u
#define MEAN_SHARE 0.01f
#define WORST_DECAY 0.9995f
#define STACK_BYTES (256u * 1024u)

static struct {
    AudioSettings settings;
    snd_pcm_t *play, *capture;
    int format; /* ALSA_S32_LE or ALSA_S16_LE */
    pthread_t thread;
    bool running;
    atomic_bool stop;
    AudioCounts counts; /* by the audio thread; a reader may see two neighbouring blocks */
    int64_t due_ns, last_end_ns;
    _Atomic float code_sum[PORT_MAX_INPUTS];
    atomic_uint code_blocks;
    float inputs[PORT_MAX_INPUTS];
    uint32_t gates_in[PORT_MAX_BLOCK], gates_out[PORT_MAX_BLOCK];
    float in[CHANNELS][PORT_MAX_BLOCK], out[CHANNELS][PORT_MAX_BLOCK];
    float cv[PORT_MAX_CV_OUTS][PORT_MAX_BLOCK];
    int32_t wire[CHANNELS * PORT_MAX_BLOCK]; /* interleaved, 32 or 16 bit */
} self;

/* ---- samples ---- */

static void from_wire(void) {
    const int16_t *narrow = (const int16_t *)self.wire;
    for (unsigned i = 0; i < self.settings.block; i++)
        for (unsigned c = 0; c < CHANNELS; c++) {
            const unsigned at = i * CHANNELS + c;
            self.in[c][i] = BOARD_AUDIO_SIGN_IN * (self.format == ALSA_S32_LE ? (float)self.wire[at] / 2147483648.0f
                                                                              : (float)narrow[at] / 32768.0f);
        }
}

static float bounded(float x) { return x > 1.0f ? 1.0f : x >= -1.0f ? x : x < -1.0f ? -1.0f : 0.0f; /* NaN: 0 */ }

static void to_wire(void) {
    int16_t *narrow = (int16_t *)self.wire;
    for (unsigned i = 0; i < self.settings.block; i++)
        for (unsigned c = 0; c < CHANNELS; c++) {
            const unsigned at = i * CHANNELS + c;
            const float x = bounded(BOARD_AUDIO_SIGN_OUT * self.out[c][i]);
            if (self.format == ALSA_S32_LE) self.wire[at] = (int32_t)(x * 2147483520.0f); /* largest float below 2³¹ */
            else narrow[at] = (int16_t)(x * 32767.0f);
        }
}

/* ---- one block ---- */

static void sum_codes(void) {
    const bool fresh = atomic_load_explicit(&self.code_blocks, memory_order_acquire) == 0;
    for (unsigned i = 0; i < BOARD_INPUTS; i++) {
        const float before = fresh ? 0.0f : atomic_load_explicit(&self.code_sum[i], memory_order_relaxed);
        atomic_store_explicit(&self.code_sum[i], before + self.inputs[i], memory_order_relaxed);
    }
    atomic_fetch_add_explicit(&self.code_blocks, 1u, memory_order_release);
}

static void render(void) {
    const int64_t began_ns = moment_ns();
    const size_t ticks = self.settings.block;
    const float *const in[PORT_MAX_AUDIO] = {self.in[0], self.in[1]};
    float *const out[PORT_MAX_AUDIO] = {self.out[0], self.out[1]};
    float *cv[PORT_MAX_CV_OUTS];
    for (size_t i = 0; i < PORT_MAX_CV_OUTS; i++) cv[i] = self.cv[i];
    converters_read(self.inputs);
    sum_codes();
    gates_take(self.gates_in, ticks, self.last_end_ns, began_ns);
    self.last_end_ns = began_ns;
    instrument_render(&(PortBlock){ticks, self.inputs, self.gates_in, in, out, cv, self.gates_out});
    for (size_t i = 0; i < instrument_info()->cv_outs; i++) converters_put(i, self.cv[i][ticks - 1]);
    gates_put(self.gates_out[ticks - 1]);
    const float block_ns = (float)ticks / (float)RATE_HZ * 1e9f;
    const float share = (float)(moment_ns() - began_ns) / block_ns;
    AudioCounts *c = &self.counts;
    c->mean += MEAN_SHARE * (share - c->mean);
    c->worst = share > c->worst * WORST_DECAY ? share : c->worst * WORST_DECAY;
    c->blocks++;
    c->frames += ticks;
}

/* ---- the clock as a card: two periods, so a block may come one block late and no later ---- */

static void wait_for_clock(void) {
    const int64_t block_ns = (int64_t)self.settings.block * NS_PER_S / RATE_HZ;
    self.due_ns += block_ns;
    sleep_until_ns(self.due_ns);
    const int64_t late_ns = moment_ns() - self.due_ns;
    const float late_ms = (float)late_ns * 1e-6f;
    if (late_ms > self.counts.worst_late_ms) self.counts.worst_late_ms = late_ms;
    if (late_ns > block_ns * (int64_t)(BOARD_PERIODS - 1u)) {
        self.counts.xruns++;
        self.counts.lost_frames += (uint64_t)late_ns * RATE_HZ / NS_PER_S;
        self.due_ns += late_ns; /* as a card that starts again */
    }
}

/* ---- the card ---- */

static int configure(snd_pcm_t *pcm, const AudioSettings *s, int format) {
    snd_pcm_hw_params_t *hw;
    snd_pcm_sw_params_t *sw;
    unsigned rate = RATE_HZ, periods = BOARD_PERIODS;
    snd_pcm_uframes_t period = s->block;
    if (alsa.snd_pcm_hw_params_malloc(&hw) < 0) return -ENOMEM;
    int error = alsa.snd_pcm_hw_params_any(pcm, hw);
    if (error >= 0) error = alsa.snd_pcm_hw_params_set_access(pcm, hw, ALSA_RW_INTERLEAVED);
    if (error >= 0) error = alsa.snd_pcm_hw_params_set_format(pcm, hw, format);
    if (error >= 0) error = alsa.snd_pcm_hw_params_set_channels(pcm, hw, CHANNELS);
    if (error >= 0) error = alsa.snd_pcm_hw_params_set_rate_near(pcm, hw, &rate, NULL);
    if (error >= 0 && rate != RATE_HZ) error = -EINVAL;
    if (error >= 0) error = alsa.snd_pcm_hw_params_set_period_size_near(pcm, hw, &period, NULL);
    if (error >= 0) error = alsa.snd_pcm_hw_params_set_periods_near(pcm, hw, &periods, NULL);
    if (error >= 0) error = alsa.snd_pcm_hw_params(pcm, hw);
    alsa.snd_pcm_hw_params_free(hw);
    if (error < 0) return error;
    if (period != s->block || periods > 4u) return -ERANGE;
    if (alsa.snd_pcm_sw_params_malloc(&sw) < 0) return -ENOMEM;
    error = alsa.snd_pcm_sw_params_current(pcm, sw);
    /* it starts when both periods are written */
    if (error >= 0) error = alsa.snd_pcm_sw_params_set_start_threshold(pcm, sw, (snd_pcm_uframes_t)s->block * periods);
    if (error >= 0) error = alsa.snd_pcm_sw_params(pcm, sw);
    alsa.snd_pcm_sw_params_free(sw);
    return error;
}

static int open_stream(snd_pcm_t **pcm, int direction) {
    int error = alsa.snd_pcm_open(pcm, self.settings.device, direction, 0);
    if (error < 0) {
        *pcm = NULL;
        return error;
    }
    static const int formats[] = {ALSA_S32_LE, ALSA_S16_LE};
    for (unsigned i = 0; i < 2; i++) {
        if (direction == ALSA_CAPTURE && formats[i] != self.format) continue;
        error = configure(*pcm, &self.settings, formats[i]);
        if (error >= 0) {
            self.format = formats[i];
            return 0;
        }
    }
    alsa.snd_pcm_close(*pcm);
    *pcm = NULL;
    return error;
}

bool audio_open(const AudioSettings *settings, char *why, size_t why_size) {
    memset(&self, 0, sizeof self);
    self.settings = *settings;
    self.format = ALSA_S32_LE;
    if (settings->block == 0 || settings->block > PORT_MAX_BLOCK) {
        snprintf(why, why_size, "a block has 1 to %u samples, not %u", PORT_MAX_BLOCK, settings->block);
        return false;
    }
    if (settings->device == NULL) return true;
    if (!alsa_load()) {
        snprintf(why, why_size, "no sound: libasound.so.2 is not installed; run `sudo apt install libasound2`");
        return false;
    }
    int error = open_stream(&self.play, ALSA_PLAYBACK);
    if (error < 0) {
        snprintf(why, why_size,
                 "no sound: %s does not play 2 × 48 kHz in blocks of %u (%s); `aplay -l` lists the cards",
                 settings->device, settings->block, alsa.snd_strerror(error));
        return false;
    }
    (void)open_stream(&self.capture, ALSA_CAPTURE); /* without one, the inputs are silent */
    self.counts.capture = self.capture != NULL;
    if (self.capture != NULL && alsa.snd_pcm_link(self.play, self.capture) < 0) {
        /* two clocks, or a plugin: they start one after the other instead */
    }
    return true;
}

/* Silence in both periods, then both directions run. */
static int start_card(void) {
    memset(self.wire, 0, sizeof self.wire);
    int error = alsa.snd_pcm_prepare(self.play);
    if (error < 0 && error != -EBADFD) return error;
    for (unsigned i = 0; i < BOARD_PERIODS; i++) {
        const long written = alsa.snd_pcm_writei(self.play, self.wire, self.settings.block);
        if (written < 0) return (int)written;
    }
    if (self.capture != NULL) (void)alsa.snd_pcm_start(self.capture); /* already running where they are linked */
    return 0;
}

static int recover(int error) {
    const int64_t now_ns = moment_ns();
    const int64_t gap = (now_ns - self.last_end_ns) * (int64_t)RATE_HZ / NS_PER_S - (int64_t)self.settings.block;
    self.counts.xruns++;
    self.counts.lost_frames += gap > 0 ? (uint64_t)gap : 0;
    if (alsa.snd_pcm_recover(self.play, error, 1) < 0) return error;
    if (self.capture != NULL) {
        (void)alsa.snd_pcm_drop(self.capture);
        (void)alsa.snd_pcm_prepare(self.capture);
    }
    return start_card();
}

/* 0, or what ALSA says when the card is gone. */
static int card_block(void) {
    long error = 0;
    memset(self.in, 0, sizeof self.in);
    if (self.capture != NULL) {
        error = alsa.snd_pcm_readi(self.capture, self.wire, self.settings.block);
        if (error >= 0) from_wire();
        else if ((error = recover((int)error)) < 0) return (int)error;
    }
    render();
    to_wire();
    error = alsa.snd_pcm_writei(self.play, self.wire, self.settings.block);
    return error < 0 ? recover((int)error) : 0;
}

static void *run(void *unused) {
    (void)unused;
    self.counts.fifo = realtime_fifo(AUDIO_FIFO_PRIORITY);
#if defined(__aarch64__)
    __asm volatile("msr fpcr, %0" ::"r"((uint64_t)1 << 24)); /* FZ: denormals are zero */
#elif defined(__x86_64__)
    __builtin_ia32_ldmxcsr(__builtin_ia32_stmxcsr() | 0x8040u); /* FTZ, DAZ */
#endif
    self.due_ns = self.last_end_ns = moment_ns();
    int error = self.play != NULL ? start_card() : 0;
    while (error >= 0 && !atomic_load_explicit(&self.stop, memory_order_relaxed)) {
        if (self.play == NULL || self.settings.paced) wait_for_clock();
        if (self.play != NULL) error = card_block();
        else render();
    }
    if (error < 0)
        snprintf(self.counts.trouble, sizeof self.counts.trouble, "the sound card %s stopped: %s", self.settings.device,
                 alsa.snd_strerror(error));
    return NULL;
}

bool audio_start(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    self.running = pthread_create(&self.thread, &attributes, run, NULL) == 0;
    pthread_attr_destroy(&attributes);
    return self.running;
}

void audio_counts(AudioCounts *counts) { *counts = self.counts; }

uint32_t audio_codes(void *context, float *codes) {
    (void)context;
    uint32_t blocks;
    do { /* again, where a block came between */
        blocks = atomic_load_explicit(&self.code_blocks, memory_order_acquire);
        for (unsigned i = 0; i < BOARD_INPUTS; i++)
            codes[i] = blocks > 0 ? atomic_load(&self.code_sum[i]) / (float)blocks : self.inputs[i];
    } while (!atomic_compare_exchange_strong(&self.code_blocks, &blocks, 0u));
    return blocks;
}

void audio_stop(void) {
    atomic_store(&self.stop, true);
    if (self.running) pthread_join(self.thread, NULL);
    self.running = false;
    if (self.capture != NULL) alsa.snd_pcm_close(self.capture);
    if (self.play != NULL) alsa.snd_pcm_close(self.play);
}
