#include "json.h"

#include <string.h>

/* ---- reading ---- */

typedef struct Cursor {
    const char *at, *end;
} Cursor;

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

static void skip_space(Cursor *c) {
    while (c->at < c->end && is_space(*c->at)) c->at++;
}

static bool skip_string(Cursor *c) {
    c->at++; /* the opening quote */
    while (c->at < c->end) {
        const char ch = *c->at++;
        if (ch == '"') return true;
        if ((unsigned char)ch < 0x20u) return false;
        if (ch != '\\') continue;
        if (c->at == c->end) return false;
        const char escape = *c->at++;
        if (escape == 'u') {
            for (unsigned i = 0; i < 4; i++)
                if (c->at == c->end || !is_hex(*c->at++)) return false;
        } else if (escape == '\0' || strchr("\"\\/bfnrt", escape) == NULL) {
            return false;
        }
    }
    return false;
}

static bool skip_digits(Cursor *c) {
    const char *from = c->at;
    while (c->at < c->end && is_digit(*c->at)) c->at++;
    return c->at > from;
}

static bool skip_number(Cursor *c) {
    if (*c->at == '-') c->at++;
    const char *first = c->at;
    if (!skip_digits(c)) return false;
    if (*first == '0' && c->at - first > 1) return false; /* no leading zeros */
    if (c->at < c->end && *c->at == '.') {
        c->at++;
        if (!skip_digits(c)) return false;
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        c->at++;
        if (c->at < c->end && (*c->at == '+' || *c->at == '-')) c->at++;
        if (!skip_digits(c)) return false;
    }
    return true;
}

static bool skip_word(Cursor *c, const char *word) {
    const size_t length = strlen(word);
    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) return false;
    c->at += length;
    return true;
}

static bool skip_scalar(Cursor *c) {
    switch (*c->at) {
    case '"': return skip_string(c);
    case 't': return skip_word(c, "true");
    case 'f': return skip_word(c, "false");
    case 'n': return skip_word(c, "null");
    default: return (*c->at == '-' || is_digit(*c->at)) && skip_number(c);
    }
}

/* `"name" :` in front of a member's value. */
static bool skip_name(Cursor *c) {
    skip_space(c);
    if (c->at == c->end || *c->at != '"' || !skip_string(c)) return false;
    skip_space(c);
    if (c->at == c->end || *c->at != ':') return false;
    c->at++;
    return true;
}

/* One value of any kind. The open brackets stand on a stack of bounded depth instead of in recursion. */
static bool skip_value(Cursor *c) {
    char closing[JSON_MAX_DEPTH];
    size_t depth = 0;
    for (;;) {
        skip_space(c);
        if (c->at == c->end) return false;
        if (*c->at == '{' || *c->at == '[') {
            if (depth == JSON_MAX_DEPTH) return false;
            closing[depth++] = *c->at == '{' ? '}' : ']';
            c->at++;
            skip_space(c);
            if (c->at == c->end) return false;
            if (*c->at != closing[depth - 1]) {
                if (closing[depth - 1] == '}' && !skip_name(c)) return false;
                continue;
            }
        } else if (!skip_scalar(c)) {
            return false;
        }
        /* after a value: a comma brings the next one, a bracket ends what is open */
        for (;;) {
            if (depth == 0) return true;
            skip_space(c);
            if (c->at == c->end) return false;
            const char ch = *c->at++;
            if (ch == ',') {
                if (closing[depth - 1] == '}' && !skip_name(c)) return false;
                break;
            }
            if (ch != closing[depth - 1]) return false;
            depth--;
        }
    }
}

bool json_valid(JsonText text) {
    Cursor c = {text.text, text.text + text.length};
    if (!skip_value(&c)) return false;
    skip_space(&c);
    return c.at == c.end;
}

static JsonText trimmed(const char *from, const char *to) {
    while (from < to && is_space(*from)) from++;
    while (to > from && is_space(to[-1])) to--;
    return (JsonText){from, (size_t)(to - from)};
}

