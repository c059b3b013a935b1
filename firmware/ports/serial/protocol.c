#include "protocol.h"

#include <string.h>

#define MAX_MEMBERS 6u
#define MAX_ID_BYTES 40u
#define MAX_STREAM_HZ 200.0f
#define MAX_VOLTS 20.0f
#define MAX_COMMAND_MEMBERS 4u
#define READ_FRAMES 32u /* of a table in an answer */
#define WRITE_FRAMES 8u /* in a request, which is shorter */
#define MODEL_BYTES 540u

/* One request, taken apart: at most MAX_MEMBERS members, none twice. */
typedef struct Request {
    JsonText name[MAX_MEMBERS], value[MAX_MEMBERS];
    size_t members;
    char command[16];
    JsonText id; /* length 0: none */
} Request;

typedef struct Command {
    const char *name;
    const char *members[MAX_COMMAND_MEMBERS]; /* those it knows beside cmd and id */
    /* NULL when done, else what was wrong. Adds its answer to `w`; it changes nothing unless it succeeds. */
    const char *(*run)(Protocol *p, const Request *r, JsonWriter *w);
} Command;

static bool is_named(JsonText name, const char *text) {
    const size_t length = strlen(text);
    return name.length == length + 2 && memcmp(name.text + 1, text, length) == 0;
}

static const JsonText *member(const Request *r, const char *name) {
    for (size_t i = 0; i < r->members; i++)
        if (is_named(r->name[i], name)) return &r->value[i];
    return NULL;
}

/* A number in [low, high]; `fallback` when it is absent, unless that is NaN: then it must be there. */
static bool number(const Request *r, const char *name, float low, float high, float *value) {
    const JsonText *text = member(r, name);
    float read;
    if (text == NULL || !json_number(*text, &read) || !(read >= low && read <= high)) return false;
    *value = read;
    return true;
}

static bool whole(const Request *r, const char *name, uint32_t below, uint8_t *value) {
    float read;
    if (below == 0 || !number(r, name, 0.0f, (float)(below - 1u), &read)) return false;
    const uint8_t nearest = (uint8_t)read;
    if ((float)nearest != read) return false;
    *value = nearest;
    return true;
}

static const char *post(uint8_t kind, uint8_t index, float value) {
    const PortCommand command = {.kind = kind, .index = index, .value = value};
    return instrument_post(command) ? NULL : "too many commands are waiting; send it again";
}

/* ---- the commands ---- */

static const char *run_hello(Protocol *p, const Request *r, JsonWriter *w) {
    (void)r;
    const PortInfo *info = instrument_info();
    json_put_uint(w, "protocol", PROTOCOL_NUMBER);
    json_put_string(w, "version", info->version);
    json_put_string(w, "board", info->board);
    json_put_string(w, "instrument", info->title);
    json_put_string(w, "kind", info->kind);
    json_put_string(w, "model", info->model_hash);
    json_put_float(w, "rate_hz", p->port->true_rate_hz);
    json_put_uint(w, "block", info->block);
    json_put_uint(w, "latency", info->latency_ticks);
    json_put_uint(w, "inputs", info->inputs);
    json_put_uint(w, "gates_in", info->gates_in);
    json_put_uint(w, "gates_out", info->gates_out);
    json_put_uint(w, "audio_in", info->audio_in);
    json_put_uint(w, "audio_out", info->audio_out);
    json_put_uint(w, "cv_outs", info->cv_outs);
    json_put_uint(w, "parameters", info->parameters);
    json_put_uint(w, "presets", info->presets);
    json_put_bool(w, "counts_cycles", p->port->bench != NULL);
    if (p->port->storage_note != NULL) json_put_string(w, "storage", p->port->storage_note);
    return NULL;
}

