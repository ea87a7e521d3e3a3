/** The kinds of work that are killed. Each is loaded on its own, so that a process starts fast. */
import type { Workload } from './workload.js';

export const KINDS = {
  train: async () => (await import('./training-workload.js')).trainingWorkload(),
  cache: async () => (await import('./cache-workload.js')).cacheWorkload(),
  index: async () => (await import('./catalog-workload.js')).indexWorkload(),
  upsert: async () => (await import('./store-workload.js')).storeWorkload(),
  swap: async () => (await import('./catalog-workload.js')).swapWorkload(),
  export: async () => (await import('./bundle-workload.js')).bundleWorkload(),
} satisfies Record<string, () => Promise<Workload>>;

export type Kind = keyof typeof KINDS;
