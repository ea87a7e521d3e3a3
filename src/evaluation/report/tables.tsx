/** The report's tables: methods by level, pairs of sources, and lists of names and values. */
import type { ReportData, ReportInterval, ReportMethod } from './data.js';

/** A fraction as a percentage with one decimal, without the sign: `0.4321` → `43.2`. */
export function percent(fraction: number): string {
  return Number.isFinite(fraction) ? (100 * fraction).toFixed(1) : '–';
}

/** All levels of all methods, in order of first mention (fine to coarse). */
export function levelNames(methods: readonly ReportMethod[]): string[] {
  return [...new Set(methods.flatMap((method) => Object.keys(method.metrics.byLevel)))];
}

/** Method × (Recall@1, MAP@R, and three figures a level); the best of each column in bold. */
export function MethodTable({ data }: { data: ReportData }) {
  const { methods } = data;
  const levels = levelNames(methods);
  const columns = [
    { key: 'recallAt1', of: (method: ReportMethod) => method.metrics.recallAt1 },
    { key: 'mapAtR', of: (method: ReportMethod) => method.metrics.mapAtR },
    ...levels.flatMap((level) =>
      (['recallAt1', 'recallAt10', 'mapAtR'] as const).map((key) => ({
        key: `${level}.${key}`,
        of: (method: ReportMethod) => method.metrics.byLevel[level]?.[key] ?? Number.NaN,
      })),
    ),
  ];
  const best = columns.map(({ of }) => Math.max(...methods.map(of).filter(Number.isFinite)));
  return (
    <div class="scroll">
      <table class="numbers">
        <caption>In percent. Best in bold; 95 % intervals below, where they were computed.</caption>
        <thead>
          <tr>
            <th rowSpan={2} scope="col">
              Method
            </th>
            <th colSpan={2} scope="colgroup">
              main figures
            </th>
            {levels.map((level) => (
              <th colSpan={3} scope="colgroup" key={level}>
                {data.levelLabels?.[level] ?? level}
              </th>
            ))}
          </tr>
          <tr>
            <th scope="col" class="starts">
              Recall@1
            </th>
            <th scope="col">MAP@R</th>
            {levels.flatMap((level) => [
              <th scope="col" class="starts" key={`${level}.1`}>
                R@1
              </th>,
              <th scope="col" key={`${level}.10`}>
                R@10
              </th>,
              <th scope="col" key={`${level}.map`}>
                MAP@R
              </th>,
            ])}
          </tr>
        </thead>
        <tbody>
          {methods.map((method) => (
            <tr key={method.key}>
              <th scope="row">
                {method.label}
                {method.description && <small>{method.description}</small>}
              </th>
              {columns.map(({ key, of }, i) => (
                <td
                  key={key}
                  class={[i === 0 || i % 3 === 2 ? 'starts' : '', of(method) === best[i] ? 'best' : ''].join(
                    ' ',
                  )}
                >
                  {percent(of(method))}
                  {i < 2 && <Interval of={method.intervals?.[i === 0 ? 'recallAt1' : 'mapAtR']} />}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Recall@1 of each ordered pair of sources as a table of shades: rows ask, columns answer. */
export function PairTable({ method }: { method: ReportMethod }) {
  const pairs = Object.entries(method.metrics.pairs).map(([name, pair]) => {
    const [from = '', to = ''] = name.split('->');
    return { from, to, ...pair };
  });
  const sources = [...new Set(pairs.flatMap(({ from, to }) => [from, to]))].sort();
  const meanOf = (side: 'from' | 'to', source: string) => {
    const own = pairs.filter((pair) => pair[side] === source).map((pair) => pair.recallAt1);
    return own.length === 0 ? Number.NaN : own.reduce((sum, value) => sum + value, 0) / own.length;
  };
  return (
    <div class="scroll">
      <table class="heat">
        <caption>
          {method.label}: Recall@1 in percent. The row asks, the column answers; a dash is a pair of one
          design.
        </caption>
        <thead>
          <tr>
            <th scope="col">query ↓ gallery →</th>
            {sources.map((source) => (
              <th scope="col" key={source}>
                {source}
              </th>
            ))}
            <th scope="col">mean</th>
          </tr>
        </thead>
        <tbody>
          {sources.map((from) => (
            <tr key={from}>
              <th scope="row">{from}</th>
              {sources.map((to) => {
                const pair = pairs.find((one) => one.from === from && one.to === to);
                if (pair === undefined) return <td class="none">–</td>;
                return (
                  <td
                    key={to}
                    style={`--heat:${pair.recallAt1.toFixed(3)}`}
                    title={`${pair.queries} queries`}
                  >
                    {percent(pair.recallAt1)}
                  </td>
                );
              })}
              <td class="mean">{percent(meanOf('from', from))}</td>
            </tr>
          ))}
          <tr>
            <th scope="row">mean</th>
            {sources.map((to) => (
              <td class="mean" key={to}>
                {percent(meanOf('to', to))}
              </td>
            ))}
            <td class="mean">{percent(method.metrics.recallAt1)}</td>
          </tr>
        </tbody>
      </table>
    </div>
  );
}

/** Names and values in two columns. */
export function NameValues({ entries }: { entries: readonly (readonly [string, string])[] }) {
  return (
    <dl class="pairs-of">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** `{ optimizer: { learningRate: 0.004 } }` → `['optimizer.learningRate', '0.004']`; lists stay on one line. */
export function flattened(value: unknown, prefix = ''): [string, string][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, part]) =>
      flattened(part, prefix === '' ? key : `${prefix}.${key}`),
    );
  }
  if (value === undefined) return [];
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return [[prefix, isPlain ? String(value) : JSON.stringify(value)]];
}

// --- internal ---

function Interval({ of }: { of: ReportInterval | undefined }) {
  if (of === undefined) return null;
  return (
    <span class="interval">
      {percent(of.low)} – {percent(of.high)}
    </span>
  );
}
