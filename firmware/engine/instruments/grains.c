/* Grains: places on a map of codes become pieces of sound, and grains of them a cloud at the pitch of a volt. */
#include "grains.h"

#include "../control/bound.h"
#include "../dsp/hash.h"
#include "../dsp/quick.h"

#define RATE_HZ 48000.0f
#define C2 (-1.75f) /* octaves above 220 Hz: what 0 V is */
#define SEMITONE (1.0f / 12.0f)
#define LOWEST (-2.5f)
#define HIGHEST 4.0f
#define LN_2 0.693147181f
#define TURNS_PER_HZ 89478.4853f /* 2^32 / 48000 */
#define A3_HZ 220.0f
#define FULL 2.5f /* loudness of a piece's loudest frame, as an ear tells it */
#define PER_LOUDNESS 0.0625f
#define PER_VOICING (1.0f / 255.0f)
#define FIRST 512u    /* sample of a piece where its sound has come in */
#define PULSE_AT 484u /* sample of a piece at which a pulse is loudest */
#define SAMPLE (1.0f / (float)VK_GRAIN_ONE)
#define ONE_TURN 4294967296.0f
#define INTERVAL 2147483648.0f /* of the clock, between grains in the mean */
#define SHARE (1.0f / 4294967296.0f)
#define HOPS (VK_GRAIN_SIZE / VK_HOP)
#define OLD_DRAW 1e6f /* distance of what belongs to an older draw */
#define DETUNED 4.0f  /* codes on the map, as far as an octave between a piece and the pitch */
#define VOLTS 5.0f

enum { OF_X = 0x10000, OF_Y = 0x20000, OF_CHOICE = 0x30000, OF_START = 0x40000, OF_PAN = 0x50000, OF_CLOCK = 0x60000 };
enum { OF_CODE_X = 0x70000, OF_CODE_Y = 0x80000 };

void grains_init(Grains *self, const GrainsSpec *spec) {
    self->spec = spec;
    vk_fft_begin(&self->roots);
    grains_reset(self);
}

static void clear(float *x, size_t count) {
    for (size_t i = 0; i < count; ++i) {
        x[i] = 0.0f;
    }
}

void grains_reset(Grains *self) {
    const GrainsSpec *spec = self->spec;
    if (spec->encoder != NULL) {
        spec->encoder->reset(spec->encoder_memory);
    }
    spec->decoder->reset(spec->decoder_memory);
    vk_ear_reset(&self->ear);
    vk_source_reset(&self->source);
    clear(self->arriving, VK_HOP);
    clear(self->made, VK_HOP);
    clear(self->heard, VK_EAR_BANDS + 1u);
    clear(self->heard_latent, TEXTURE_LATENTS);
    clear(self->latent, TEXTURE_LATENTS);
    clear(self->control, 3);
    clear(self->numbers, TEXTURE_NUMBERS);
    for (uint32_t p = 0; p < GRAINS_PIECES; ++p) {
        self->piece[p] = (GrainsPiece){0};
    }
    for (uint32_t g = 0; g < GRAINS_AT_ONCE; ++g) {
        self->grain[g].piece = NULL;
        self->of[g] = 0;
    }
    self->loudness = 0.0f;
    self->nearest = 0.0f;
    self->found = 0;
    self->code = 0;
    self->making = 0;
    self->frame = spec->codes->frames;
    self->gesture = 0;
    self->keeps = false;
    self->made_pieces = 0;
    self->begun = 0;
    self->draw = 0;
    self->clock = 0;
    self->due = 0;
    self->turn = 0;
    self->x = 0.5f;
    self->y = 0.5f;
    self->share = 0.0f;
    self->at = VK_HOP;
    self->step = spec->count;
    self->pulse = 0;
    self->frozen = false;
    self->holds = false;
}

static float value(const Grains *self, const Panel *panel, int8_t parameter) {
    return ramp_at(&panel->parameter[(uint8_t)parameter].value, self->share);
}

/* Even, 0 … 1. */
static float chance(uint32_t number, uint32_t of) {
    return (float)(int32_t)(hash32(number * GOLDEN + of) >> 1) * (2.0f * SHARE);
}

static float octaves_now(const Grains *self, const Panel *panel) {
    const GrainsSpec *spec = self->spec;
    const float asked = C2 + value(self, panel, spec->pitch) + value(self, panel, spec->tune) +
                        SEMITONE * value(self, panel, spec->fine);
    return bound(asked, LOWEST, HIGHEST);
}

