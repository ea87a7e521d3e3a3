/**
 * What the report shows, as plain data: pictures come as data URIs, numbers as fractions in [0, 1], so that whoever
 * has the model fills it in and the page needs nothing else. Sections without data are left out.
 */
import type { MethodMetrics } from '../method-metrics.js';

export interface ReportPicture {
  /** `data:image/…`; about 64 to 128 pixels wide is enough. */
  dataUri: string;
  /** Shown below and read aloud, e.g. `red apple · twemoji`. */
  caption: string;
}

/** One big number at the top. */
export interface ReportFigure {
  label: string;
  /** As it is to be read, e.g. `52.3 %`. */
  value: string;
  note?: string;
}

export interface ReportMethod {
  /** As in `metrics.json`, e.g. `sgml`. */
  key: string;
  /** As it is to be read, e.g. `Soft-binomial deviance (SGML)`. */
  label: string;
  /** One line on what it is, e.g. `same network before training`. */
  description?: string;
  metrics: MethodMetrics;
  /**
   * 95 % intervals by figure, where there are any: `recallAt1`, `mapAtR`, `ndcgAt10`, …, and `<level>.recallAt1` for
   * those of a level.
   */
  intervals?: Readonly<Record<string, ReportInterval>>;
}

export interface ReportInterval {
  low: number;
  high: number;
}

/** The difference of two methods on the same queries or seeds, as one line of a forest plot. */
export interface ReportDifference {
  /** E.g. `SGML − multitask`. */
  label: string;
  /** Which figure, e.g. `Recall@1`. */
  figure: string;
  /** First minus second. */
  mean: number;
  low: number;
  high: number;
  /** E.g. `p = 0.03` or `5 seeds`. */
  note?: string;
}

/** A line of a plot: (x, y). */
export interface ReportCurve {
  label: string;
  points: readonly (readonly [number, number])[];
  /** How much each point stands for, in [0, 1]: the size of its mark. Default: all the same. */
  weights?: readonly number[];
  /** Drawn thin and dashed, as something to compare with. Default false. */
  isReference?: boolean;
}

/** A plot of lines. */
export interface ReportPlot {
  title: string;
  /** How to read it, where the title does not say. */
  note?: string;
  curves: readonly ReportCurve[];
  /** Values are fractions, shown as percentages. Default false. */
  isPercent?: boolean;
  /** So are the places along the other axis. Default false. */
  isPercentAcross?: boolean;
  /** The scale across is logarithmic, base 2. Default false. */
  isLogarithmic?: boolean;
  /** Marks each point; for curves of few points. Default false. */
  hasPoints?: boolean;
}

export interface ReportHit {
  picture: ReportPicture;
  /** Whether it is what was asked for. */
  isRight: boolean;
  /** What it has in common with the query although it is wrong, e.g. `same look`. */
  common?: string;
}

/** One query and its neighbours: a row a granularity, or a row a model. */
export interface ReportQuery {
  picture: ReportPicture;
  /** E.g. `first right picture at rank 41`. */
  note?: string;
  /** The right picture that was missed. */
  expected?: ReportPicture;
  rows: readonly { label: string; hits: readonly ReportHit[] }[];
  /** Keys of the grid's filters that show it. */
  filters?: readonly string[];
}

/** Queries with their neighbours, to be looked through. */
export interface ReportGrid {
  /** Unique on the page: letters, digits and `-`. */
  id: string;
  title: string;
  intro: readonly string[];
  /** Choices beside *all*; a query is shown under those that it names. */
  filters?: readonly { key: string; label: string }[];
  queries: readonly ReportQuery[];
}

/** Pictures laid out so that similar ones are near. */
export interface ReportMap {
  label: string;
  /** Places in the unit square, and what is there. */
  points: readonly { x: number; y: number; group: string; caption: string }[];
  /** The same map as one picture of small pictures. */
  picture?: ReportPicture;
}

/** How well one attribute is predicted. */
export interface ReportAttribute {
  name: string;
  kind: 'single' | 'multi';
  /** Pictures whose value is known. */
  pictures: number;
  /** Of a single attribute: rows are the truth, columns the prediction, in the order of `classes`. */
  confusion?: { classes: readonly string[]; counts: readonly (readonly number[])[]; accuracy: number };
  values: readonly ReportValue[];
  /** Values that are not listed. */
  omitted: number;
  /** Mean of the average precision over all values that occur. */
  meanAveragePrecision: number;
}

/** How well one value of an attribute is predicted; NaN where nothing was predicted or nothing is there. */
export interface ReportValue {
  value: string;
  positives: number;
  precision: number;
  recall: number;
  averagePrecision: number;
}

/** A configuration and where it was run, a column of the tables at the end. */
export interface ReportMaking {
  label: string;
  /** The resolved configuration; nested objects are flattened to `optimizer.learningRate`. */
  configuration: Readonly<Record<string, unknown>>;
  /** Date, versions, seeds, hash of the data, machine, time: what one needs to get the numbers again. */
  provenance: Readonly<Record<string, string>>;
}

/** A table of texts: the first column names the row. */
export interface ReportTable {
  title: string;
  note?: string;
  columns: readonly string[];
  rows: readonly (readonly (string | number)[])[];
}

/** Groups of bars; fractions, shown as percentages. */
export interface ReportBars {
  title: string;
  groups: readonly string[];
  series: readonly { label: string; values: readonly number[] }[];
}

export interface ReportScatter {
  title: string;
  note?: string;
  /** Names of the axes. */
  across: string;
  up: string;
  isPercent?: boolean;
  points: readonly { label: string; x: number; y: number }[];
}

export interface ReportLicence {
  /** Name of the set of pictures. */
  name: string;
  licence: string;
  author?: string;
  url?: string;
  /** Pictures of it that were used. */
  pictures?: number;
}

export interface ReportData {
  title: string;
  /** Paragraphs under the title: what was trained on what, and what came out. */
  lead: readonly string[];
  figures: readonly ReportFigure[];
  /** Readable names of the levels, e.g. `{ item_id: 'same item', subgroup: 'same look' }`; default: the level's name. */
  levelLabels?: Readonly<Record<string, string>>;
  /** The first is the one the report is about. */
  methods: readonly ReportMethod[];
  /** How the intervals of `methods` were found, in a sentence. */
  intervalNote?: string;
  /** Intervals are symmetric, shown as `± half the width`. Default false: from … to …. */
  hasSymmetricIntervals?: boolean;
  differences?: readonly ReportDifference[];
  /** Bars beside those of the levels, e.g. by setting. */
  bars?: readonly ReportBars[];
  scatters?: readonly ReportScatter[];
  tables?: readonly ReportTable[];
  grids?: readonly ReportGrid[];
  training?: readonly ReportPlot[];
  dimensions?: readonly ReportPlot[];
  maps?: readonly ReportMap[];
  attributes?: readonly { label: string; attributes: readonly ReportAttribute[] }[];
  calibration?: readonly ReportPlot[];
  makings: readonly ReportMaking[];
  licences?: readonly ReportLicence[];
  /** The command that makes this report again, e.g. `npm run demo`. */
  command?: string;
}