static const char *run_parameters(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)r;
    const PortInfo *info = instrument_info();
    json_open(w, "parameters", '[');
    for (size_t i = 0; i < info->parameters; i++) {
        json_open(w, NULL, '{');
        json_put_string(w, "name", info->parameter[i].name);
        json_put_int(w, "knob", info->parameter[i].knob);
        json_put_int(w, "cv", info->parameter[i].cv);
        json_close(w, '}');
    }
    json_close(w, ']');
    return NULL;
}

static void put_floats(JsonWriter *w, const char *name, const float *values, size_t count) {
    json_open(w, name, '[');
    for (size_t i = 0; i < count; i++) json_put_float(w, NULL, values[i]);
    json_close(w, ']');
}

static void put_report(const Protocol *p, JsonWriter *w) {
    const PortInfo *info = instrument_info();
    PortReport report;
    instrument_report(&report);
    json_put_uint(w, "blocks", report.blocks);
    if (p->port->load != NULL) {
        ProtocolLoad load;
        p->port->load(p->port->context, &load);
        json_put_float(w, "cpu_mean", load.mean);
        json_put_float(w, "cpu_worst", load.worst);
        json_put_uint(w, "late", load.late);
    }
    if (p->port->codes != NULL) {
        float codes[PORT_MAX_INPUTS];
        const uint32_t blocks = p->port->codes(p->port->context, codes);
        json_put_uint(w, "over", blocks);
        put_floats(w, "codes", codes, info->inputs);
    }
    put_floats(w, "volts", report.volts, info->inputs);
    put_floats(w, "position", report.position, info->parameters);
    put_floats(w, "value", report.value, info->parameters);
    json_put_uint(w, "gates_in", report.gates_in);
    json_put_uint(w, "gates_out", report.gates_out);
    json_open(w, "triggers", '[');
    for (size_t i = 0; i < info->gates_in; i++) json_put_uint(w, NULL, report.triggers[i]);
    json_close(w, ']');
    json_put_uint(w, "preset", report.preset);
    json_put_bool(w, "unsaved", report.preset_unsaved);
    if (report.preset_slot != PORT_NO_MODEL) json_put_uint(w, "preset_slot", report.preset_slot);
    if (report.preset_note != NULL) json_put_string(w, "preset_note", report.preset_note);
    json_put_uint(w, "dropped", p->dropped);
}

static const char *run_report(Protocol *p, const Request *r, JsonWriter *w) {
    (void)r;
    put_report(p, w);
    return NULL;
}

static const char *run_stream(Protocol *p, const Request *r, JsonWriter *w) {
    (void)w;
    float hz;
    if (!number(r, "hz", 0.0f, MAX_STREAM_HZ, &hz)) return "stream wants hz, 0 to 200";
    p->stream_ms = hz > 1.0f ? (uint32_t)(1000.0f / hz) : (hz > 0.0f ? 1000u : 0u);
    p->next_ms = 0;
    return NULL;
}

static const char *run_set(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)w;
    uint8_t index;
    float value;
    if (!whole(r, "parameter", instrument_info()->parameters, &index))
        return "set wants the number of a parameter; ask for parameters";
    if (!number(r, "value", 0.0f, 1.0f, &value)) return "set wants a value from 0 to 1";
    return post(PORT_SET, index, value);
}

static const char *run_trigger(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)w;
    uint8_t voice;
    float accent;
    if (!whole(r, "voice", PORT_MAX_GATES, &voice)) return "trigger wants a voice from 0";
    if (!number(r, "accent", 0.0f, 1.0f, &accent)) return "trigger wants an accent from 0 to 1";
    return post(PORT_TRIGGER, voice, accent);
}

static const char *run_clock(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)r;
    (void)w;
    return post(PORT_CLOCK, 0, 0.0f);
}

static const char *run_reset(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)r;
    (void)w;
    return post(PORT_RESET_STEP, 0, 0.0f);
}

