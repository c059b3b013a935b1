/* An instrument on a Raspberry Pi, or on any Linux PC: starts the threads, serves the socket, reports at the end. */
#define _GNU_SOURCE
#include "../../engine/port.h"
#include "audio.h"
#include "board.h"
#include "converters.h"
#include "gates.h"
#include "moment.h"
#include "realtime.h"
#include "server.h"
#include "storage.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SERVE_MS 5

static volatile sig_atomic_t asked_to_stop;

static void stop(int signal) {
    (void)signal;
    asked_to_stop = 1;
}

typedef struct Options {
    AudioSettings audio;
    const char *socket, *storage, *adc, *dac, *gpio;
    float seconds; /* 0: until a signal */
} Options;

static const char usage[] =
    "usage: %s [--audio DEVICE|none] [--block N] [--paced] [--socket PATH] [--storage FILE]\n"
    "          [--adc SPIDEV|none] [--dac SPIDEV|none] [--gpio CHIP|none] [--seconds S]\n"
    "Plays the instrument it was built with. DEVICE is an ALSA name (aplay -L); none runs by the clock.\n"
    "--paced holds ALSA's null and file devices to real time. Counts go to standard output as JSON at the end.\n";

static const char *unless_none(const char *text) { return strcmp(text, "none") == 0 ? NULL : text; }

static bool read_options(int count, char **words, Options *o) {
    enum { AUDIO = 1, BLOCK, PACED, SOCKET, STORAGE, ADC, DAC, GPIO, SECONDS };
    static const struct option known[] = {
        {"audio", required_argument, NULL, AUDIO},     {"block", required_argument, NULL, BLOCK},
        {"paced", no_argument, NULL, PACED},           {"socket", required_argument, NULL, SOCKET},
        {"storage", required_argument, NULL, STORAGE}, {"adc", required_argument, NULL, ADC},
        {"dac", required_argument, NULL, DAC},         {"gpio", required_argument, NULL, GPIO},
        {"seconds", required_argument, NULL, SECONDS}, {NULL, 0, NULL, 0}};
    int option;
    while ((option = getopt_long(count, words, "", known, NULL)) != -1) {
        switch (option) {
        case AUDIO: o->audio.device = unless_none(optarg); break;
        case BLOCK: o->audio.block = (unsigned)strtoul(optarg, NULL, 10); break;
        case PACED: o->audio.paced = true; break;
        case SOCKET: o->socket = optarg; break;
        case STORAGE: o->storage = optarg; break;
        case ADC: o->adc = unless_none(optarg); break;
        case DAC: o->dac = unless_none(optarg); break;
        case GPIO: o->gpio = unless_none(optarg); break;
        case SECONDS: o->seconds = strtof(optarg, NULL); break;
        default: return false;
        }
    }
    return optind == count;
}

static void read_load(void *context, ProtocolLoad *load) {
    (void)context;
    AudioCounts counts;
    audio_counts(&counts);
    *load = (ProtocolLoad){.mean = counts.mean, .worst = counts.worst, .late = counts.xruns};
}

static bool reboot(void *context, ProtocolReboot target) {
    (void)context;
    if (target != PROTOCOL_REBOOT_APP) return false; /* a Pi has no bootloader of ours */
    asked_to_stop = 1;                               /* systemd starts it again */
    return true;
}

static void report(const Realtime *r, double seconds) {
    AudioCounts c;
    audio_counts(&c);
    printf("{\"instrument\":\"%s\",\"version\":\"%s\",\"board\":\"%s\",\"seconds\":%.3f,\"blocks\":%llu,"
           "\"frames\":%llu,\"xruns\":%u,\"lost_frames\":%llu,\"cpu_mean\":%.6f,\"cpu_worst\":%.6f,"
           "\"worst_late_ms\":%.3f,\"edges_lost\":%u,\"capture\":%s,\"sched_fifo\":%s,\"mlockall\":%s,"
           "\"governor\":\"%s\",\"trouble\":\"%s\"}\n",
           instrument_info()->title, instrument_info()->version, instrument_info()->board, seconds,
           (unsigned long long)c.blocks, (unsigned long long)c.frames, c.xruns, (unsigned long long)c.lost_frames,
           (double)c.mean, (double)c.worst, (double)c.worst_late_ms, gates_lost(), c.capture ? "true" : "false",
           c.fifo ? "true" : "false", r->memory_locked ? "true" : "false", r->governor, c.trouble);
}

static int fail(const char *why) {
    fprintf(stderr, "vaectrol-pi: %s.\n", why);
    return 2;
}

int main(int count, char **words) {
    Options o = {.audio = {.device = "default", .block = BOARD_BLOCK},
                 .socket = "/run/vaectrol/vaectrol.sock",
                 .storage = "/var/lib/vaectrol/storage.bin",
                 .adc = BOARD_SPI_DEVICE,
                 .dac = BOARD_DAC_SPI_DEVICE,
                 .gpio = BOARD_GPIO_CHIP};
    char why[256] = "";
    if (!read_options(count, words, &o)) {
        fprintf(stderr, usage, words[0]);
        return 2;
    }
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    signal(SIGPIPE, SIG_IGN);
    Realtime realtime;
    realtime_prepare(&realtime);
    if (!audio_open(&o.audio, why, sizeof why)) return fail(why);
    const PortStorage *storage = storage_open(o.storage);
    if (storage == NULL)
        fprintf(stderr, "no storage: cannot write %s (%s); calibration and presets will not be kept.\n", o.storage,
                strerror(errno));
    instrument_load(storage);
    instrument_init(BOARD_TRUE_RATE_HZ);
    if (storage != NULL) (void)instrument_idle(storage);
    if (o.adc != NULL && !converters_start(o.adc, o.dac, why, sizeof why)) fprintf(stderr, "%s.\n", why);
    else if (o.adc == NULL) (void)converters_start(NULL, NULL, why, sizeof why); /* inputs rest at 0 V */
    if (o.gpio != NULL && !gates_start(o.gpio, why, sizeof why)) fprintf(stderr, "%s.\n", why);
    const ProtocolPort port = {.true_rate_hz = BOARD_TRUE_RATE_HZ,
                               .storage = storage,
                               .load = read_load,
                               .codes = audio_codes,
                               .reboot = reboot};
    if (!server_open(o.socket, &port)) {
        snprintf(why, sizeof why, "cannot listen at %s (%s); choose another place with --socket", o.socket,
                 strerror(errno));
        return fail(why);
    }
    const int64_t began_ns = moment_ns();
    if (!audio_start()) return fail("no thread for the audio");
    AudioCounts c;
    bool complained = false;
    do {
        server_serve(SERVE_MS);
        audio_counts(&c);
        if (!complained && c.blocks > 0) {
            realtime.fifo = c.fifo;
            realtime_complain(&realtime);
            complained = true;
        }
        gates_light(moment_ns() / (c.worst > 0.95f ? 60000000 : 500000000) % 2 == 0); /* fast: too little time */
    } while (!asked_to_stop && c.trouble[0] == '\0' &&
             (o.seconds <= 0.0f || (double)(moment_ns() - began_ns) * 1e-9 < (double)o.seconds));
    audio_stop();
    const double seconds = (double)(moment_ns() - began_ns) * 1e-9;
    gates_stop();
    converters_stop();
    server_close();
    report(&realtime, seconds);
    return c.trouble[0] != '\0' ? fail(c.trouble) : 0;
}
