import type { TokenTree } from "../text/token-tree.ts";
import type { RunStatistics } from "./embedding-model.ts";

/** Counts what a model runs. */
export class RunMeter {
  statistics: RunStatistics = { runs: 0, sequences: 0, tokens: 0, computedTokens: 0, cells: 0, runtimeMs: 0 };

  async time<T>({ ids, paths, longest }: TokenTree, run: () => Promise<T>): Promise<T> {
    const start = performance.now();
    const result = await run();
    const { runs, sequences, tokens, computedTokens, cells, runtimeMs } = this.statistics;
    this.statistics = {
      runs: runs + 1,
      sequences: sequences + paths.length,
      tokens: tokens + paths.reduce((sum, { length }) => sum + length, 0),
      computedTokens: computedTokens + ids.length,
      cells: cells + paths.length * longest,
      runtimeMs: runtimeMs + performance.now() - start,
    };
    return result;
  }
}