static uint32_t turns_of(float octaves) { return (uint32_t)(A3_HZ * TURNS_PER_HZ * natural_exp(LN_2 * octaves)); }

/* How far what is heard replaces the hands. */
static float listening(const Grains *self, const Panel *panel) {
    return self->spec->encoder != NULL ? bound_unit(value(self, panel, self->spec->listen)) : 0.0f;
}

/* A place on the map, in codes, as hands and ear ask for it, and as far from it as chance has it. */
static float place_of(const Grains *self, const Panel *panel, int8_t hand, uint32_t heard, uint32_t number,
                      uint32_t of) {
    const float side = (float)self->spec->codes->side;
    const float by_hand = side * bound_unit(value(self, panel, hand));
    const float by_ear = (float)heard + 0.5f;
    const float middle = by_hand + listening(self, panel) * (by_ear - by_hand);
    const float strays = bound_unit(value(self, panel, self->spec->spread)) * (chance(number, of) - 0.5f);
    return bound(middle + side * strays, 0.0f, side - 0.001f);
}

/* All grains up to a sample of the block: before one begins or a piece is taken, and at the end. */
static void draw_to(Grains *self, size_t end) {
    if (end == self->drawn) {
        return;
    }
    for (uint32_t g = 0; g < GRAINS_AT_ONCE; ++g) {
        if (self->grain[g].piece != NULL) {
            vk_grain_add(&self->grain[g], self->left + self->drawn, self->right + self->drawn, end - self->drawn);
        }
    }
    self->drawn = end;
}

static bool sounds(const Grains *self, uint32_t piece) {
    for (uint32_t g = 0; g < GRAINS_AT_ONCE; ++g) {
        if (self->grain[g].piece != NULL && self->of[g] == piece) {
            return true;
        }
    }
    return false;
}

/* ---- the bank ---- */

/* The oldest piece that nothing reads is made anew, of a code near the place that is asked for. */
static void begin_piece(Grains *self, const Panel *panel) {
    const GrainsSpec *spec = self->spec;
    const GrainsCodes *codes = spec->codes;
    uint32_t oldest = GRAINS_PIECES;
    draw_to(self, self->now);
    for (uint32_t p = 0; p < GRAINS_PIECES; ++p) {
        if ((oldest == GRAINS_PIECES || self->piece[p].number < self->piece[oldest].number) && !sounds(self, p)) {
            oldest = p;
        }
    }
    const uint32_t number = ++self->made_pieces, mask = codes->side - 1u;
    const float x = place_of(self, panel, spec->x, self->code & mask, number, OF_CODE_X);
    const float y = place_of(self, panel, spec->y, (uint32_t)self->code >> codes->bits, number, OF_CODE_Y);
    const uint32_t column = (uint32_t)(int32_t)x, row = (uint32_t)(int32_t)y;
    const float octaves = bound(octaves_now(self, panel) + value(self, panel, spec->body), LOWEST, HIGHEST);
    self->making = (uint8_t)oldest;
    self->gesture = (uint16_t)(row * codes->side + column);
    self->frame = 0;
    self->piece[oldest] = (GrainsPiece){
        .x = (float)column + 0.5f,
        .y = (float)row + 0.5f,
        .octaves = octaves,
        .speed = turns_of(octaves),
        .number = number,
        .draw = self->draw,
    };
}

/* What the decoder is told of the next frame of a gesture. */
static void aim(Grains *self, const Panel *panel) {
    const GrainsCodes *codes = self->spec->codes;
    if (self->frame >= codes->frames) {
        begin_piece(self, panel);
    }
    if (self->frame == codes->lead) {
        vk_source_reset(&self->source);
    }
    GrainsPiece *piece = &self->piece[self->making];
    const uint32_t at = (uint32_t)self->gesture * codes->frames + self->frame,
                   size = (uint32_t)codes->side * codes->side;
    const uint16_t *gesture = codes->gesture + at * codes->books;
    const float detail = value(self, panel, self->spec->detail);
    for (uint32_t i = 0; i < codes->latents; ++i) {
        float rest = 0.0f;
        for (uint32_t b = 1; b < codes->books; ++b) {
            rest += codes->book[(b * size + gesture[b]) * codes->latents + i];
        }
        self->latent[i] = codes->book[(uint32_t)gesture[0] * codes->latents + i] + detail * rest;
    }
    if (self->spec->layer != NULL) {
        float no_knobs[1] = {0.0f};
        (void)self->spec->layer->process(&self->spec->memory, self->spec->layer, panel, VK_HOP, self->latent, no_knobs);
    }
    const float voicing = (float)codes->voicing[at] * PER_VOICING;
    self->control[0] = piece->octaves;
    self->control[1] = voicing;
    self->control[2] = FULL - (float)codes->loudness[at] * PER_LOUDNESS;
    self->keeps = self->frame >= codes->lead;
    if (self->keeps) {
        piece->voicing += voicing * (1.0f / (float)HOPS);
    }
    ++self->frame;
}

