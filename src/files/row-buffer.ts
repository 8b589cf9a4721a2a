/** Where bytes go: a file, a pipe. */
export interface ByteSink {
  /** Resolves when it has taken `bytes`, which are the caller's again, and more may follow. */
  write(bytes: Uint8Array): Promise<void>;
  /** Overwrites bytes already written; only where one can seek. */
  patch?(bytes: Uint8Array, offset: number): Promise<void>;
  /** Everything is written: makes it the result. */
  close(): Promise<void>;
  /** Gives up; a file leaves nothing behind. Safe after `close` and more than once. */
  discard(): Promise<void>;
}

/** How one format lays out a row. */
export interface RowEncoder {
  readonly header?: Uint8Array;
  /** Same length as `header`, written over it at the end; the sink has to be able to seek. */
  readonly finalHeader?: (rows: number) => Uint8Array;
  readonly maxRowBytes: number;
  /** Writes row `index` and returns the offset behind it. */
  encode(index: number, embedding: Float32Array, bytes: Buffer, offset: number): number;
}

const chunkBytes = 256 * 1024;

/**
 * Collects whole rows into chunks for a sink. A chunk goes out when it is full, or as soon as the event loop turns
 * and the sink is idle, so that a reader at the other end of a pipe need not wait. Two chunks take turns.
 */
export class RowBuffer {
  readonly #sink: ByteSink;
  readonly #maxRowBytes: number;
  #chunk: Buffer;
  /** What the sink writes, or has written. */
  #other: Buffer;
  #used = 0;
  #writing: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;
  #immediate: NodeJS.Immediate | undefined;

  constructor(sink: ByteSink, maxRowBytes: number) {
    this.#sink = sink;
    this.#maxRowBytes = maxRowBytes;
    this.#chunk = this.#newChunk();
    this.#other = this.#newChunk();
  }

  /** @param encode  writes one row at an offset and returns the offset behind it */
  async append(encode: (bytes: Buffer, offset: number) => number): Promise<void> {
    if (this.#used + this.#maxRowBytes > this.#chunk.length) await this.flush();
    if (this.#failure) throw this.#failure.error;
    this.#used = encode(this.#chunk, this.#used);
    this.#immediate ??= setImmediate(() => {
      this.#immediate = undefined;
      if (!this.#writing) this.#startWrite();
    });
  }

  /** Resolves when the sink has taken every row so far. */
  async flush(): Promise<void> {
    await this.#writing;
    this.#startWrite();
    await this.#writing;
    if (this.#failure) throw this.#failure.error;
  }

  #startWrite(): void {
    if (this.#used === 0 || this.#failure) return;
    const rows = this.#chunk.subarray(0, this.#used);
    [this.#chunk, this.#other] = [this.#other, this.#chunk];
    this.#used = 0;
    this.#writing = this.#sink
      .write(rows)
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#writing = undefined;
      });
  }

  #newChunk(): Buffer {
    return Buffer.allocUnsafeSlow(Math.max(chunkBytes, this.#maxRowBytes));
  }
}
