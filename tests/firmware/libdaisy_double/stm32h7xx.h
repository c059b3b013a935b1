// The few registers and HAL calls that the port touches itself.
#pragma once

#include <stddef.h>
#include <stdint.h>

enum IRQn_Type { DMA1_Stream0_IRQn = 11, DMA1_Stream1_IRQn = 12, TIM5_IRQn = 50 };

struct CycleCount { // each look costs `step` cycles, so that a test sets how long a callback takes
    uint32_t value, step;
    operator uint32_t() {
        const uint32_t now = value;
        value += step;
        return now;
    }
    CycleCount &operator=(uint32_t now) {
        value = now;
        return *this;
    }
};

struct DWT_Type {
    uint32_t CTRL, LAR;
    CycleCount CYCCNT;
};
struct CoreDebug_Type {
    uint32_t DEMCR;
};
extern DWT_Type dwt_double;
extern CoreDebug_Type core_debug_double;
extern uint32_t irq_priority[64];
extern uint32_t fpscr_double;
#define DWT (&dwt_double)
#define CoreDebug (&core_debug_double)
#define CoreDebug_DEMCR_TRCENA_Msk (1u << 24)
#define DWT_CTRL_CYCCNTENA_Msk 1u

inline void HAL_NVIC_SetPriority(IRQn_Type irq, uint32_t priority, uint32_t) { irq_priority[irq] = priority; }
inline uint32_t __get_FPSCR() { return fpscr_double; }
inline void __set_FPSCR(uint32_t value) { fpscr_double = value; }

extern "C" void dsy_dma_invalidate_cache_for_buffer(uint8_t *buffer, size_t size);
