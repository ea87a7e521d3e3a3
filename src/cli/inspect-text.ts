/** What `semblance inspect` prints for people. */
import Table from 'cli-table3';
import type { GradientRule, Inspection, Stage } from '../models/index.js';
import type { NamedType } from '../onnx/index.js';
import type { Report } from './inspect.js';

/** `1536000` → `1.54 MB`: decimal units, three digits. */
export function formatBytes(bytes: number): string {
  return scaled(bytes, ['B', 'kB', 'MB', 'GB', 'TB']);
}

/** `11689512` → `11.7 M`. */
export function formatCount(count: number): string {
  return scaled(count, ['', 'k', 'M', 'G', 'T']).trim();
}

/** The report as lines of text. `allCuts` lists every cut point. */
export function inspectionText(report: Report, { allCuts }: { allCuts: boolean }): string {
  const { file, bytes, summary, inspection, preprocessing, steps } = report;
  const opsets = Object.entries(summary.opsets).map(([domain, version]) =>
    domain === 'ai.onnx' ? `opset ${version}` : `${domain} ${version}`,
  );
  const { initializers } = summary;
  const lines = [
    `${file}: ${formatBytes(bytes)}, ${[...opsets, summary.producer].filter((part) => part !== '').join(', ')}`,
    '',
    ...summary.inputs.map((type, i) => field(i === 0 ? 'input' : '', typeText(type))),
    ...summary.outputs.map((type, i) => field(i === 0 ? 'output' : '', typeText(type))),
    field(
      'tensors',
      `${initializers.count} in the file: ${formatCount(initializers.elements)} numbers, ${formatBytes(initializers.bytes)}${initializers.areExternal ? ', some in other files' : ''}`,
    ),
  ];
  if (inspection !== undefined) {
    lines.push(
      field(
        'preprocessing',
        preprocessing ?? 'no preprocessor_config.json beside the file: training asks for it',
      ),
      ...networkLines(inspection, report),
    );
  }
  lines.push('', operatorTable(report));
  if (inspection !== undefined) {
    lines.push('', stageTable(inspection, report), ...blockingLines(inspection));
    if (allCuts) lines.push('', cutTable(inspection, report));
  }
  if (steps !== undefined) lines.push('', stepTable(steps));
  return `${lines.join('\n')}\n`;
}

// --- internal ---

const WORDS: Readonly<Record<GradientRule, string>> = {
  rule: 'yes',
  zero: 'zero',
  none: 'no rule',
  unknown: 'unknown operator',
  folded: 'replaced when read',
};

function scaled(number: number, units: readonly string[]): string {
  let [value, unit] = [number, 0];
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  const digits = unit === 0 ? String(Math.round(value)) : value.toPrecision(3);
  return `${digits} ${units[unit]}`;
}

function field(name: string, text: string): string {
  return `${name.padEnd(14)} ${text}`;
}

function typeText({ name, dataType, shape }: NamedType): string {
  return `${name}: ${dataType}${shape === undefined ? '' : ` [${shape.join(', ')}]`}`;
}

function networkLines(inspection: Inspection, { nameOf }: Report): string[] {
  const { features, elementsByRole, trainableCount, droppedCount, blockedCount } = inspection;
  const roles = (['weight', 'bias', 'normalization', 'other', 'statistic', 'constant'] as const)
    .filter((role) => elementsByRole[role] > 0)
    .map((role) => `${role} ${formatCount(elementsByRole[role])}`);
  const trainable = [
    `${formatCount(trainableCount)} trainable`,
    ...(blockedCount > 0 ? [`${formatCount(blockedCount)} of them blocked`] : []),
    ...(droppedCount > 0 ? [`${formatCount(droppedCount)} dropped, which the features do not need`] : []),
  ];
  return [
    field('parameters', trainable.join(', ')),
    field('', roles.join(', ')),
    field(
      'features',
      `${nameOf(features.features)} [${features.features.shape.join(', ')}]: ${features.note}`,
    ),
    field(
      'feature map',
      features.featureMap === undefined
        ? 'none'
        : `${nameOf(features.featureMap)} [${features.featureMap.shape.join(', ')}]`,
    ),
    field(
      'one picture',
      `${formatCount(inspection.multiplyAdds)} multiply-adds, ${formatBytes(inspection.activationBytes)} of activations`,
    ),
  ];
}

function operatorTable({ operators }: Report): string {
  const table = plainTable(['operator', 'nodes', 'gradient'], ['left', 'right', 'left']);
  for (const { name, count, gradient } of operators) table.push([name, String(count), WORDS[gradient]]);
  return table.toString();
}

function stageTable({ stages, multiplyAdds, cutPoints }: Inspection, { nameOf }: Report): string {
  const table = plainTable(
    ['stage', 'called', 'ends at', 'shape', 'parameters', 'multiply-adds', 'share', 'gradient'],
    ['left', 'left', 'left', 'left', 'right', 'right', 'right', 'left'],
  );
  for (const stage of stages) {
    table.push([
      stage.name,
      stage.scope,
      nameOf(stage.end),
      stage.shape.join('×'),
      formatCount(stage.parameters),
      formatCount(stage.multiplyAdds),
      multiplyAdds > 0 ? `${(100 * stage.share).toFixed(0)} %` : '',
      gradientWord(stage),
    ]);
  }
  return `${table.toString()}\n${cutPoints.length - 2} cut points lie between picture and features; --cuts lists them.`;
}

function gradientWord({ parameters, blocked }: Stage & { blocked: number }): string {
  if (blocked === 0) return 'passes';
  return blocked >= parameters ? 'blocked' : 'partly blocked';
}

function blockingLines({ blocking }: Inspection): string[] {
  if (blocking.length === 0)
    return ['Nothing blocks a gradient on the way from the parameters to the features.'];
  return [
    'A gradient is blocked at:',
    ...blocking.map(
      ({ node, why }) =>
        `  ${node.name === undefined ? node.operator.name : `'${node.name}' (${node.operator.name})`}: ${why}`,
    ),
  ];
}

function cutTable({ cutPoints }: Inspection, { nameOf }: Report): string {
  const table = plainTable(
    ['cut point', 'shape', 'kept a picture', 'parameters after', 'multiply-adds after'],
    ['left', 'left', 'right', 'right', 'right'],
  );
  for (const { value, shape, elements, parametersAfter, multiplyAddsAfter } of cutPoints) {
    table.push([
      nameOf(value),
      shape.join('×'),
      formatBytes(elements * 4),
      formatCount(parametersAfter),
      formatCount(multiplyAddsAfter),
    ]);
  }
  return table.toString();
}

function stepTable({ batch, lastStage, full }: NonNullable<Report['steps']>): string {
  const table = plainTable(
    [`step, batch ${batch}`, 'trained', 'time', 'pictures/s', 'peak memory'],
    ['left', 'right', 'right', 'right', 'right'],
  );
  for (const [name, cost] of [
    ['everything', full],
    ['last stage, prefix cached', lastStage],
  ] as const) {
    table.push([
      name,
      formatCount(cost.parameters),
      `${(1000 * cost.seconds).toFixed(0)} ms`,
      cost.picturesPerSecond.toPrecision(3),
      formatBytes(cost.peakBytes),
    ]);
  }
  return table.toString();
}

function plainTable(head: string[], colAligns: ('left' | 'right')[]): InstanceType<typeof Table> {
  return new Table({ head, colAligns, style: { head: [], border: [], compact: true } });
}
