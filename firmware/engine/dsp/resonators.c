/* A bank of resonators that a sound drives. */
#include "resonators.h"

#include "hash.h"
#include "quick.h"

#define FADED 9.4f       /* 0.47 / 0.05 */
#define FADE_RATE 20.0f  /* 1 / 0.05 turns */
#define MOST_LOSS 0.1f   /* per sample: −60 dB in 1.4 ms */
#define MOST_CYCLES 0.5f /* what is higher is silent */
#define SILENT 1e-12f    /* a state below it is nothing: else it would shrink to denormals */
#define HASHED 0x1p-31f  /* a hash as ±1 */

static inline void put(float *p, f4 x) {
    FOUR { p[j] = x[j]; }
}
static inline f4 size(f4 x) { return most(x, all(0.0f) - x); }

void vk_resonators_begin(vk_resonators *bank, uint32_t count, uint32_t seed) {
    bank->count = count;
    for (uint32_t k = 0; k < count; k++) {
        const float order = (float)(k + 1u);
        bank->order[k] = order;
        bank->log_order[k] = quick_log(all(order))[0];
        bank->scatter[k] = k > 0 ? (float)(int32_t)hash32(k + seed * GOLDEN) * HASHED : 0.0f;
        bank->cosine[k] = 0.0f;
        bank->sine[k] = 0.0f;
        bank->gain[k] = 0.0f;
    }
    bank->loudness = 0.0f;
    vk_resonators_silence(bank);
}

void vk_resonators_silence(vk_resonators *bank) {
    for (uint32_t k = 0; k < bank->count; k++) {
        bank->re[k] = 0.0f;
        bank->im[k] = 0.0f;
    }
}

static f4 gain_of(const vk_resonators_asked *asked, f4 order, f4 log_ratio, f4 cycles) {
    f4 cosine, sine;
    called_turn(product(order, all(0.5f * asked->position)), &cosine, &sine);
    const f4 fade = most(least(all(FADED) - product(all(FADE_RATE), cycles), all(1.0f)), all(0.0f));
    return product(product(called_exp(product(all(asked->brightness), log_ratio)), sine), fade);
}

void vk_resonators_tune(vk_resonators *bank, const vk_resonators_asked *asked) {
    f4 loudness = all(0.0f);
    ROLLED for (uint32_t k = 0; k < bank->count; k += 4u) {
        const f4 log_ratio = product(all(asked->stretch), four_at(bank->log_order + k)) +
                             product(all(asked->scatter), four_at(bank->scatter + k));
        const f4 cycles = least(product(all(asked->cycles), called_exp(log_ratio)), all(MOST_CYCLES));
        const f4 own = product(all(asked->loss), called_exp(product(all(asked->damping), log_ratio)));
        const f4 kept = called_exp(all(0.0f) - least(own + all(asked->choke), all(MOST_LOSS)));
        const f4 gain = gain_of(asked, four_at(bank->order + k), log_ratio, cycles);
        f4 cosine, sine;
        called_turn(cycles, &cosine, &sine);
        put(bank->cosine + k, product(kept, cosine));
        put(bank->sine + k, product(kept, sine));
        put(bank->gain + k, gain);
        loudness += size(gain);
        const f4 re = four_at(bank->re + k), im = four_at(bank->im + k);
        const f4 sounds = size(re) + size(im);
        FOUR {
            bank->re[k + j] = sounds[j] > SILENT ? re[j] : 0.0f;
            bank->im[k + j] = sounds[j] > SILENT ? im[j] : 0.0f;
        }
    }
    bank->loudness = (loudness[0] + loudness[1]) + (loudness[2] + loudness[3]);
}

void vk_resonators_ring(vk_resonators *bank, const float *restrict x, float *restrict out, uint32_t samples) {
    for (uint32_t k = 0; k < bank->count; k += 4u) {
        const f4 cosine = four_at(bank->cosine + k), sine = four_at(bank->sine + k), gain = four_at(bank->gain + k);
        f4 re = four_at(bank->re + k), im = four_at(bank->im + k);
        ROLLED for (uint32_t n = 0; n < samples; n++) {
            const f4 across = product(re, cosine) - product(im, sine);
            im = product(re, sine) + product(im, cosine);
            re = across + product(gain, all(x[n]));
            out[n] += (im[0] + im[1]) + (im[2] + im[3]);
        }
        put(bank->re + k, re);
        put(bank->im + k, im);
    }
}