/* Step over the bracket or comma in front of the next element; false at the end. */
static bool step_in(Cursor *c, char open) {
    skip_space(c);
    if (c->at == c->end || (*c->at != open && *c->at != ',')) return false;
    c->at++;
    skip_space(c);
    return c->at < c->end && *c->at != ']' && *c->at != '}';
}

bool json_next_member(JsonText *rest, JsonText *name, JsonText *value) {
    Cursor c = {rest->text, rest->text + rest->length};
    if (!step_in(&c, '{')) return false;
    const char *from = c.at;
    if (*from != '"' || !skip_string(&c)) return false;
    *name = (JsonText){from, (size_t)(c.at - from)};
    skip_space(&c);
    if (c.at == c.end || *c.at != ':') return false;
    from = ++c.at;
    if (!skip_value(&c)) return false;
    *value = trimmed(from, c.at);
    *rest = (JsonText){c.at, (size_t)(c.end - c.at)};
    return true;
}

bool json_is_array(JsonText value) { return value.length > 0 && value.text[0] == '['; }

bool json_next(JsonText *rest, JsonText *element) {
    Cursor c = {rest->text, rest->text + rest->length};
    if (!step_in(&c, '[')) return false;
    const char *from = c.at;
    if (!skip_value(&c)) return false;
    *element = trimmed(from, c.at);
    *rest = (JsonText){c.at, (size_t)(c.end - c.at)};
    return true;
}

bool json_number(JsonText value, float *number) {
    Cursor c = {value.text, value.text + value.length};
    if (value.length == 0 || (*c.at != '-' && !is_digit(*c.at)) || !skip_number(&c) || c.at != c.end) return false;
    const char *at = value.text;
    const bool negative = *at == '-';
    if (negative) at++;
    double mantissa = 0.0;
    int exponent = 0;
    for (; at < c.end && is_digit(*at); at++) {
        if (mantissa < 1e15) mantissa = mantissa * 10.0 + (double)(*at - '0');
        else exponent++; /* digits beyond what a float can tell */
    }
    if (at < c.end && *at == '.')
        for (at++; at < c.end && is_digit(*at); at++)
            if (mantissa < 1e15) {
                mantissa = mantissa * 10.0 + (double)(*at - '0');
                exponent--;
            }
    if (at < c.end) { /* e or E */
        at++;
        const bool down = *at == '-';
        if (*at == '+' || *at == '-') at++;
        int written = 0;
        for (; at < c.end; at++)
            if (written < 1000) written = written * 10 + (*at - '0');
        exponent += down ? -written : written;
    }
    if (mantissa == 0.0) exponent = 0;
    for (; exponent > 0 && mantissa < 1e60; exponent--) mantissa *= 10.0;
    for (; exponent < 0 && mantissa > 1e-60; exponent++) mantissa /= 10.0;
    if (mantissa > 3.4e38) return false; /* no float holds it */
    *number = (float)(negative ? -mantissa : mantissa);
    return true;
}

bool json_string(JsonText value, char *out, size_t size) {
    if (value.length < 2 || value.text[0] != '"' || value.length - 2 >= size) return false;
    if (memchr(value.text, '\\', value.length) != NULL) return false;
    memcpy(out, value.text + 1, value.length - 2);
    out[value.length - 2] = '\0';
    return true;
}

/* ---- writing ---- */

static void put(JsonWriter *w, const char *text, size_t length) {
    if (w->overflow || w->size - w->length < length) {
        w->overflow = true;
        return;
    }
    memcpy(w->buffer + w->length, text, length);
    w->length += length;
}

