/* What the module offers a plug-in: nothing else may be left undefined in an object (object_file.py checks it).
 *
 * The classes of the JSON interface have members; their symbols are those that every ARM C++ compiler makes of them.
 */
#ifndef VAECTROL_DISTING_NT_HOST_H
#define VAECTROL_DISTING_NT_HOST_H

#include "abi.h"

#if defined(__arm__)
#define NT_SYMBOL(name) __asm__(name)
#else
#define NT_SYMBOL(name)
#endif

extern const NtGlobals NT_globals;
const NtGlobals *nt_globals(void); /* its address: globals.c */

uint32_t NT_getCpuCycleCount(void);
int32_t NT_algorithmIndex(const NtAlgorithm *algorithm); /* -1: not there */
uint32_t NT_parameterOffset(void);
void NT_setParameterFromAudio(uint32_t algorithm, uint32_t parameter, int16_t value);

void NT_drawText(int x, int y, const char *text, int colour, int align, int size);
void NT_drawShapeI(int shape, int x0, int y0, int x1, int y1, int colour);

void NT_sendMidiSysEx(uint32_t to, const uint8_t *data, uint32_t count, bool end);

void nt_json_name(NtJsonStream *stream, const char *name) NT_SYMBOL("_ZN14_NT_jsonStream13addMemberNameEPKc");
void nt_json_string(NtJsonStream *stream, const char *text) NT_SYMBOL("_ZN14_NT_jsonStream9addStringEPKc");
bool nt_parse_members(NtJsonParse *parse, int *count) NT_SYMBOL("_ZN13_NT_jsonParse21numberOfObjectMembersERi");
bool nt_parse_name(NtJsonParse *parse, const char *name) NT_SYMBOL("_ZN13_NT_jsonParse9matchNameEPKc");
bool nt_parse_skip(NtJsonParse *parse) NT_SYMBOL("_ZN13_NT_jsonParse10skipMemberEv");
bool nt_parse_string(NtJsonParse *parse, const char **text) NT_SYMBOL("_ZN13_NT_jsonParse6stringERPKc");

#endif
