/* Knobs, CV inputs and CV outputs on SPI, in a thread of their own: an MCP3208 (8 × 12 bit in) and an MCP4822
 * (2 × 12 bit out). The newest codes reach the audio thread as single atomic words: no lock, nothing to wait for.
 */
#ifndef VAECTROL_PORTS_RPI_CONVERTERS_H
#define VAECTROL_PORTS_RPI_CONVERTERS_H

#include <stdbool.h>
#include <stddef.h>

/* NULL device: none. false and a sentence in `why` when the ADC could not be opened; inputs then rest at 0 V. */
bool converters_start(const char *adc_device, const char *dac_device, char *why, size_t why_size);
/* Audio thread: newest codes, 0 to 1, one per input of the board. */
void converters_read(float *codes);
/* Audio thread: volts of CV output `index`; they are written within a millisecond. */
void converters_put(size_t index, float volts);
void converters_stop(void);

#endif
