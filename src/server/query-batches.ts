/**
 * Queries that come at one time go through the model together: while one batch is with it, the pictures that were decoded meanwhile
 * are the next. Nobody waits for company. A vector may differ from that of the picture alone in its last bits, as the runtime
 * adds in another order.
 */
import { decodePixels, type Embedder, type PictureSource } from '../bundle/index.js';
import { type Trace, untraced } from './tracing.js';

/** What `Embedder.embedOne` gives. */
type Embedded = Awaited<ReturnType<Embedder['embedOne']>>;

export class QueryBatches {
  readonly #embedder: Embedder;
  readonly #maximum: number;
  readonly #observe: (pictures: number) => void;
  readonly #trace: Trace;
  #waiting: { pixels: Float32Array; resolve(value: Embedded): void; reject(error: unknown): void }[] = [];
  #isRunning = false;

  /**
   * @param options.maximum pictures of a batch. Default 8: a picture costs half as much as alone, and more gains little.
   * @param options.observe told the size of each batch
   * @param options.trace names decoding and embedding in the trace of a request. Default: not at all.
   */
  constructor(
    embedder: Embedder,
    options: {
      readonly maximum?: number;
      readonly observe?: (pictures: number) => void;
      readonly trace?: Trace;
    } = {},
  ) {
    this.#embedder = embedder;
    this.#maximum = options.maximum ?? 8;
    this.#observe = options.observe ?? (() => {});
    this.#trace = options.trace ?? untraced;
  }

  /** Embeds a picture. @throws DataError when it cannot be read */
  async embedOne(picture: PictureSource): Promise<Embedded> {
    const pixels = await this.#trace('decode', () =>
      decodePixels(picture, this.#embedder.bundle.preprocessing),
    );
    return await this.#trace(
      'embed',
      () =>
        new Promise<Embedded>((resolve, reject) => {
          this.#waiting.push({ pixels, resolve, reject });
          if (!this.#isRunning) void this.#run();
        }),
    );
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#maximum);
      const size = batch[0]?.pixels.length ?? 0;
      const pixels = batch.length === 1 ? batch[0]?.pixels : new Float32Array(size * batch.length);
      if (pixels === undefined) break;
      if (batch.length > 1) for (const [i, one] of batch.entries()) pixels.set(one.pixels, i * size);
      this.#observe(batch.length);
      try {
        const { embeddings, attributes } = await this.#embedder.embedPixels(pixels, batch.length);
        const [d, a] = [embeddings.length / batch.length, attributes.length / batch.length];
        for (const [i, { resolve }] of batch.entries())
          resolve({
            embedding: embeddings.slice(i * d, (i + 1) * d),
            attributes: attributes.slice(i * a, (i + 1) * a),
          });
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    this.#isRunning = false;
  }
}
