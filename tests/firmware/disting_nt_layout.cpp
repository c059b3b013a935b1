// Holds firmware/ports/disting_nt/abi.h to the published header: every size, every place, every number, every symbol.
//
// Compiled by arm-none-eabi-g++ and by the project's clang, with DISTINGNT_API's include folder: what differs does not
// compile. The probe is a table of all sizes and places; a test compares those that the two compilers made.
#include <stddef.h>

#include <distingnt/api.h>
#include <distingnt/serialisation.h>

#include "abi.h"

template <class A, class B> struct Same {
    static constexpr bool value = false;
};
template <class A> struct Same<A, A> {
    static constexpr bool value = true;
};

#define SIZE(theirs, ours) static_assert(sizeof(theirs) == sizeof(ours), "size of " #theirs);
#define PLACE(theirs, a, ours, b)                                                                                      \
    static_assert(offsetof(theirs, a) == offsetof(ours, b), #theirs "." #a);                                           \
    static_assert(sizeof(theirs::a) == sizeof(ours::b), #theirs "." #a);
#define NUMBER(theirs, ours) static_assert((int)(theirs) == (int)(ours), #theirs);
#define SYMBOL(function, ...) static_assert(Same<decltype(function), __VA_ARGS__>::value, #function);

#define LAYOUTS                                                                                                        \
    SIZE(_NT_globals, NtGlobals)                                                                                       \
    PLACE(_NT_globals, sampleRate, NtGlobals, sample_rate_hz)                                                          \
    PLACE(_NT_globals, maxFramesPerStep, NtGlobals, max_frames)                                                        \
    PLACE(_NT_globals, workBuffer, NtGlobals, work)                                                                    \
    PLACE(_NT_globals, workBufferSizeBytes, NtGlobals, work_bytes)                                                     \
    PLACE(_NT_globals, streamSizeBytes, NtGlobals, stream_bytes)                                                       \
    PLACE(_NT_globals, streamBufferSizeBytes, NtGlobals, stream_buffer_bytes)                                          \
    SIZE(_NT_staticRequirements, NtStaticRequirements)                                                                 \
    PLACE(_NT_staticRequirements, dram, NtStaticRequirements, dram)                                                    \
    SIZE(_NT_staticMemoryPtrs, NtStaticMemory)                                                                         \
    PLACE(_NT_staticMemoryPtrs, dram, NtStaticMemory, dram)                                                            \
    SIZE(_NT_algorithmRequirements, NtRequirements)                                                                    \
    PLACE(_NT_algorithmRequirements, numParameters, NtRequirements, parameters)                                        \
    PLACE(_NT_algorithmRequirements, sram, NtRequirements, sram)                                                       \
    PLACE(_NT_algorithmRequirements, dram, NtRequirements, dram)                                                       \
    PLACE(_NT_algorithmRequirements, dtc, NtRequirements, dtc)                                                         \
    PLACE(_NT_algorithmRequirements, itc, NtRequirements, itc)                                                         \
    SIZE(_NT_algorithmMemoryPtrs, NtMemory)                                                                            \
    PLACE(_NT_algorithmMemoryPtrs, sram, NtMemory, sram)                                                               \
    PLACE(_NT_algorithmMemoryPtrs, dram, NtMemory, dram)                                                               \
    PLACE(_NT_algorithmMemoryPtrs, dtc, NtMemory, dtc)                                                                 \
    PLACE(_NT_algorithmMemoryPtrs, itc, NtMemory, itc)                                                                 \
    SIZE(_NT_parameter, NtParameter)                                                                                   \
    PLACE(_NT_parameter, name, NtParameter, name)                                                                      \
    PLACE(_NT_parameter, min, NtParameter, min)                                                                        \
    PLACE(_NT_parameter, max, NtParameter, max)                                                                        \
    PLACE(_NT_parameter, def, NtParameter, def)                                                                        \
    PLACE(_NT_parameter, unit, NtParameter, unit)                                                                      \
    PLACE(_NT_parameter, scaling, NtParameter, scaling)                                                                \
    PLACE(_NT_parameter, enumStrings, NtParameter, names)                                                              \
    SIZE(_NT_parameterPage, NtPage)                                                                                    \
    PLACE(_NT_parameterPage, name, NtPage, name)                                                                       \
    PLACE(_NT_parameterPage, numParams, NtPage, count)                                                                 \
    PLACE(_NT_parameterPage, group, NtPage, group)                                                                     \
    PLACE(_NT_parameterPage, params, NtPage, parameter)                                                                \
    SIZE(_NT_parameterPages, NtPages)                                                                                  \
    PLACE(_NT_parameterPages, numPages, NtPages, count)                                                                \
    PLACE(_NT_parameterPages, pages, NtPages, page)                                                                    \
    SIZE(_NT_algorithm, NtAlgorithm)                                                                                   \
    PLACE(_NT_algorithm, parameters, NtAlgorithm, parameter)                                                           \
    PLACE(_NT_algorithm, parameterPages, NtAlgorithm, pages)                                                           \
    PLACE(_NT_algorithm, vIncludingCommon, NtAlgorithm, all_values)                                                    \
    PLACE(_NT_algorithm, v, NtAlgorithm, value)                                                                        \
    SIZE(_NT_specification, NtSpecification)                                                                           \
    PLACE(_NT_specification, name, NtSpecification, name)                                                              \
    PLACE(_NT_specification, min, NtSpecification, min)                                                                \
    PLACE(_NT_specification, max, NtSpecification, max)                                                                \
    PLACE(_NT_specification, def, NtSpecification, def)                                                                \
    PLACE(_NT_specification, type, NtSpecification, type)                                                              \
    SIZE(_NT_uiData, NtUi)                                                                                             \
    PLACE(_NT_uiData, pots, NtUi, pots)                                                                                \
    PLACE(_NT_uiData, controls, NtUi, controls)                                                                        \
    PLACE(_NT_uiData, lastButtons, NtUi, last_buttons)                                                                 \
    PLACE(_NT_uiData, encoders, NtUi, encoders)                                                                        \
    SIZE(_NT_factory, NtFactory)                                                                                       \
    PLACE(_NT_factory, guid, NtFactory, guid)                                                                          \
    PLACE(_NT_factory, name, NtFactory, name)                                                                          \
    PLACE(_NT_factory, description, NtFactory, description)                                                            \
    PLACE(_NT_factory, numSpecifications, NtFactory, specifications)                                                   \
    PLACE(_NT_factory, specifications, NtFactory, specification)                                                       \
    PLACE(_NT_factory, calculateStaticRequirements, NtFactory, static_requirements)                                    \
    PLACE(_NT_factory, initialise, NtFactory, initialise)                                                              \
    PLACE(_NT_factory, calculateRequirements, NtFactory, requirements)                                                 \
    PLACE(_NT_factory, construct, NtFactory, construct)                                                                \
    PLACE(_NT_factory, parameterChanged, NtFactory, parameter_changed)                                                 \
    PLACE(_NT_factory, step, NtFactory, step)                                                                          \
    PLACE(_NT_factory, draw, NtFactory, draw)                                                                          \
    PLACE(_NT_factory, midiRealtime, NtFactory, midi_realtime)                                                         \
    PLACE(_NT_factory, midiMessage, NtFactory, midi_message)                                                           \
    PLACE(_NT_factory, tags, NtFactory, tags)                                                                          \
    PLACE(_NT_factory, hasCustomUi, NtFactory, has_custom_ui)                                                          \
    PLACE(_NT_factory, customUi, NtFactory, custom_ui)                                                                 \
    PLACE(_NT_factory, setupUi, NtFactory, setup_ui)                                                                   \
    PLACE(_NT_factory, serialise, NtFactory, serialise)                                                                \
    PLACE(_NT_factory, deserialise, NtFactory, deserialise)                                                            \
    PLACE(_NT_factory, midiSysEx, NtFactory, midi_sysex)                                                               \
    PLACE(_NT_factory, parameterUiPrefix, NtFactory, parameter_prefix)                                                 \
    PLACE(_NT_factory, parameterString, NtFactory, parameter_string)

LAYOUTS

NUMBER(kNT_apiVersionCurrent, NT_API_VERSION)
NUMBER(kNT_selector_version, NT_SELECT_VERSION)
NUMBER(kNT_selector_numFactories, NT_SELECT_FACTORIES)
NUMBER(kNT_selector_factoryInfo, NT_SELECT_FACTORY)
NUMBER(kNT_numInputBusses, NT_INPUT_BUSES)
NUMBER(kNT_numOutputBusses, NT_OUTPUT_BUSES)
NUMBER(kNT_lastBus, NT_LAST_BUS)
NUMBER(kNT_textTiny, NT_TEXT_TINY)
NUMBER(kNT_textNormal, NT_TEXT_NORMAL)
NUMBER(kNT_textLarge, NT_TEXT_LARGE)
NUMBER(kNT_textLeft, NT_ALIGN_LEFT)
NUMBER(kNT_textCentre, NT_ALIGN_CENTRE)
NUMBER(kNT_textRight, NT_ALIGN_RIGHT)
NUMBER(kNT_point, NT_SHAPE_POINT)
NUMBER(kNT_line, NT_SHAPE_LINE)
NUMBER(kNT_box, NT_SHAPE_BOX)
NUMBER(kNT_rectangle, NT_SHAPE_RECTANGLE)
NUMBER(kNT_circle, NT_SHAPE_CIRCLE)
NUMBER(kNT_destinationBreakout, NT_TO_BREAKOUT)
NUMBER(kNT_destinationSelectBus, NT_TO_SELECT_BUS)
NUMBER(kNT_destinationUSB, NT_TO_USB)
NUMBER(kNT_destinationInternal, NT_TO_INTERNAL)
NUMBER(kNT_unitNone, NT_UNIT_NONE)
NUMBER(kNT_unitEnum, NT_UNIT_ENUM)
NUMBER(kNT_unitPercent, NT_UNIT_PERCENT)
NUMBER(kNT_unitHasStrings, NT_UNIT_STRINGS)
NUMBER(kNT_unitConfirm, NT_UNIT_CONFIRM)
NUMBER(kNT_unitAudioInput, NT_UNIT_AUDIO_INPUT)
NUMBER(kNT_unitCvInput, NT_UNIT_CV_INPUT)
NUMBER(kNT_unitAudioOutput, NT_UNIT_AUDIO_OUTPUT)
NUMBER(kNT_unitCvOutput, NT_UNIT_CV_OUTPUT)
NUMBER(kNT_unitOutputMode, NT_UNIT_OUTPUT_MODE)
NUMBER(kNT_scalingNone, NT_SCALING_NONE)
NUMBER(kNT_scaling10, NT_SCALING_10)
NUMBER(kNT_scaling100, NT_SCALING_100)
NUMBER(kNT_scaling1000, NT_SCALING_1000)
NUMBER(kNT_typeGeneric, NT_TYPE_GENERIC)
NUMBER(kNT_typeSeconds, NT_TYPE_SECONDS)
NUMBER(kNT_typeBoolean, NT_TYPE_BOOLEAN)
NUMBER(kNT_tagInstrument, NT_TAG_INSTRUMENT)
NUMBER(kNT_tagEffect, NT_TAG_EFFECT)
NUMBER(kNT_parameterStringSize, NT_STRING_BYTES)

SYMBOL(NT_getCpuCycleCount, uint32_t(void))
SYMBOL(NT_algorithmIndex, int32_t(const _NT_algorithm *))
SYMBOL(NT_parameterOffset, uint32_t(void))
SYMBOL(NT_setParameterFromAudio, void(uint32_t, uint32_t, int16_t))
SYMBOL(NT_drawText, void(int, int, const char *, int, _NT_textAlignment, _NT_textSize))
SYMBOL(NT_drawShapeI, void(_NT_shape, int, int, int, int, int))
SYMBOL(NT_sendMidiSysEx, void(uint32_t, const uint8_t *, uint32_t, bool))
SYMBOL(&_NT_jsonStream::addMemberName, void (_NT_jsonStream::*)(const char *))
SYMBOL(&_NT_jsonStream::addString, void (_NT_jsonStream::*)(const char *))
SYMBOL(&_NT_jsonParse::numberOfObjectMembers, bool (_NT_jsonParse::*)(int &))
SYMBOL(&_NT_jsonParse::matchName, bool (_NT_jsonParse::*)(const char *))
SYMBOL(&_NT_jsonParse::skipMember, bool (_NT_jsonParse::*)(void))
SYMBOL(&_NT_jsonParse::string, bool (_NT_jsonParse::*)(const char *&))

// The same once more as data, for two compilers to be compared by.
#undef SIZE
#undef PLACE
#define SIZE(theirs, ours) (uint16_t)sizeof(theirs),
#define PLACE(theirs, a, ours, b) (uint16_t)offsetof(theirs, a),
extern "C" {
extern const uint16_t layout_probe[];
const uint16_t layout_probe[] = {LAYOUTS 0xFFFF};

// And what the two call the members of the JSON classes: host.h spells these names.
void layout_calls(_NT_jsonStream *stream, _NT_jsonParse *parse);
void layout_calls(_NT_jsonStream *stream, _NT_jsonParse *parse) {
    int count;
    const char *text;
    stream->addMemberName("");
    stream->addString("");
    parse->numberOfObjectMembers(count);
    parse->matchName("");
    parse->skipMember();
    parse->string(text);
}
}
