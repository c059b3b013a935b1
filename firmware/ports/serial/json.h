/* Reading and writing one line of JSON without heap, recursion or libm.
 *
 * Reading: a JsonText is a slice of the line. json_valid checks a whole text once (RFC 8259, depth bounded);
 * the other readers may then walk it without checking again.
 * Writing: a JsonWriter fills a buffer that the caller owns; once it does not fit, `overflow` stays set.
 */
#ifndef VAECTROL_PORTS_SERIAL_JSON_H
#define VAECTROL_PORTS_SERIAL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_MAX_DEPTH 8u

typedef struct JsonText {
    const char *text;
    size_t length;
} JsonText;

bool json_valid(JsonText text);
/* First member of an object, then the next of the rest; false at the end. `rest` starts as the whole object;
 * `name` comes with its quotes. */
bool json_next_member(JsonText *rest, JsonText *name, JsonText *value);
/* First element of an array, then the next of the rest; false at the end. `rest` starts as the whole array. */
bool json_next(JsonText *rest, JsonText *element);
bool json_is_array(JsonText value);
bool json_number(JsonText value, float *number);
/* A string without escapes, shorter than `size`. */
bool json_string(JsonText value, char *out, size_t size);
/* A string of base64 (RFC 4648, padded), of at most `size` bytes; `count` of them. */
bool json_bytes(JsonText value, uint8_t *out, size_t size, size_t *count);

typedef struct JsonWriter {
    char *buffer;
    size_t size, length;
    bool overflow, comma;
} JsonWriter;

void json_begin(JsonWriter *w, char *buffer, size_t size);
void json_open(JsonWriter *w, const char *name, char bracket); /* '{' or '['; name NULL inside an array */
void json_close(JsonWriter *w, char bracket);
void json_put_string(JsonWriter *w, const char *name, const char *value);
void json_put_bool(JsonWriter *w, const char *name, bool value);
void json_put_uint(JsonWriter *w, const char *name, uint32_t value);
void json_put_int(JsonWriter *w, const char *name, int32_t value);
void json_put_float(JsonWriter *w, const char *name, float value);  /* six decimals; null when not finite */
void json_put_raw(JsonWriter *w, const char *name, JsonText value); /* a value that json_valid has passed */

#ifdef __cplusplus
}
#endif
#endif