static const char *run_gate(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)w;
    uint8_t index;
    float value;
    if (!whole(r, "index", PORT_MAX_GATES, &index)) return "gate wants an index from 0 to 31";
    if (!number(r, "value", 0.0f, 1.0f, &value)) return "gate wants a value from 0 to 1";
    return post(PORT_GATE, index, value);
}

static bool slot(const Request *r, uint32_t from, uint8_t *value) {
    return whole(r, "slot", PORT_MODEL_SLOTS + 1u, value) && *value >= from;
}

/* With the model slot that it names, where it names one. */
static const char *save_preset(const Request *r, uint8_t index) {
    uint8_t named;
    PortModels models;
    if (member(r, "slot") == NULL) return post(PORT_PRESET_SAVE, index, 0.0f);
    if (!slot(r, 0, &named)) return "preset wants a slot from 0 to 8";
    instrument_models(&models);
    if (models.target == NULL) return "this image holds no models beside its own";
    return post(PORT_PRESET_SAVE, index, 1.0f + (float)named);
}

static const char *run_preset(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)w;
    char what[8] = "";
    const JsonText *text = member(r, "do");
    uint8_t index;
    const bool recall = text != NULL && json_string(*text, what, sizeof what) && strcmp(what, "recall") == 0;
    if (!recall && strcmp(what, "save") != 0) return "preset wants do: recall or save";
    if (!whole(r, "index", instrument_info()->presets, &index)) return "preset wants an index that this instrument has";
    if (recall) return member(r, "slot") == NULL ? post(PORT_PRESET_RECALL, index, 0.0f) : "a slot is named when saved";
    return save_preset(r, index);
}

/* The jack of an input or of an output. */
static bool which_jack(const Request *r, uint8_t *jack) {
    uint8_t output;
    if (member(r, "output") == NULL) return whole(r, "input", instrument_info()->inputs, jack);
    if (member(r, "input") != NULL || !whole(r, "output", instrument_info()->cv_outs, &output)) return false;
    *jack = (uint8_t)(PORT_OUTPUT + output);
    return true;
}

static const char *run_hold(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)w;
    uint8_t output, raw = 0;
    float volts;
    if (member(r, "output") == NULL) return post(PORT_RELEASE, 0, 0.0f);
    if (!whole(r, "output", instrument_info()->cv_outs, &output)) return "hold wants the number of an output";
    if (!number(r, "volts", -MAX_VOLTS, MAX_VOLTS, &volts)) return "hold wants volts from -20 to 20";
    if (member(r, "raw") != NULL && !whole(r, "raw", 2, &raw)) return "raw is 0 or 1";
    return post(raw ? PORT_HOLD_RAW : PORT_HOLD, output, volts);
}

static const char *run_calibration(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    uint8_t jack;
    if (!which_jack(r, &jack)) return "calibration wants the number of an input or of an output";
    float codes[PORT_MAX_POINTS], volts[PORT_MAX_POINTS];
    const uint8_t points = instrument_calibration(jack, codes, volts);
    json_open(w, "points", '[');
    for (size_t i = 0; i < points; i++) {
        json_open(w, NULL, '[');
        json_put_float(w, NULL, codes[i]);
        json_put_float(w, NULL, volts[i]);
        json_close(w, ']');
    }
    json_close(w, ']');
    return NULL;
}

/* [[code, volts], …]; -1 when it is anything else. */
static int read_points(JsonText rest, float *codes, float *volts) {
    JsonText pair, item;
    int points = 0;
    if (!json_is_array(rest)) return -1;
    while (json_next(&rest, &pair)) {
        if (points == (int)PORT_MAX_POINTS || !json_is_array(pair)) return -1;
        float two[2];
        for (size_t i = 0; i < 2; i++)
            if (!json_next(&pair, &item) || !json_number(item, &two[i])) return -1;
        if (json_next(&pair, &item)) return -1;
        if (!(two[0] >= 0.0f && two[0] <= 1.0f && two[1] >= -MAX_VOLTS && two[1] <= MAX_VOLTS)) return -1;
        codes[points] = two[0];
        volts[points++] = two[1];
    }
    return points;
}

