/* What the marks of a bench image call (bench_counter.cpp). */
#ifndef VAECTROL_PORTS_DAISY_MARK_H
#define VAECTROL_PORTS_DAISY_MARK_H

#ifndef __ASSEMBLER__
void vaectrol_mark(unsigned layer);
#endif

#endif
