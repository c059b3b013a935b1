/* What libDaisy's start-up code leaves out: hot code into ITCM, hot weights into DTCM and AXI, zeros elsewhere. */
#ifndef VAECTROL_PORTS_DAISY_BOOT_COPY_H
#define VAECTROL_PORTS_DAISY_BOOT_COPY_H

#ifdef __cplusplus
extern "C" {
#endif

/* Once, at the start of main, when the SDRAM answers and before anything of the engine runs. */
void boot_copy(void);

#ifdef __cplusplus
}
#endif
#endif