static const char *run_calibrate(Protocol *p, const Request *r, JsonWriter *w) {
    uint8_t jack;
    if (!which_jack(r, &jack)) return "calibrate wants the number of an input or of an output";
    const JsonText *text = member(r, "points");
    float codes[PORT_MAX_POINTS], volts[PORT_MAX_POINTS];
    const int points = text == NULL ? -1 : read_points(*text, codes, volts);
    if (points < 0) return "calibrate wants points [[code 0 to 1, volts], …], 11 at most";
    const char *refused = instrument_calibrate(jack, (uint8_t)points, codes, volts);
    if (refused != NULL) return refused;
    const char *failed = p->port->storage == NULL ? "this port has no storage" : instrument_idle(p->port->storage);
    json_put_bool(w, "stored", failed == NULL);
    if (failed != NULL) json_put_string(w, "why", p->port->storage_note != NULL ? p->port->storage_note : failed);
    return NULL;
}

/* ---- tables of latents ---- */

/* Which table, and a number of frames. */
static const char *which_frames(const Request *r, uint8_t *table, uint32_t *at) {
    float read;
    if (!whole(r, "table", UINT8_MAX + 1u, table)) return "a table has a number from 0";
    if (!number(r, "at", 0.0f, (float)PORT_TABLE_FRAMES, &read) || (float)(uint32_t)read != read)
        return "at is a number of frames, 0 to 2000";
    *at = (uint32_t)read;
    return NULL;
}

/* Eight hexadecimal digits. */
static void put_hash(JsonWriter *w, uint32_t hash) {
    char text[9] = "";
    for (size_t i = 0; i < 8; i++) text[i] = "0123456789abcdef"[hash >> (28u - 4u * i) & 15u];
    json_put_string(w, "hash", text);
}

static bool read_hash(const Request *r, uint32_t *hash) {
    char text[9] = "";
    const JsonText *found = member(r, "hash");
    if (found == NULL || !json_string(*found, text, sizeof text) || strlen(text) != 8) return false;
    *hash = 0;
    for (size_t i = 0; i < 8; i++) {
        const char c = text[i];
        const bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
        if (!digit && !letter) return false;
        *hash = *hash << 4 | (uint32_t)(digit ? c - '0' : c - 'a' + 10);
    }
    return true;
}

static const char *run_table(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    uint8_t which;
    uint32_t at;
    PortTable table;
    const char *wrong = which_frames(r, &which, &at);
    if (wrong != NULL) return wrong;
    if (!instrument_table(which, &table)) return "this instrument has no such table";
    put_hash(w, table.hash);
    json_put_uint(w, "frames", table.frames);
    json_open(w, "data", '[');
    for (uint32_t f = at; f < table.frames && f < at + READ_FRAMES; f++)
        for (uint32_t i = 0; i < PORT_TABLE_LATENTS; i++)
            json_put_int(w, NULL, table.frame[f * PORT_TABLE_LATENTS + i]);
    json_close(w, ']');
    return NULL;
}

/* Whole frames; -1 when it is anything else. */
static int read_frames(JsonText rest, int16_t *frame) {
    JsonText item;
    size_t values = 0;
    float value;
    if (!json_is_array(rest)) return -1;
    while (json_next(&rest, &item)) {
        if (values == WRITE_FRAMES * PORT_TABLE_LATENTS || !json_number(item, &value)) return -1;
        if (!(value >= -32767.0f && value <= 32767.0f)) return -1;
        frame[values++] = (int16_t)value;
    }
    return values % PORT_TABLE_LATENTS == 0 ? (int)(values / PORT_TABLE_LATENTS) : -1;
}

