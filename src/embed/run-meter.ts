import type { RunStatistics } from "./embedding-model.ts";

/** Counts what a model runs. */
export class RunMeter {
  statistics: RunStatistics = { runs: 0, sequences: 0, tokens: 0, cells: 0, runtimeMs: 0 };

  async time<T>(sequences: readonly (readonly number[])[], run: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await run();
    const { runs, sequences: before, tokens, cells, runtimeMs } = this.statistics;
    const lengths = sequences.map(({ length }) => length);
    this.statistics = {
      runs: runs + 1,
      sequences: before + sequences.length,
      tokens: tokens + lengths.reduce((sum, length) => sum + length, 0),
      cells: cells + sequences.length * Math.max(...lengths),
      runtimeMs: runtimeMs + performance.now() - start,
    };
    return result;
  }
}
