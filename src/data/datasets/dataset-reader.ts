/**
 * What a reader of a public dataset is: one file a dataset knows its layout and its pitfalls; everything that is the
 * same for all of them (finding the folder, missing pictures, validation items, counts, the manifest) is in
 * `import-dataset.ts`.
 */
import type { StartProgress } from '../../util/index.js';
import type { Box, Split } from '../manifest.js';
import type { Anomalies } from './anomalies.js';

/** A picture as the dataset lists it. */
export interface ListedPicture {
  /** Relative to one of the bases of pictures, forward slashes. */
  readonly path: string;
  readonly itemId: string;
  /** Of the official protocol. */
  readonly split: Split;
  /** Items of a family are never on two sides of training and validation. Default: the item itself. */
  readonly family?: string;
  readonly source?: string;
  readonly attributes: Readonly<Record<string, readonly string[]>>;
  readonly box?: Box;
}

/** Numbers of pictures and items. */
export interface SplitCount {
  readonly pictures: number;
  readonly items: number;
}

/** What is known of a dataset that is complete, by official split. */
export type OfficialCounts = Readonly<Partial<Record<Split, Partial<SplitCount>>>>;

/** What a reader found. */
export interface Listing {
  readonly pictures: readonly ListedPicture[];
  /** Columns of the manifest, in this order. */
  readonly attributeNames: readonly string[];
  /** Attributes that are good levels, fine to coarse, without `item_id`. */
  readonly levels: readonly string[];
  /** Folders, relative to the root, that the paths may be relative to. */
  readonly pictureBases: readonly string[];
  /** Checked against what is listed; absent where nothing is known. */
  readonly official?: OfficialCounts;
  /** Sentences for the user. */
  readonly notes: readonly string[];
  /** In place of the reader's, where the dataset comes in several protocols. */
  readonly protocol?: Protocol;
}

/** How a dataset is judged. */
export interface Protocol {
  /** In words. */
  readonly judged: string;
  /** The K of the published Recall@K. */
  readonly recallAt: readonly number[];
}

export interface ReadContext {
  /** As `findRoot` found it. */
  readonly marker: string;
  readonly anomalies: Anomalies;
  /** Which of a dataset's benchmarks, where it has several. */
  readonly benchmark: string | undefined;
  /** Share of the items to be judged on, where the dataset has no split of its own. */
  readonly testShare: number;
  readonly progress: StartProgress;
  readonly signal: AbortSignal | undefined;
}

export interface DatasetReader {
  readonly title: string;
  /** Files or folders that tell it, the surest first (see `findRoot`). */
  readonly markers: readonly string[];
  /** The dataset is one file, of any name. */
  readonly acceptsAnyFile?: true;
  /** Names of its benchmarks, the first is the default. */
  readonly benchmarks?: readonly string[];
  readonly licence: string;
  /** Its official page. */
  readonly homepage: string;
  readonly protocol: Protocol;
  /** Share of the training items that validate, unless the user says otherwise. */
  readonly validationShare: number;
  /** Share of the items that are judged on, for a dataset that may come without a split. */
  readonly testShare?: number;
  /** Pictures are cut to the boxes without being asked: what the dataset's own tools do. */
  readonly keepsBoxes?: true;
  /** @param root absolute @throws DataError with file and line */
  read(root: string, context: ReadContext): Promise<Listing>;
}
