/** What is odd about a dataset, counted by kind: one line a kind, with the first example, however many there are. */

/** One kind of oddity. */
export interface Anomaly {
  /** A plural noun phrase that follows the count, e.g. `pictures listed twice; the first counts`. */
  readonly kind: string;
  readonly count: number;
  /** The first that was met, with its place where there is one. */
  readonly first: string;
}

export class Anomalies {
  readonly #found = new Map<string, { count: number; first: string }>();

  /** Counts one more of a kind. */
  add(kind: string, example: string): void {
    const found = this.#found.get(kind);
    if (found === undefined) this.#found.set(kind, { count: 1, first: example });
    else found.count++;
  }

  /** The kinds in the order in which they were met. */
  list(): readonly Anomaly[] {
    return [...this.#found].map(([kind, { count, first }]) => ({ kind, count, first }));
  }
}
