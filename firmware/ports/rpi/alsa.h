/* The part of ALSA that the audio loop uses, looked up at run time: the program is built without ALSA's headers or
 * libraries (so also on another machine, for a Pi) and says in words when libasound.so.2 is not there.
 * Signatures and numbers are those of alsa-lib's public interface (asoundlib.h).
 */
#ifndef VAECTROL_PORTS_RPI_ALSA_H
#define VAECTROL_PORTS_RPI_ALSA_H

#include <stdbool.h>

typedef struct snd_pcm snd_pcm_t;
typedef struct snd_pcm_hw_params snd_pcm_hw_params_t;
typedef struct snd_pcm_sw_params snd_pcm_sw_params_t;
typedef unsigned long snd_pcm_uframes_t;
typedef long snd_pcm_sframes_t;

enum { ALSA_PLAYBACK = 0, ALSA_CAPTURE = 1 };
enum { ALSA_RW_INTERLEAVED = 3 };
enum { ALSA_S16_LE = 2, ALSA_S32_LE = 10 };

#define ALSA_FUNCTIONS(X)                                                                                              \
    X(int, snd_pcm_open, (snd_pcm_t **, const char *, int, int))                                                       \
    X(int, snd_pcm_close, (snd_pcm_t *))                                                                               \
    X(int, snd_pcm_hw_params_malloc, (snd_pcm_hw_params_t **))                                                         \
    X(void, snd_pcm_hw_params_free, (snd_pcm_hw_params_t *))                                                           \
    X(int, snd_pcm_hw_params_any, (snd_pcm_t *, snd_pcm_hw_params_t *))                                                \
    X(int, snd_pcm_hw_params_set_access, (snd_pcm_t *, snd_pcm_hw_params_t *, int))                                    \
    X(int, snd_pcm_hw_params_set_format, (snd_pcm_t *, snd_pcm_hw_params_t *, int))                                    \
    X(int, snd_pcm_hw_params_set_channels, (snd_pcm_t *, snd_pcm_hw_params_t *, unsigned))                             \
    X(int, snd_pcm_hw_params_set_rate_near, (snd_pcm_t *, snd_pcm_hw_params_t *, unsigned *, int *))                   \
    X(int, snd_pcm_hw_params_set_period_size_near, (snd_pcm_t *, snd_pcm_hw_params_t *, snd_pcm_uframes_t *, int *))   \
    X(int, snd_pcm_hw_params_set_periods_near, (snd_pcm_t *, snd_pcm_hw_params_t *, unsigned *, int *))                \
    X(int, snd_pcm_hw_params, (snd_pcm_t *, snd_pcm_hw_params_t *))                                                    \
    X(int, snd_pcm_sw_params_malloc, (snd_pcm_sw_params_t **))                                                         \
    X(void, snd_pcm_sw_params_free, (snd_pcm_sw_params_t *))                                                           \
    X(int, snd_pcm_sw_params_current, (snd_pcm_t *, snd_pcm_sw_params_t *))                                            \
    X(int, snd_pcm_sw_params_set_start_threshold, (snd_pcm_t *, snd_pcm_sw_params_t *, snd_pcm_uframes_t))             \
    X(int, snd_pcm_sw_params, (snd_pcm_t *, snd_pcm_sw_params_t *))                                                    \
    X(int, snd_pcm_link, (snd_pcm_t *, snd_pcm_t *))                                                                   \
    X(int, snd_pcm_prepare, (snd_pcm_t *))                                                                             \
    X(int, snd_pcm_start, (snd_pcm_t *))                                                                               \
    X(int, snd_pcm_drop, (snd_pcm_t *))                                                                                \
    X(snd_pcm_sframes_t, snd_pcm_readi, (snd_pcm_t *, void *, snd_pcm_uframes_t))                                      \
    X(snd_pcm_sframes_t, snd_pcm_writei, (snd_pcm_t *, const void *, snd_pcm_uframes_t))                               \
    X(int, snd_pcm_recover, (snd_pcm_t *, int, int))                                                                   \
    X(const char *, snd_strerror, (int))

typedef struct Alsa {
#define ALSA_MEMBER(result, name, arguments) result(*name) arguments;
    ALSA_FUNCTIONS(ALSA_MEMBER)
#undef ALSA_MEMBER
} Alsa;

extern Alsa alsa;

/* false: no libasound.so.2 on this computer, or one without these functions. */
bool alsa_load(void);

#endif