/* The hop that was made last goes to its piece. */
static void keep(Grains *self, uint32_t part) {
    const GrainsCodes *codes = self->spec->codes;
    if (!self->keeps) {
        return;
    }
    if (part == 0) {
        vk_source_sound(self->control[2], &self->source, self->made);
        return;
    }
    int16_t *to = self->spec->bank[self->making] + (uint32_t)(self->frame - 1u - codes->lead) * VK_HOP;
    for (uint32_t n = 0; n < VK_HOP; ++n) {
        to[n] = (int16_t)(int32_t)(VK_GRAIN_SCALE * bound_sound(self->made[n], 3.99f));
    }
    if (self->frame == codes->frames) {
        to[VK_HOP] = to[VK_HOP - 1u];
        self->piece[self->making].ready = true;
    }
    self->keeps = false;
}

/* A part of the map is looked through for what is heard. */
static void seek(Grains *self, uint32_t part) {
    const GrainsCodes *codes = self->spec->codes;
    const uint32_t size = (uint32_t)codes->side * codes->side;
    const uint32_t first = size * part / GRAINS_SEEKS, end = size * (part + 1u) / GRAINS_SEEKS;
    float nearest = part == 0 ? 1e30f : self->nearest;
    uint32_t found = self->found;
    const float *row = codes->book + (size_t)first * codes->latents;
    for (uint32_t c = first; c < end; ++c) {
        float away = 0.0f;
        for (uint32_t i = 0; i < codes->latents; ++i) {
            const float way = self->heard_latent[i] - *row++;
            away += way * way;
        }
        if (away < nearest) {
            nearest = away;
            found = c;
        }
    }
    self->nearest = nearest;
    self->found = (uint16_t)found;
    if (part == GRAINS_SEEKS - 1u) {
        self->code = (uint16_t)found;
    }
}

static void begin_hop(Grains *self) {
    const GrainsSpec *spec = self->spec;
    self->holds = self->frozen;
    if (spec->encoder != NULL) {
        float *loudness = self->heard + spec->encoder->ear.bands;
        vk_ear_take(&spec->encoder->ear, &self->ear, self->arriving, loudness);
        self->loudness = *loudness;
    }
    self->at = 0;
    self->step = 0;
}

static void do_step(Grains *self, const Panel *panel, const GrainsStep *step) {
    const GrainsSpec *spec = self->spec;
    const TextureDecoder *decoder = spec->decoder;
    switch (step->stage) {
    case GRAINS_STAGE_HEAR: vk_ear_hear(&spec->encoder->ear, &self->roots, &self->ear, step->part, self->heard); return;
    case GRAINS_STAGE_ENCODE:
        spec->encoder->process(spec->encoder_memory, step->part, self->heard, self->heard_latent);
        return;
    case GRAINS_STAGE_SEEK: seek(self, step->part); return;
    default: break;
    }
    if (self->holds) { /* the bank stays as it is */
        return;
    }
    switch (step->stage) {
    case GRAINS_STAGE_KEEP: keep(self, step->part); break;
    case GRAINS_STAGE_AIM: aim(self, panel); break;
    case GRAINS_STAGE_PULSES: vk_source_pulses(self->control[0], &self->roots, &self->source, step->part); break;
    case GRAINS_STAGE_DECODE:
        decoder->process(spec->decoder_memory, step->part, self->latent, self->control, NULL, self->numbers);
        break;
    case GRAINS_STAGE_GAINS: vk_source_gains(&decoder->filter, &self->source, self->numbers, step->part); break;
    default: vk_source_frame(&decoder->filter, &self->roots, &self->source, step->part);
    }
}

/* ---- grains ---- */

