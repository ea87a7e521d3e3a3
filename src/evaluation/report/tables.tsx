/** The report's tables: methods by level, their differences, pairs of sources, and plain ones. */
import type { MethodMetrics } from '../method-metrics.js';
import type {
  ReportData,
  ReportDifference,
  ReportInterval,
  ReportLicence,
  ReportMethod,
  ReportTable,
} from './data.js';

/** A fraction as a percentage with one decimal, without the sign: `0.4321` → `43.2`. */
export function percent(fraction: number): string {
  return Number.isFinite(fraction) ? (100 * fraction).toFixed(1) : '–';
}

/** All levels of all methods, in order of first mention (fine to coarse). */
export function levelNames(methods: readonly ReportMethod[]): string[] {
  return [...new Set(methods.flatMap((method) => Object.keys(method.metrics.byLevel)))];
}

/**
 * Method × (Recall@1, MAP@R, two figures a level, and the graded figures); the best of each column
 * in bold.
 */
export function MethodTable({ data }: { data: ReportData }) {
  const { methods } = data;
  const groups = columnGroups(data);
  const columns = groups.flatMap((group) =>
    group.columns.map((column, i) => ({ ...column, starts: i === 0 })),
  );
  const best = columns.map(({ of }) =>
    Math.max(...methods.map(({ metrics }) => of(metrics)).filter(Number.isFinite)),
  );
  const hasBest = methods.length > 1;
  const isLong = methods.length > 3;
  return (
    <div class="scroll">
      <table class={isLong ? 'numbers methods sortable' : 'numbers methods'}>
        <caption>
          <span>
            In percent{hasBest && '; best in bold'}.
            {data.intervalNote !== undefined && ` ${data.intervalNote}`}
          </span>
        </caption>
        <thead>
          <tr>
            <th rowSpan={2} scope="col">
              Method
            </th>
            {groups.map(({ label, columns: own }) => (
              <th colSpan={own.length} scope="colgroup" key={label}>
                {label}
              </th>
            ))}
          </tr>
          <tr>
            {columns.map(({ key, label, starts }) => (
              <th scope="col" class={starts ? 'starts' : ''} key={key}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {methods.map((method) => (
            <tr key={method.key}>
              <th scope="row">
                {method.label}
                {method.description && <small>{method.description}</small>}
              </th>
              {columns.map(({ key, of, starts }, i) => {
                const value = of(method.metrics);
                return (
                  <td
                    key={key}
                    data-value={Number.isFinite(value) ? value : undefined}
                    class={[starts ? 'starts' : '', hasBest && value === best[i] ? 'best' : '']
                      .join(' ')
                      .trim()}
                  >
                    {percent(value)}
                    <Interval of={method.intervals?.[key]} isSymmetric={data.hasSymmetricIntervals} />
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** One method: a row a level, and beneath what is said over all levels. */
export function LevelTable({ data }: { data: ReportData }) {
  const method = data.methods[0]!;
  const { byLevel } = method.metrics;
  const levels = Object.keys(byLevel);
  const columns = [
    ['recallAt1', 'Recall@1'],
    ['recallAt5', 'Recall@5'],
    ['recallAt10', 'Recall@10'],
    ['mapAtR', 'MAP@R'],
    ['rPrecision', 'R-Precision'],
    ['map', 'mAP'],
  ] as const;
  const overall = columnGroups(data)
    .filter(({ isOfLevel }) => !isOfLevel)
    .flatMap(({ label, columns: own }) => own.map((column) => ({ ...column, group: label })));
  return (
    <>
      <div class="scroll">
        <table class="numbers narrow">
          <caption>
            <span>In percent.{data.intervalNote !== undefined && ` ${data.intervalNote}`}</span>
          </caption>
          <thead>
            <tr>
              <th scope="col">level</th>
              {columns.map(([key, label]) => (
                <th scope="col" key={key}>
                  {label}
                </th>
              ))}
              <th scope="col">queries</th>
            </tr>
          </thead>
          <tbody>
            {levels.map((level) => (
              <tr key={level}>
                <th scope="row">{data.levelLabels?.[level] ?? level}</th>
                {columns.map(([key]) => (
                  <td key={key}>
                    {percent(judged(byLevel[level])?.[key] ?? Number.NaN)}
                    <Interval
                      of={method.intervals?.[`${level}.${key}`]}
                      isSymmetric={data.hasSymmetricIntervals}
                    />
                  </td>
                ))}
                <td>{byLevel[level]?.queries}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <div class="scroll">
        <table class="numbers narrow">
          <tbody>
            {overall.map(({ key, label, group, of }) => (
              <tr key={key}>
                <th scope="row">
                  {label} <small>{group}</small>
                </th>
                <td>
                  {percent(of(method.metrics))}
                  <Interval of={method.intervals?.[key]} isSymmetric={data.hasSymmetricIntervals} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** A forest plot: each difference as a line with its interval around zero. */
export function DifferenceTable({ differences }: { differences: readonly ReportDifference[] }) {
  const reach = Math.max(0.001, ...differences.flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]));
  const at = (value: number) => (50 + (46 * value) / reach).toFixed(2);
  const signed = (value: number) => {
    const size = percent(Math.abs(value));
    return size === '0.0' ? size : `${value < 0 ? '−' : '+'}${size}`;
  };
  const figures = [...new Set(differences.map(({ figure }) => figure))];
  return (
    <>
      <p>
        Differences in percentage points, with 95 % intervals. An interval that does not touch the line in the
        middle tells a difference from chance; on the right the first is better.
      </p>
      {figures.map((figure) => (
        <div class="scroll" key={figure}>
          <table class="forest">
            <caption>
              <span>{figure}</span>
            </caption>
            <tbody>
              {differences
                .filter((difference) => difference.figure === figure)
                .map(({ label, mean, low, high, note }) => (
                  <tr key={label} class={low > 0 || high < 0 ? 'clear' : ''}>
                    <th scope="row">
                      {label}
                      {note !== undefined && <small>{note}</small>}
                    </th>
                    <td>
                      <svg viewBox="0 0 100 10" aria-hidden="true" preserveAspectRatio="none">
                        <line class="zero" x1="50" x2="50" y1="0" y2="10" />
                        <line class="range" x1={at(low)} x2={at(high)} y1="5" y2="5" />
                        <line class="centre" x1={at(mean)} x2={at(mean)} y1="1.5" y2="8.5" />
                      </svg>
                    </td>
                    <td>
                      <strong>{signed(mean)}</strong>
                      <span class="interval">
                        {signed(low)} to {signed(high)}
                      </span>
                    </td>
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      ))}
    </>
  );
}

/** A table of texts and numbers. */
export function PlainTable({ table: { note, columns, rows } }: { table: ReportTable }) {
  return (
    <>
      {note !== undefined && <p>{note}</p>}
      <div class="scroll">
        <table class="plain sortable">
          <thead>
            <tr>
              {columns.map((column) => (
                <th scope="col" key={column}>
                  {column}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {rows.map(([name, ...cells], i) => (
              <tr key={i}>
                <th scope="row">{name}</th>
                {cells.map((cell, j) => (
                  <td key={j} data-value={typeof cell === 'number' ? cell : undefined}>
                    {cell}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** Sets of pictures, their authors and licences. */
export function LicenceTable({ licences }: { licences: readonly ReportLicence[] }) {
  return (
    <div class="scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">Pictures</th>
            <th scope="col">By</th>
            <th scope="col">Licence</th>
            <th scope="col">Used here</th>
          </tr>
        </thead>
        <tbody>
          {licences.map(({ name, author, licence, url, pictures }) => (
            <tr key={name}>
              <th scope="row">{url === undefined ? name : <a href={url}>{name}</a>}</th>
              <td>{author ?? ''}</td>
              <td>{licence}</td>
              <td>{pictures ?? ''}</td>
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
          <span>
            {method.label}: Recall@1 in percent. The row asks, the column answers; a dash is a pair of one
            design.
          </span>
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

// --- internal ---

interface Column {
  key: string;
  label: string;
  of: (metrics: MethodMetrics) => number;
}

interface ColumnGroup {
  label: string;
  /** Whether it is one level's. */
  isOfLevel?: true;
  columns: Column[];
}

function columnGroups({ methods, levelLabels }: ReportData): ColumnGroup[] {
  const groups: ColumnGroup[] = [
    {
      label: 'main figures',
      columns: [
        { key: 'recallAt1', label: 'Recall@1', of: ({ recallAt1 }) => recallAt1 },
        { key: 'mapAtR', label: 'MAP@R', of: ({ mapAtR }) => mapAtR },
      ],
    },
    ...levelNames(methods).map((level, i) => ({
      label: levelLabels?.[level] ?? level,
      isOfLevel: true as const,
      columns: (
        [
          ['recallAt1', 'R@1'],
          // The finest level's MAP@R is among the main figures.
          i === 0 ? (['recallAt10', 'R@10'] as const) : (['mapAtR', 'MAP@R'] as const),
        ] as const
      ).map(([key, label]) => ({
        key: `${level}.${key}`,
        label,
        of: ({ byLevel }: MethodMetrics) => judged(byLevel[level])?.[key] ?? Number.NaN,
      })),
    })),
    {
      label: 'over all levels',
      columns: [
        { key: 'hap', label: 'H-AP', of: ({ hap }) => hap },
        { key: 'asi', label: 'ASI', of: ({ asi }) => asi },
        { key: 'ndcgAt10', label: 'nDCG@10', of: ({ ndcgAt10 }) => ndcgAt10 },
      ],
    },
    {
      label: 'attributes',
      columns: [
        {
          key: 'attributeNdcgAt10',
          label: 'nDCG@10',
          of: ({ attributes }) => attributes?.ndcgAt10 ?? Number.NaN,
        },
        {
          key: 'attributeSpearman',
          label: 'Spearman',
          of: ({ attributes }) => attributes?.spearman ?? Number.NaN,
        },
      ],
    },
  ];
  const isThere = ({ of }: Column) => methods.some(({ metrics }) => Number.isFinite(of(metrics)));
  return groups.filter(({ columns }) => columns.some(isThere));
}

/** A level at which no query has anything to find has no figures. */
function judged<T extends { queries: number }>(level: T | undefined): T | undefined {
  return level !== undefined && level.queries > 0 ? level : undefined;
}

function Interval({
  of,
  isSymmetric = false,
}: {
  of: ReportInterval | undefined;
  isSymmetric?: boolean | undefined;
}) {
  if (of === undefined) return null;
  return (
    <span class="interval">
      {isSymmetric ? `± ${percent((of.high - of.low) / 2)}` : `${percent(of.low)} – ${percent(of.high)}`}
    </span>
  );
}
