/**
 * What the report shows, as plain data: pictures come as data URIs, numbers as fractions in [0, 1], so that whoever
 * has the model fills it in and the page needs nothing else.
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
  /** 95 % intervals of the two main figures, where there are any (bootstrap or seeds). */
  intervals?: { recallAt1?: ReportInterval; mapAtR?: ReportInterval };
}

export interface ReportInterval {
  low: number;
  high: number;
}

/** A line of a plot: (step, value). */
export interface ReportCurve {
  label: string;
  points: readonly (readonly [number, number])[];
}

export interface ReportTraining {
  /** The total loss and its parts, by step; long curves are averaged to a few hundred points. */
  losses: readonly ReportCurve[];
  /** Recall@1 on validation, in [0, 1], by step. */
  validation: readonly ReportCurve[];
}

export interface ReportHit {
  picture: ReportPicture;
  /** Whether it is what this granularity asks for. */
  isRight: boolean;
}

/** One query and its neighbours at each granularity. */
export interface ReportQuery {
  picture: ReportPicture;
  rows: readonly {
    /** What was asked for, e.g. `same item`, `same look`, `same kind`. */
    granularity: string;
    hits: readonly ReportHit[];
  }[];
}

/** A query that went wrong. */
export interface ReportFailure {
  picture: ReportPicture;
  /** Rank of the first right picture. */
  firstRank: number;
  /** The right picture that came at this rank. */
  expected?: ReportPicture;
  /** What came first instead, best first. */
  hits: readonly ReportPicture[];
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
  /** Absent where the model was only evaluated. */
  training?: ReportTraining;
  queries: readonly ReportQuery[];
  failures: readonly ReportFailure[];
  /** The resolved configuration; nested objects are flattened to `optimizer.learningRate`. */
  configuration: Readonly<Record<string, unknown>>;
  /** Date, versions, seeds, hash of the data, machine, time: what one needs to get the numbers again. */
  provenance: Readonly<Record<string, string>>;
  licences: readonly ReportLicence[];
  /** The command that makes this report again, e.g. `npm run demo`. */
  command?: string;
}