/* The piece nearest to a place, of this draw if there is one; GRAINS_PIECES: none is ready. */
static uint32_t nearest_piece(const Grains *self, float x, float y, float octaves) {
    uint32_t best = GRAINS_PIECES;
    float least = 1e30f;
    for (uint32_t p = 0; p < GRAINS_PIECES; ++p) {
        const GrainsPiece *piece = &self->piece[p];
        if (!piece->ready) {
            continue;
        }
        const float over = piece->x - x, up = piece->y - y, off = DETUNED * (piece->octaves - octaves);
        const float old = piece->draw == self->draw ? 0.0f : OLD_DRAW;
        const float away = over * over + up * up + off * off + old + chance(self->begun + p, OF_CHOICE);
        if (away < least) {
            least = away;
            best = p;
        }
    }
    return best;
}

static float logarithm(float x) { return quick_log(all(x))[0]; }

/* A grain begins now, if there is room and something to read. */
static void begin_grain(Grains *self, const Panel *panel) {
    const GrainsSpec *spec = self->spec;
    const GrainsCodes *codes = spec->codes;
    const uint32_t number = ++self->begun, mask = codes->side - 1u;
    uint32_t g = 0;
    draw_to(self, self->now);
    while (g < GRAINS_AT_ONCE && self->grain[g].piece != NULL) {
        ++g;
    }
    const float x = place_of(self, panel, spec->x, self->code & mask, number, OF_X);
    const float y = place_of(self, panel, spec->y, (uint32_t)self->code >> codes->bits, number, OF_Y);
    const float octaves = octaves_now(self, panel), body = value(self, panel, spec->body);
    const uint32_t p = nearest_piece(self, x, y, octaves + body);
    if (g == GRAINS_AT_ONCE || p == GRAINS_PIECES) {
        return;
    }
    const GrainsPiece *piece = &self->piece[p];
    const float ratio = natural_exp(LN_2 * bound(octaves - piece->octaves, -3.0f, 3.0f));
    const float period = ONE_TURN / (float)piece->speed;
    const float room = (float)(VK_GRAIN_SIZE - FIRST - 2u) - period;
    const float length = least1(value(self, panel, spec->length), room / ratio);
    const float spare = most1(room - length * ratio, 0.0f);
    const float start = (float)FIRST + spare * bound_unit(value(self, panel, spec->jitter)) * chance(number, OF_START);
    const uint32_t sample = (uint32_t)start;
    const uint32_t behind = self->turn - (uint32_t)(sample - PULSE_AT) * piece->speed;
    const float overlap = bound(value(self, panel, spec->density) * length * (1.0f / RATE_HZ), 1.0f,
                                (float)GRAINS_AT_ONCE);
    const float listens = listening(self, panel);
    const float follows = listens * bound(self->loudness - FULL, -6.0f, 1.0f);
    const float gain = natural_exp(follows - (0.5f + 0.5f * piece->voicing) * logarithm(overlap));
    const float pan = bound_unit(value(self, panel, spec->width)) * (2.0f * chance(number, OF_PAN) - 1.0f);
    self->of[g] = (uint8_t)p;
    self->grain[g] = (vk_grain){
        .piece = spec->bank[p],
        .place = (sample << (32u - VK_GRAIN_BITS)) + (uint32_t)((float)behind * SHARE * period * (float)VK_GRAIN_ONE),
        .speed = (uint32_t)(ratio * (float)VK_GRAIN_ONE),
        .age = 0,
        .pace = (uint32_t)(ONE_TURN / most1(length, 16.0f)),
        .left = gain * (1.0f - most1(pan, 0.0f)),
        .right = gain * (1.0f + least1(pan, 0.0f)),
    };
    self->x = x / (float)codes->side;
    self->y = y / (float)codes->side;
    self->pulse = PULSE_TICKS;
}

/* What the clock of grains moves on by in a sample. */
static uint32_t clock_speed(const Grains *self, const Panel *panel) {
    return (uint32_t)(bound(value(self, panel, self->spec->density), 0.0f, 1000.0f) * (0.5f * TURNS_PER_HZ));
}

static void begin_due_grain(Grains *self, const Panel *panel) {
    const float strays = bound_unit(value(self, panel, self->spec->jitter)) * (chance(self->begun, OF_CLOCK) - 0.5f);
    self->clock -= self->due;
    self->due = (uint32_t)(INTERVAL * (1.0f + strays));
    begin_grain(self, panel);
}

