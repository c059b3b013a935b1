// Blocks of one size in quanta of another: how far the first must run ahead.

export const QUANTUM_TICKS = 128;

// Samples by which blocks are late in quanta of 128: 32 for the board's 48, none for 128.
export function fifoTicks(block) {
  let common = block, rest = QUANTUM_TICKS;
  while (rest) [common, rest] = [rest, common % rest];
  return block - common;
}
