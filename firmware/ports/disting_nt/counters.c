/* What an instrument costs on a real module, counted by the module itself: on the display, and as System Exclusive.
 *
 * The message is text between F0 7D and F7, a line for each figure; docs/manuals/first-measurements.md says what they are.
 * `vaectrol bench --from-module` reads it, and the same lines typed off the display.
 */
#include "host.h"
#include "plugin.h"
#include "text.h"

#define WINDOW_STEPS 1024u
#define WINDOW_CYCLES 0x80000000u /* half of what a counter holds */

void plugin_count(PluginCounters *counters, uint32_t began, uint32_t spent, uint32_t frames) {
    PluginWindow *now = &counters->now;
    if (counters->steps != 0) {
        now->passed += began - counters->began;
    }
    counters->began = began;
    ++counters->steps;
    counters->worst = spent > counters->worst ? spent : counters->worst;
    ++now->steps;
    now->frames += frames;
    now->spent += spent;
    if (now->steps == WINDOW_STEPS || now->passed >= WINDOW_CYCLES) {
        counters->last = *now;
        *now = (PluginWindow){0};
    }
}

static void line(Text *text, const char *key, uint32_t number) {
    text_put(text, key);
    text_number(text, number);
    text_put(text, "\n");
}

void plugin_send_counters(const Plugin *plugin) {
    static const uint8_t begin[] = {0xF0, 0x7D};
    const PluginCounters *counters = &plugin->counters;
    char words[512];
    Text text = text_into(words, sizeof words);
    text_put(&text, "vaectrol counters 1\ninstrument=");
    text_put(&text, plugin_spec.file);
    text_put(&text, "\nversion=");
    text_put(&text, plugin_spec.version);
    text_put(&text, "\nmodel=");
    text_put(&text, plugin_spec.model_hash);
    text_put(&text, "\n");
    line(&text, "rate=", nt_globals()->sample_rate_hz);
    line(&text, "steps=", counters->steps);
    line(&text, "worst=", counters->worst);
    line(&text, "window_steps=", counters->last.steps);
    line(&text, "window_frames=", counters->last.frames);
    line(&text, "window_spent=", counters->last.spent);
    line(&text, "window_passed=", counters->last.passed);
    NT_sendMidiSysEx(NT_TO_BREAKOUT | NT_TO_USB, begin, sizeof begin, false);
    NT_sendMidiSysEx(NT_TO_BREAKOUT | NT_TO_USB, (const uint8_t *)words, (uint32_t)text.length, true);
}

void plugin_draw_counters(const PluginCounters *counters) {
    static const char *const keys[] = {"window_spent=", "window_passed=", "window_frames=", "worst="};
    const uint32_t numbers[] = {counters->last.spent, counters->last.passed, counters->last.frames, counters->worst};
    for (int i = 0; i < 4; ++i) {
        char words[40];
        Text text = text_into(words, sizeof words);
        text_put(&text, keys[i]);
        text_number(&text, numbers[i]);
        NT_drawText(2 + i / 2 * 92, 36 + i % 2 * 12, words, 15, NT_ALIGN_LEFT, NT_TEXT_TINY);
    }
}