static const char *run_table_write(Protocol *p, const Request *r, JsonWriter *w) {
    (void)p;
    (void)w;
    uint8_t which;
    uint32_t at, hash;
    int16_t frame[WRITE_FRAMES * PORT_TABLE_LATENTS];
    const char *wrong = which_frames(r, &which, &at);
    if (wrong != NULL) return wrong;
    if (!read_hash(r, &hash)) return "table_write wants the hash of the model, eight hexadecimal digits";
    const JsonText *data = member(r, "data");
    const int frames = data == NULL ? -1 : read_frames(*data, frame);
    if (frames < 0) return "table_write wants data, whole frames of 16 numbers within 32767, 8 frames at most";
    return instrument_table_write(which, hash, at, frame, (uint32_t)frames);
}

/* ---- models beside the one that was built in ---- */

static void put_model(const PortStorage *storage, uint8_t number, JsonWriter *w) {
    PortModel model;
    if (!instrument_model(storage, number, &model)) return;
    json_open(w, NULL, '{');
    json_put_uint(w, "slot", number);
    json_put_string(w, "name", model.name);
    json_put_string(w, "licence", model.licence);
    json_put_uint(w, "bytes", model.bytes);
    put_hash(w, model.hash);
    json_put_bool(w, "fits", model.fits);
    json_close(w, '}');
}

