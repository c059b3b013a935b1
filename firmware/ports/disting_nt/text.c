/* Words and numbers into a few bytes. */
#include "text.h"

#define LARGEST 99999.0f

Text text_into(char *to, size_t bytes) {
    to[0] = 0;
    return (Text){.to = to, .room = bytes - 1u};
}

static void put(Text *text, char letter) {
    if (text->length < text->room) {
        text->to[text->length++] = letter;
        text->to[text->length] = 0;
    }
}

void text_put(Text *text, const char *words) {
    for (; *words != 0; ++words) {
        put(text, *words);
    }
}

static void digits(Text *text, uint32_t number, unsigned least) {
    char backwards[10];
    unsigned count = 0;
    do {
        backwards[count++] = (char)('0' + number % 10u);
        number /= 10u;
    } while (number != 0 || count < least);
    while (count > 0) {
        put(text, backwards[--count]);
    }
}

void text_number(Text *text, uint32_t number) { digits(text, number, 1); }

void text_decimal(Text *text, float number, unsigned decimals, int is_signed) {
    static const uint32_t tens[] = {1u, 10u, 100u, 1000u, 10000u};
    if (!(number >= -LARGEST && number <= LARGEST)) {
        text_put(text, "?");
        return;
    }
    const float size = number < 0.0f ? -number : number;
    const uint32_t scale = tens[decimals], all = (uint32_t)(size * (float)scale + 0.5f);
    if (number < 0.0f && all != 0) {
        put(text, '-');
    } else if (is_signed) {
        put(text, '+');
    }
    digits(text, all / scale, 1);
    if (decimals != 0) {
        put(text, '.');
        digits(text, all % scale, decimals);
    }
}
