/** Plots with their titles and keys; what a plot shows is also said in words, for those who do not see it. */
import { barChart, lineChart, SERIES_COLOURS, scatterChart } from './charts.js';
import type { ReportBars, ReportData, ReportPlot, ReportScatter } from './data.js';
import { levelNames, percent } from './tables.js';

/** Plots of lines side by side. @param id unique on the page */
export function Plots({ id, plots }: { id: string; plots: readonly ReportPlot[] }) {
  return (
    <div class="plots">
      {plots
        .filter(({ curves }) => curves.some(({ points }) => points.length > 0))
        .map((plot, i) => (
          <Plot
            key={plot.title}
            title={plot.title}
            note={plot.note}
            keys={plot.curves.filter(({ isReference = false }) => !isReference).map(({ label }) => label)}
            words={endsInWords(plot)}
            svg={lineChart(`${id}-${i}`, plot)}
          />
        ))}
    </div>
  );
}

/** Recall@1 and MAP@R of each method at each level. */
export function LevelBars({ data }: { data: ReportData }) {
  const levels = levelNames(data.methods);
  const groups = levels.map((level) => data.levelLabels?.[level] ?? level);
  const bars = (
    [
      ['recallAt1', 'Recall@1 by level'],
      ['mapAtR', 'MAP@R by level'],
    ] as const
  ).map(([key, title]) => ({
    title,
    groups,
    series: data.methods.map(({ label, metrics }) => ({
      label,
      values: levels.map((level) => metrics.byLevel[level]?.[key] ?? 0),
    })),
  }));
  return <Bars id="levels" bars={bars} />;
}

/** Plots of bars side by side. @param id unique on the page */
export function Bars({ id, bars }: { id: string; bars: readonly ReportBars[] }) {
  return (
    <div class="plots">
      {bars.map(({ title, groups, series }, i) => (
        <Plot
          key={title}
          title={title}
          keys={series.map(({ label }) => label)}
          words={series
            .map(
              ({ label, values }) =>
                `${label}: ${values.map((v, j) => `${groups[j]} ${percent(v)}`).join(', ')}`,
            )
            .join('; ')}
          svg={barChart({ id: `${id}-${i}`, groups, series })}
        />
      ))}
    </div>
  );
}

/** Scatter plots side by side. */
export function Scatters({ scatters }: { scatters: readonly ReportScatter[] }) {
  return (
    <div class="plots">
      {scatters.map((scatter, i) => (
        <Plot
          key={scatter.title}
          title={scatter.title}
          note={scatter.note}
          keys={scatter.points.map(({ label }) => label)}
          words={scatter.points
            .map(
              ({ label, x, y }) => `${label}: ${compact(x)}, ${scatter.isPercent ? percent(y) : compact(y)}`,
            )
            .join('; ')}
          svg={scatterChart(`scatter-${i}`, scatter)}
        />
      ))}
    </div>
  );
}

/** The colours of a plot's lines, bars or groups. */
export function Keys({ labels }: { labels: readonly string[] }) {
  return (
    <ul class="keys">
      {labels.map((label, i) => (
        <li key={label}>
          <span style={`background:${SERIES_COLOURS[i % SERIES_COLOURS.length]}`} aria-hidden="true" />
          {label}
        </li>
      ))}
    </ul>
  );
}

// --- internal ---

const compact = (value: number) => String(Number(value.toPrecision(3)));

function endsInWords({ curves, isPercent = false }: ReportPlot): string {
  const say = (value: number) => (isPercent ? percent(value) : compact(value));
  return curves
    .filter(({ points, isReference = false }) => points.length > 0 && !isReference)
    .map(({ label, points }) => `${label} from ${say(points[0]![1])} to ${say(points.at(-1)![1])}`)
    .join('; ');
}

// The SVG is drawn by us; the labels in it are escaped where it is drawn.
function Plot({
  title,
  note,
  keys,
  words,
  svg,
}: {
  title: string;
  note?: string | undefined;
  keys: readonly string[];
  words: string;
  svg: string;
}) {
  return (
    <figure>
      <figcaption>{title}</figcaption>
      {keys.length > 1 && <Keys labels={keys} />}
      <div role="img" aria-label={`${title}. ${words}`} dangerouslySetInnerHTML={{ __html: svg }} />
      {note !== undefined && <p class="soft">{note}</p>}
    </figure>
  );
}