static const char *list_models(const PortStorage *storage, JsonWriter *w) {
    PortModels models;
    instrument_models(&models);
    if (models.target == NULL) return "this image holds no models beside its own";
    char signature[2u * PORT_SIGNATURE_BYTES + 1u] = "";
    for (size_t i = 0; i < 2u * PORT_SIGNATURE_BYTES; i++)
        signature[i] = "0123456789abcdef"[models.signature[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15u];
    json_put_string(w, "target", models.target);
    json_put_string(w, "signature", signature);
    json_put_uint(w, "bytes", models.bytes);
    json_put_uint(w, "written", models.written);
    json_put_uint(w, "slots", PORT_MODEL_SLOTS);
    json_put_uint(w, "slot_bytes", PORT_MODEL_SECTORS * PORT_SECTOR_BYTES);
    json_put_uint(w, "playing", models.playing);
    json_put_bool(w, "blends", models.blends);
    if (models.pair != PORT_NO_MODEL) json_put_uint(w, "pair", models.pair);
    json_open(w, "models", '[');
    for (uint8_t i = 1; i <= PORT_MODEL_SLOTS; i++) put_model(storage, i, w);
    json_close(w, ']');
    return NULL;
}

static const char *receive_model(const PortStorage *storage, const Request *r, bool begins) {
    uint8_t data[MODEL_BYTES], number_ = 0;
    size_t count;
    float at = 0.0f;
    const JsonText *text = member(r, "data");
    if (text == NULL || !json_bytes(*text, data, sizeof data, &count)) return "model wants data, 540 bytes of base64";
    if (begins)
        return slot(r, 1, &number_) ? instrument_model_begin(storage, number_, data, count)
                                    : "model wants a slot from 1 to 8";
    if (!number(r, "at", 0.0f, (float)(PORT_MODEL_SECTORS * PORT_SECTOR_BYTES), &at) || (float)(uint32_t)at != at)
        return "model wants at, a number of bytes";
    return instrument_model_data(storage, (uint32_t)at, data, count);
}

static const char *run_model(Protocol *p, const Request *r, JsonWriter *w) {
    const PortStorage *storage = p->port->storage;
    char what[8] = "";
    uint8_t number_;
    const JsonText *text = member(r, "do");
    if (text == NULL || !json_string(*text, what, sizeof what)) what[0] = '\0';
    if (storage == NULL) return "this port has no storage";
    if (strcmp(what, "list") == 0) return list_models(storage, w);
    const bool begins = strcmp(what, "begin") == 0, uses = strcmp(what, "use") == 0;
    if (p->port->storage_note != NULL && !uses) return p->port->storage_note;
    if (begins || strcmp(what, "data") == 0) return receive_model(storage, r, begins);
    if (strcmp(what, "commit") == 0) return instrument_model_commit(storage);
    const bool morphs = strcmp(what, "morph") == 0;
    if (!uses && !morphs && strcmp(what, "erase") != 0)
        return "model wants do: list, begin, data, commit, use, morph or erase";
    if (morphs && member(r, "slot") == NULL) return instrument_model_morph(storage, PORT_NO_MODEL);
    if (!slot(r, uses || morphs ? 0 : 1, &number_)) return "model wants a slot from 1 to 8";
    if (morphs) return instrument_model_morph(storage, number_);
    return uses ? instrument_model_use(storage, number_) : instrument_model_erase(storage, number_);
}

static const char *run_bench(Protocol *p, const Request *r, JsonWriter *w) {
    (void)r;
    if (p->port->bench == NULL) return "this image does not count cycles; flash its bench image";
    p->port->bench(p->port->context, w);
    return NULL;
}

static const char *run_reboot(Protocol *p, const Request *r, JsonWriter *w) {
    (void)w;
    static const char *const targets[] = {"app", "bootloader", "rom"};
    char to[12];
    const JsonText *text = member(r, "to");
    if (text != NULL && json_string(*text, to, sizeof to))
        for (size_t i = 0; i < 3; i++)
            if (strcmp(to, targets[i]) == 0) {
                if (p->port->reboot == NULL || !p->port->reboot(p->port->context, (ProtocolReboot)i))
                    return "this board cannot restart itself that way";
                return NULL;
            }
    return "reboot wants to: app, bootloader or rom";
}

static const Command commands[] = {
    {"hello", {NULL}, run_hello},
    {"parameters", {NULL}, run_parameters},
    {"report", {NULL}, run_report},
    {"stream", {"hz"}, run_stream},
    {"set", {"parameter", "value"}, run_set},
    {"trigger", {"voice", "accent"}, run_trigger},
    {"clock", {NULL}, run_clock},
    {"reset", {NULL}, run_reset},
    {"gate", {"index", "value"}, run_gate},
    {"preset", {"do", "index", "slot"}, run_preset},
    {"calibration", {"input", "output"}, run_calibration},
    {"calibrate", {"input", "output", "points"}, run_calibrate},
    {"hold", {"output", "volts", "raw"}, run_hold},
    {"table", {"table", "at"}, run_table},
    {"table_write", {"table", "at", "hash", "data"}, run_table_write},
    {"model", {"do", "slot", "at", "data"}, run_model},
    {"bench", {NULL}, run_bench},
    {"reboot", {"to"}, run_reboot},
};

/* ---- one line ---- */

static const char *take_apart(JsonText line, Request *r) {
    static const char wanted[] = "expected one JSON object with a cmd";
    if (!json_valid(line)) return wanted;
    JsonText rest = line, name, value; /* of an array or a number no member comes: then it has no cmd */
    while (json_next_member(&rest, &name, &value)) {
        if (r->members == MAX_MEMBERS) return "too many members";
        for (size_t i = 0; i < r->members; i++)
            if (r->name[i].length == name.length && memcmp(r->name[i].text, name.text, name.length) == 0)
                return "a member stands there twice";
        r->name[r->members] = name;
        r->value[r->members++] = value;
    }
    const JsonText *id = member(r, "id");
    if (id != NULL) {
        const char first = id->text[0];
        if (id->length > MAX_ID_BYTES || (first != '"' && first != '-' && (first < '0' || first > '9')))
            return "an id is a short string or a number";
        r->id = *id;
    }
    const JsonText *command = member(r, "cmd");
    if (command == NULL || !json_string(*command, r->command, sizeof r->command)) return wanted;
    return NULL;
}

static bool knows(const Command *command, JsonText name) {
    if (is_named(name, "cmd") || is_named(name, "id")) return true;
    for (size_t i = 0; i < MAX_COMMAND_MEMBERS && command->members[i] != NULL; i++)
        if (is_named(name, command->members[i])) return true;
    return false;
}

static const Command *find(const Request *r, const char **wrong) {
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(commands[i].name, r->command) != 0) continue;
        for (size_t m = 0; m < r->members; m++)
            if (!knows(&commands[i], r->name[m])) {
                *wrong = "a member that this command does not know";
                return NULL;
            }
        return &commands[i];
    }
    *wrong = "no such command";
    return NULL;
}

