/* What the module shows: where the controls stand with their CV, what struck, how loud it is. */
#include "control/law.h"
#include "control/table.h"
#include "host.h"
#include "plugin.h"
#include "text.h"

/* 256 × 64 pixels; the module's own parameter line is above. */
enum { BAR_LEFT = 2, BAR_STEP = 14, BAR_WIDTH = 10, BAR_TOP = 26, BAR_BOTTOM = 52, BARS = 13, MARK_Y = 60 };
enum { GATE_LEFT = 190, GATE_STEP = 10, GATE_SIZE = 7, GATES = 5, LEVEL_LEFT = 246, LEVEL_RIGHT = 253 };
enum { BRIGHT = 15, MIDDLE = 8, DIM = 4 };
#define FLASH_DRAWS 3u /* about 100 ms */

static void draw_bars(const PortReport *report) {
    int bar = 0;
    for (uint8_t r = 0; r < plugin_spec.rows && bar < BARS; ++r) {
        const PluginRow *row = &plugin_spec.row[r];
        if (row->mark[0] == 0) {
            continue;
        }
        const int left = BAR_LEFT + bar++ * BAR_STEP, right = left + BAR_WIDTH - 1;
        const int top = BAR_BOTTOM - (int)(report->position[row->parameter] * (float)(BAR_BOTTOM - BAR_TOP));
        NT_drawShapeI(NT_SHAPE_BOX, left, BAR_TOP, right, BAR_BOTTOM, DIM);
        NT_drawShapeI(NT_SHAPE_RECTANGLE, left, top, right, BAR_BOTTOM, MIDDLE);
        NT_drawText(left, MARK_Y, row->mark, MIDDLE, NT_ALIGN_LEFT, NT_TEXT_TINY);
    }
}

static void draw_gates(PluginDisplay *display, const PortReport *report) {
    for (uint8_t g = 0; g < plugin_spec.gates && g < GATES; ++g) {
        if (report->triggers[g] != display->triggers[g]) {
            display->triggers[g] = report->triggers[g];
            display->flash[g] = FLASH_DRAWS;
        }
        const int left = GATE_LEFT + g * GATE_STEP, right = left + GATE_SIZE - 1, top = BAR_BOTTOM - GATE_SIZE + 1;
        NT_drawShapeI(NT_SHAPE_BOX, left, top, right, BAR_BOTTOM, DIM);
        if (display->flash[g] != 0) {
            --display->flash[g];
            NT_drawShapeI(NT_SHAPE_RECTANGLE, left, top, right, BAR_BOTTOM, BRIGHT);
        }
    }
}

static void draw_level(float level) {
    const float shown = level > 1.0f ? 1.0f : level;
    const int top = BAR_BOTTOM - (int)(shown * (float)(BAR_BOTTOM - BAR_TOP));
    NT_drawShapeI(NT_SHAPE_BOX, LEVEL_LEFT, BAR_TOP, LEVEL_RIGHT, BAR_BOTTOM, DIM);
    NT_drawShapeI(NT_SHAPE_RECTANGLE, LEVEL_LEFT, top, LEVEL_RIGHT, BAR_BOTTOM, BRIGHT);
}

static void draw_latency(const Plugin *plugin) {
    char line[32];
    Text text = text_into(line, sizeof line);
    if (plugin->other_model) {
        text_put(&text, "OTHER MODEL");
    } else {
        text_put(&text, "LATENCY ");
        text_decimal(&text, plugin_spec.latency_ms, 1, 0);
        text_put(&text, " MS");
    }
    NT_drawText(254, MARK_Y, line, MIDDLE, NT_ALIGN_RIGHT, NT_TEXT_TINY);
}

bool plugin_draw(NtAlgorithm *self) {
    Plugin *plugin = (Plugin *)self;
    if (plugin_refuses_rate()) {
        NT_drawText(2, 36, "It plays at a sample rate of 48 kHz only:", BRIGHT, NT_ALIGN_LEFT, NT_TEXT_NORMAL);
        NT_drawText(2, 50, "choose that rate in the Settings menu.", BRIGHT, NT_ALIGN_LEFT, NT_TEXT_NORMAL);
        return false;
    }
    PortReport report;
    instance_report(plugin->instance, &report);
    if (PLUGIN_COUNTS) {
        plugin_draw_counters(&plugin->counters);
    } else {
        draw_bars(&report);
    }
    draw_gates(&plugin->display, &report);
    draw_level(plugin->display.level);
    draw_latency(plugin);
    return false;
}

int plugin_string(NtAlgorithm *self, int parameter, int value, char *words) {
    (void)self;
    const PluginRow *row = &plugin_spec.row[parameter];
    Text text = text_into(words, NT_STRING_BYTES);
    if (row->kind == ROW_SEND) {
        text_put(&text, value != 0 ? "now" : "");
    } else if (row->kind <= ROW_SET && row->choices == 0) {
        const float position = plugin_travel(row, value);
        text_decimal(&text, position * 100.0f, 1, 0);
        text_put(&text, " %");
        if (row->points != 0) {
            text_put(&text, "  ");
            text_decimal(&text, table_at(row->table, row->points, law_apply(row->law, position)), 2, 1);
        }
    }
    return (int)text.length;
}