/* Samples until something falls due or the hop is complete, once all that is due is done. */
static size_t work(Grains *self, const Panel *panel) {
    const GrainsSpec *spec = self->spec;
    if (self->at == VK_HOP) {
        begin_hop(self);
    }
    while (self->step < spec->count && spec->steps[self->step].due <= self->at) {
        do_step(self, panel, spec->steps + self->step);
        ++self->step;
    }
    const uint16_t next = self->step < spec->count ? spec->steps[self->step].due : VK_HOP;
    return (size_t)(next - self->at);
}

static float volts_of(const Grains *self, int8_t source) {
    switch (source) {
    case GRAINS_OUT_X: return VOLTS * bound_unit(self->x);
    case GRAINS_OUT_Y: return VOLTS * bound_unit(self->y);
    case GRAINS_OUT_CROWD: {
        uint32_t crowd = 0;
        for (uint32_t g = 0; g < GRAINS_AT_ONCE; ++g) {
            crowd += self->grain[g].piece != NULL;
        }
        return VOLTS * (float)crowd / (float)GRAINS_AT_ONCE;
    }
    default: return 0.0f;
    }
}

/* What rises at a sample: a redraw makes all pieces old, a trigger begins a grain. */
static void take_gates(Grains *self, const Panel *panel, size_t at) {
    self->frozen = panel->level[at] >> GRAINS_FREEZE & 1u;
    if (panel->rise[at] >> GRAINS_REDRAW & 1u) {
        ++self->draw;
        self->frame = self->spec->codes->frames; /* what is half made is left */
        self->keeps = false;
    }
    if (panel->rise[at] >> GRAINS_TRIGGER & 1u) {
        begin_grain(self, panel);
    }
}

/* Samples from `done` on without a gate that rises, `most` at most. */
static size_t until_rise(const Panel *panel, size_t done, size_t most) {
    size_t count = 1;
    if (panel->risen == 0) {
        return most;
    }
    while (count < most && panel->rise[done + count] == 0) {
        ++count;
    }
    return count;
}

void grains_render(Grains *self, const Panel *panel, const PortBlock *block) {
    const GrainsSpec *spec = self->spec;
    const size_t ticks = block->ticks;
    Slope gain = panel_slope(panel, (uint8_t)spec->gain, 0), level = panel_slope(panel, (uint8_t)spec->level, 0);
    const uint32_t jack = output_gates(&spec->outputs, 1u << GRAINS_OUT_GRAIN);
    float left[PORT_MAX_BLOCK] = {0}, right[PORT_MAX_BLOCK] = {0};
    self->left = left;
    self->right = right;
    self->drawn = 0;
    for (size_t done = 0; done < ticks;) {
        self->share = (float)done * panel->per_tick;
        self->now = done;
        take_gates(self, panel, done);
        size_t count = work(self, panel);
        const uint32_t speed = clock_speed(self, panel), turn = turns_of(octaves_now(self, panel));
        if (speed > 0 && self->clock >= self->due) {
            begin_due_grain(self, panel);
        }
        if (speed > 0 && self->due > self->clock) {
            const uint32_t wait = (self->due - self->clock + speed - 1u) / speed;
            count = wait < count ? wait : count;
        }
        count = count < ticks - done ? count : ticks - done;
        count = until_rise(panel, done, count);
        for (size_t i = done; i < done + count; ++i) {
            const float raw = block->audio_in != NULL ? block->audio_in[0][i] : 0.0f;
            self->arriving[self->at++] = audible(raw * slope_next(&gain));
            block->gates_out[i] = pulse_next(&self->pulse) ? jack : 0u;
        }
        self->clock += speed * (uint32_t)count;
        self->turn += turn * (uint32_t)count;
        done += count;
    }
    draw_to(self, ticks);
    for (size_t i = 0; i < ticks; ++i) {
        const float now = slope_next(&level);
        left[i] = audible(left[i] * now);
        right[i] = audible(right[i] * now);
    }
    for (uint8_t c = 0; c < spec->outputs.audios; ++c) {
        const int8_t source = spec->outputs.audio[c];
        for (size_t i = 0; i < ticks; ++i) {
            block->audio_out[c][i] = source == GRAINS_AUDIO_LEFT    ? left[i]
                                     : source == GRAINS_AUDIO_RIGHT ? right[i]
                                                                    : 0.0f;
        }
    }
    for (uint8_t c = 0; c < spec->outputs.cvs; ++c) {
        const float volts = volts_of(self, spec->outputs.cv[c]);
        for (size_t i = 0; i < ticks; ++i) {
            block->cv_out[c][i] = volts;
        }
    }
}