static void put_quoted(JsonWriter *w, const char *text) {
    static const char digits[] = "0123456789abcdef";
    put(w, "\"", 1);
    for (; *text != '\0'; text++) {
        const unsigned char ch = (unsigned char)*text;
        if (ch == '"' || ch == '\\') {
            const char escape[2] = {'\\', (char)ch};
            put(w, escape, 2);
        } else if (ch < 0x20u) {
            const char escape[6] = {'\\', 'u', '0', '0', digits[ch >> 4], digits[ch & 15u]};
            put(w, escape, 6);
        } else {
            put(w, text, 1);
        }
    }
    put(w, "\"", 1);
}

static void put_name(JsonWriter *w, const char *name) {
    if (w->comma) put(w, ",", 1);
    w->comma = true;
    if (name != NULL) {
        put_quoted(w, name);
        put(w, ":", 1);
    }
}

static void put_digits(JsonWriter *w, uint32_t value, size_t least) {
    char text[10];
    size_t n = 0;
    do {
        text[sizeof text - ++n] = (char)('0' + value % 10u);
        value /= 10u;
    } while (value != 0 || n < least);
    put(w, text + sizeof text - n, n);
}

/* 0 … 63; -1: no digit of base64 */
static int digit64(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool json_bytes(JsonText value, uint8_t *out, size_t size, size_t *count) {
    *count = 0;
    if (value.length < 2 || value.text[0] != '"' || (value.length - 2) % 4 != 0) return false;
    for (const char *at = value.text + 1, *end = value.text + value.length - 1; at != end; at += 4) {
        const size_t pads = at + 4 != end ? 0u : at[3] != '=' ? 0u : at[2] != '=' ? 1u : 2u;
        uint32_t four = 0;
        for (size_t i = 0; i < 4; i++) {
            const int digit = i + pads < 4 ? digit64(at[i]) : 0;
            if (digit < 0) return false;
            four = four << 6 | (uint32_t)digit;
        }
        if (size - *count < 3 - pads) return false;
        for (size_t i = 0; i < 3 - pads; i++) out[(*count)++] = (uint8_t)(four >> (16 - 8 * i));
    }
    return true;
}

void json_begin(JsonWriter *w, char *buffer, size_t size) { *w = (JsonWriter){.buffer = buffer, .size = size}; }

void json_open(JsonWriter *w, const char *name, char bracket) {
    put_name(w, name);
    put(w, &bracket, 1);
    w->comma = false;
}

void json_close(JsonWriter *w, char bracket) {
    put(w, &bracket, 1);
    w->comma = true;
}

void json_put_string(JsonWriter *w, const char *name, const char *value) {
    put_name(w, name);
    put_quoted(w, value == NULL ? "" : value);
}

void json_put_bool(JsonWriter *w, const char *name, bool value) {
    put_name(w, name);
    put(w, value ? "true" : "false", value ? 4 : 5);
}

void json_put_uint(JsonWriter *w, const char *name, uint32_t value) {
    put_name(w, name);
    put_digits(w, value, 1);
}

void json_put_int(JsonWriter *w, const char *name, int32_t value) {
    put_name(w, name);
    if (value < 0) put(w, "-", 1);
    put_digits(w, value < 0 ? 0u - (uint32_t)value : (uint32_t)value, 1);
}

void json_put_float(JsonWriter *w, const char *name, float value) {
    put_name(w, name);
    if (!(value < 4e9f && value > -4e9f)) { /* NaN, infinite, or nothing a module says */
        put(w, "null", 4);
        return;
    }
    double magnitude = (double)value;
    if (magnitude < 0.0) {
        magnitude = -magnitude;
        put(w, "-", 1);
    }
    uint32_t whole = (uint32_t)magnitude;
    uint32_t millionths = (uint32_t)((magnitude - (double)whole) * 1e6 + 0.5);
    if (millionths == 1000000u) {
        whole++;
        millionths = 0;
    }
    put_digits(w, whole, 1);
    put(w, ".", 1);
    put_digits(w, millionths, 6);
}

void json_put_raw(JsonWriter *w, const char *name, JsonText value) {
    put_name(w, name);
    put(w, value.text, value.length);
}
