/* Words and numbers into a few bytes: the module has no printf for a plug-in, and this needs none. */
#ifndef VAECTROL_DISTING_NT_TEXT_H
#define VAECTROL_DISTING_NT_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* What does not fit is cut off; there is always a 0 at the end. */
typedef struct Text {
    char *to;
    size_t room, length;
} Text;

Text text_into(char *to, size_t bytes);
void text_put(Text *text, const char *words);
void text_number(Text *text, uint32_t number);
/* With so many decimals, 0 … 4, and a + before what is not negative if `is_signed`; NaN and beyond ±99,999: "?". */
void text_decimal(Text *text, float number, unsigned decimals, int is_signed);

#endif
