/** Attributes for the report: each block of a model's probabilities against the manifest. */
import type { ManifestRow } from '../../data/index.js';
import {
  calibrationCurve,
  confusionMatrix,
  type PredictedAttribute,
  type ReportAttribute,
  type ReportCurve,
  type ReportPlot,
  valueQualities,
} from '../../evaluation/index.js';
import { attributeBlocks, attributeCount, type Schema } from '../../granularity/index.js';
import type { HitCalibration } from '../hit-calibration.js';
import type { EmbeddedRows } from '../judging.js';

/** Classes of a confusion matrix, and values of a table, at most. */
const CLASSES = 30;
const VALUES = 60;

/**
 * What a model predicts of rows, an attribute each.
 * @param schema the model's own.
 */
export function predictedAttributes(
  { rows, attributes }: Pick<EmbeddedRows, 'rows' | 'attributes'>,
  schema: Schema,
): PredictedAttribute[] {
  const width = attributeCount(schema);
  return attributeBlocks(schema).map(({ name, kind, offset, size }, k) => {
    const probabilities = new Float32Array(rows.length * size);
    rows.forEach((_, row) => {
      const start = row * width + offset;
      probabilities.set(attributes.subarray(start, start + size), row * size);
    });
    const truth = rows.map((row: ManifestRow) => row.attributes[name] ?? []);
    return { name, kind, values: schema.attributes[k]!.values, probabilities, truth };
  });
}

/** How well an attribute is predicted; values that no picture has are left out, the most frequent come first. */
export function reportAttribute(attribute: PredictedAttribute): ReportAttribute {
  const { name, kind } = attribute;
  const there = valueQualities(attribute)
    .filter(({ positives }) => positives > 0)
    .sort((a, b) => b.positives - a.positives);
  const confusion = kind === 'single' ? confusionMatrix(attribute, CLASSES) : undefined;
  return {
    name,
    kind,
    pictures: confusion?.pictures ?? attribute.truth.filter((labels) => labels.length > 0).length,
    ...(confusion === undefined ? {} : { confusion }),
    values: there.slice(0, VALUES),
    omitted: Math.max(0, there.length - VALUES),
    meanAveragePrecision:
      there.reduce((sum, { averagePrecision }) => sum + averagePrecision, 0) / there.length,
  };
}

/** Calibration curves: a plot a run, a curve an attribute, with the expected calibration errors beneath. */
export function calibrationPlots(
  runs: readonly { label: string; predicted: readonly PredictedAttribute[] }[],
): ReportPlot[] {
  return runs.flatMap(({ label, predicted }) => {
    const curves = predicted
      .map((attribute) => ({ name: attribute.name, kind: attribute.kind, ...calibrationCurve(attribute) }))
      .filter(({ predictions }) => predictions > 0);
    if (curves.length === 0) return [];
    const errors = curves.map(
      ({ name, expectedError, predictions }) =>
        `${name} ${(100 * expectedError).toFixed(1)} % (${predictions} predictions)`,
    );
    return [
      {
        title:
          runs.length === 1
            ? 'Share that is true, by probability'
            : `${label}: share that is true, by probability`,
        note: `On the dashed line probabilities are what happens; below it the model is too sure. A mark is as large as the share of predictions in it. Expected calibration error: ${errors.join(', ')}.`,
        curves: [
          DIAGONAL,
          ...curves.map(
            ({ name, bins, predictions }): ReportCurve => ({
              label: name,
              points: bins.map(({ probability, share }) => [probability, share] as const),
              weights: bins.map(({ count }) => count / predictions),
            }),
          ),
        ],
        isPercent: true,
        isPercentAcross: true,
        hasPoints: true,
      },
    ];
  });
}

/** Reliability of hits: a plot a run, a curve a level, of each query's ten best hits. */
export function hitReliabilityPlots(
  runs: readonly { label: string; calibration: HitCalibration | undefined }[],
  levelLabels: Readonly<Record<string, string>>,
): ReportPlot[] {
  return runs.flatMap(({ label, calibration }) => {
    const levels = Object.entries(calibration ?? {});
    if (levels.length === 0) return [];
    const errors = levels.map(
      ([level, { bestTen, byRank }]) =>
        `${levelLabels[level] ?? level} ${(100 * bestTen.expectedError).toFixed(1)} % (by 1/rank ${(100 * byRank.expectedError).toFixed(1)} %)`,
    );
    const title = 'Share of hits that agree, by probability';
    return [
      {
        title: runs.length === 1 ? title : `${label}: ${title.toLowerCase()}`,
        note: `The ten best hits of each query at each level. Expected calibration error: ${errors.join(', ')}.`,
        curves: [
          DIAGONAL,
          ...levels.map(
            ([level, { bestTen }]): ReportCurve => ({
              label: levelLabels[level] ?? level,
              points: bestTen.bins.map(({ probability, share }) => [probability, share] as const),
              weights: bestTen.bins.map(({ weight }) => weight),
            }),
          ),
        ],
        isPercent: true,
        isPercentAcross: true,
        hasPoints: true,
      },
    ];
  });
}

// --- internal ---

const DIAGONAL: ReportCurve = {
  label: 'as it happens',
  points: [
    [0, 0],
    [1, 1],
  ],
  isReference: true,
};
