/** The datasets that can be built by name. */
import { buildEmojiDataset, type DatasetSummary, type EmojiDatasetOptions } from './emoji.js';

export interface Dataset {
  /** One line for the list of datasets. */
  readonly description: string;
  build(directory: string, options: EmojiDatasetOptions): Promise<DatasetSummary>;
}

/** By the name used on the command line. */
export const datasets: Readonly<Record<string, Dataset>> = {
  emoji: {
    description: '1,640 emoji, each drawn by up to six artists (artwork, not photographs)',
    build: buildEmojiDataset,
  },
};

export { buildEmojiDataset, type DatasetSummary, type EmojiDatasetOptions };