static void begin_answer(Protocol *p, const Request *r, JsonWriter *w) {
    json_begin(w, p->reply, sizeof p->reply - 1); /* room for the newline */
    json_open(w, NULL, '{');
    if (r->command[0] != '\0') json_put_string(w, "re", r->command);
    if (r->id.length > 0) json_put_raw(w, "id", r->id);
}

static void send(Protocol *p, JsonWriter *w) {
    json_close(w, '}');
    if (w->overflow) {
        p->dropped++;
        return;
    }
    p->reply[w->length++] = '\n';
    if (!p->port->send(p->port->context, p->reply, w->length)) p->dropped++;
}

static void refuse(Protocol *p, const Request *r, const char *why) {
    JsonWriter w;
    begin_answer(p, r, &w);
    json_put_bool(&w, "ok", false);
    json_put_string(&w, "error", why);
    send(p, &w);
}

static void answer(Protocol *p) {
    Request r = {.members = 0};
    const char *wrong = take_apart((JsonText){p->line, p->length}, &r);
    const Command *command = wrong == NULL ? find(&r, &wrong) : NULL;
    JsonWriter w;
    begin_answer(p, &r, &w);
    json_put_bool(&w, "ok", true);
    if (command != NULL) wrong = command->run(p, &r, &w);
    if (wrong != NULL) refuse(p, &r, wrong);
    else send(p, &w);
}

void protocol_init(Protocol *p, const ProtocolPort *port) {
    memset(p, 0, sizeof *p);
    p->port = port;
}

void protocol_receive(Protocol *p, const char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != '\n') {
            if (p->length < sizeof p->line) p->line[p->length++] = bytes[i];
            else p->overlong = true;
            continue;
        }
        if (p->length > 0 && p->line[p->length - 1] == '\r') p->length--;
        if (p->overlong) refuse(p, &(Request){.members = 0}, "the line is longer than 1024 bytes");
        else if (p->length > 0) answer(p);
        p->length = 0;
        p->overlong = false;
    }
}

static void note(Protocol *p, const char *what) {
    if (what != NULL && p->port->storage_note != NULL) what = p->port->storage_note;
    if (what == p->last_note) return;
    p->last_note = what;
    if (what == NULL) return;
    JsonWriter w;
    json_begin(&w, p->reply, sizeof p->reply - 1);
    json_open(&w, NULL, '{');
    json_put_string(&w, "event", "storage");
    json_put_string(&w, "error", what);
    send(p, &w);
}

void protocol_idle(Protocol *p, uint32_t now_ms) {
    if (p->port->storage != NULL) note(p, instrument_idle(p->port->storage));
    if (p->stream_ms == 0 || (p->next_ms != 0 && (int32_t)(now_ms - p->next_ms) < 0)) return;
    /* a report sent late does not put off those after it, unless it is later than they are apart */
    const uint32_t next_ms = p->next_ms + p->stream_ms;
    p->next_ms = p->next_ms != 0 && (int32_t)(now_ms - next_ms) < 0 ? next_ms : now_ms + p->stream_ms;
    JsonWriter w;
    json_begin(&w, p->reply, sizeof p->reply - 1);
    json_open(&w, NULL, '{');
    json_put_string(&w, "event", "report");
    put_report(p, &w);
    send(p, &w);
}
