/**
 * The report: one HTML file with everything in it, readable without JavaScript, in light and dark, on a phone and on
 * paper. Same data, same bytes.
 */
import type { ComponentChildren } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { DataError } from '../../util/index.js';
import { barChart, lineChart, SERIES_COLOURS } from './charts.js';
import type { ReportData, ReportPicture, ReportTraining } from './data.js';
import { FailureCard, MarkLegend, QueryCard } from './pictures.js';
import { STYLE } from './style.js';
import { flattened, levelNames, MethodTable, NameValues, PairTable, percent } from './tables.js';

/**
 * Renders the report as the text of an HTML file. Sections without data are left out.
 * @throws DataError when there is no method, or a picture is not a `data:image/` URI: the file would not stand alone.
 */
export function renderReport(data: ReportData): string {
  if (data.methods.length === 0)
    throw new DataError('renderReport: there must be at least one method, got none.');
  for (const picture of allPictures(data)) {
    if (!picture.dataUri.startsWith('data:image/')) {
      throw new DataError(
        `renderReport: pictures must be data URIs, got '${picture.dataUri.slice(0, 40)}' for '${picture.caption}'. Encode the picture as data:image/png;base64,….`,
      );
    }
  }
  return `<!doctype html>\n${renderToString(<Page data={data} />)}\n`;
}

// --- internal ---

interface Section {
  id: string;
  title: string;
  body: ComponentChildren;
}

function Page({ data }: { data: ReportData }) {
  const sections = sectionsOf(data);
  return (
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <title>{data.title}</title>
        <style dangerouslySetInnerHTML={{ __html: STYLE }} />
      </head>
      <body>
        <header>
          <h1>{data.title}</h1>
          {data.lead.map((paragraph) => (
            <p class="lead" key={paragraph}>
              {paragraph}
            </p>
          ))}
          {data.figures.length > 0 && (
            <dl class="figures">
              {data.figures.map(({ label, value, note }) => (
                <div key={label}>
                  <dt>{label}</dt>
                  <dd class="value">{value}</dd>
                  {note !== undefined && <dd class="soft">{note}</dd>}
                </div>
              ))}
            </dl>
          )}
          <nav aria-label="Sections">
            <ul>
              {sections.map(({ id, title }) => (
                <li key={id}>
                  <a href={`#${id}`}>{title}</a>
                </li>
              ))}
            </ul>
          </nav>
        </header>
        <main>
          {sections.map(({ id, title, body }) => (
            <section aria-labelledby={id} key={id}>
              <h2 id={id}>{title}</h2>
              {body}
            </section>
          ))}
        </main>
        {data.command !== undefined && (
          <footer class="soft">
            Made by <code>{data.command}</code>
          </footer>
        )}
      </body>
    </html>
  );
}

function sectionsOf(data: ReportData): Section[] {
  const hasPairs = Object.keys(data.methods[0]!.metrics.pairs).length > 0;
  const sections: (Section | false | undefined)[] = [
    { id: 'methods', title: 'How well it finds', body: <Methods data={data} hasPairs={hasPairs} /> },
    hasPairs && { id: 'pairs', title: 'Every pair of sources', body: <Pairs data={data} /> },
    data.queries.length > 0 && { id: 'queries', title: 'What it finds', body: <Queries data={data} /> },
    data.failures.length > 0 && { id: 'failures', title: 'Where it fails', body: <Failures data={data} /> },
    data.training && { id: 'training', title: 'How it learned', body: <Training training={data.training} /> },
    { id: 'making', title: 'How it was made', body: <Making data={data} /> },
    data.licences.length > 0 && {
      id: 'licences',
      title: 'Whose pictures these are',
      body: <Licences data={data} />,
    },
  ];
  return sections.filter((section) => section !== false && section !== undefined);
}

function Methods({ data, hasPairs }: { data: ReportData; hasPairs: boolean }) {
  const levels = levelNames(data.methods);
  const keys = data.methods.map((method) => method.label);
  const groups = levels.map((level) => data.levelLabels?.[level] ?? level);
  const series = (key: 'recallAt1' | 'mapAtR') =>
    data.methods.map(({ label, metrics }) => ({
      label,
      values: levels.map((level) => metrics.byLevel[level]?.[key] ?? 0),
    }));
  const inWords = (key: 'recallAt1' | 'mapAtR') =>
    series(key)
      .map(
        ({ label, values }) => `${label}: ${values.map((v, i) => `${groups[i]} ${percent(v)}`).join(', ')}`,
      )
      .join('; ');
  return (
    <>
      <p>
        Recall@1 is the share of queries whose nearest picture is right
        {hasPairs && '; the main figure is its mean over ordered pairs of sources'}. MAP@R asks more: of the R
        right pictures, how many come among the first R, and how early.
        {hasPairs && ' Only pictures by another source count as found.'} Among equally similar pictures the
        wrong ones are ranked first.
      </p>
      <MethodTable data={data} />
      <div class="plots">
        <Plot
          title="Recall@1 by level"
          keys={keys}
          words={inWords('recallAt1')}
          svg={barChart({ id: 'bars-recall', groups, series: series('recallAt1') })}
        />
        <Plot
          title="MAP@R by level"
          keys={keys}
          words={inWords('mapAtR')}
          svg={barChart({ id: 'bars-map', groups, series: series('mapAtR') })}
        />
      </div>
    </>
  );
}

function Pairs({ data }: { data: ReportData }) {
  const [first, ...others] = data.methods;
  return (
    <>
      <PairTable method={first!} />
      {others.map((method) => (
        <details key={method.key}>
          <summary>{method.label}</summary>
          <PairTable method={method} />
        </details>
      ))}
    </>
  );
}

function Queries({ data }: { data: ReportData }) {
  return (
    <>
      <p>
        Each query is asked at several granularities; the same index answers all, only the weights differ.
      </p>
      <MarkLegend />
      <div class="queries">
        {data.queries.map((query, i) => (
          <QueryCard query={query} key={i} />
        ))}
      </div>
    </>
  );
}

function Failures({ data }: { data: ReportData }) {
  return (
    <>
      <p>The queries whose first right picture came latest.</p>
      <div class="failures">
        {data.failures.map((failure, i) => (
          <FailureCard failure={failure} key={i} />
        ))}
      </div>
    </>
  );
}

function Training({ training: { losses, validation } }: { training: ReportTraining }) {
  const labels = (curves: ReportTraining['losses']) => curves.map((curve) => curve.label);
  const ends = (curves: ReportTraining['losses'], isPercent: boolean) =>
    curves
      .filter(({ points }) => points.length > 0)
      .map(({ label, points }) => {
        const [from, to] = [points[0]![1], points.at(-1)![1]].map((v) =>
          isPercent ? percent(v) : v.toPrecision(3),
        );
        return `${label} from ${from} to ${to}`;
      })
      .join('; ');
  return (
    <div class="plots">
      {losses.length > 0 && (
        <Plot
          title="Loss by training step"
          keys={labels(losses)}
          words={ends(losses, false)}
          svg={lineChart({ id: 'losses', curves: losses })}
        />
      )}
      {validation.length > 0 && (
        <Plot
          title="Recall@1 on validation, by training step"
          keys={labels(validation)}
          words={ends(validation, true)}
          svg={lineChart({ id: 'validation', curves: validation, isPercent: true, hasPoints: true })}
        />
      )}
    </div>
  );
}

function Making({ data }: { data: ReportData }) {
  return (
    <>
      <h3>Provenance</h3>
      <NameValues entries={Object.entries(data.provenance)} />
      <h3>Configuration</h3>
      <NameValues entries={flattened(data.configuration)} />
    </>
  );
}

function Licences({ data }: { data: ReportData }) {
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
          {data.licences.map(({ name, author, licence, url, pictures }) => (
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

// The SVG is drawn by us; the labels in it are escaped where it is drawn.
function Plot({
  title,
  keys,
  words,
  svg,
}: {
  title: string;
  keys: readonly string[];
  words: string;
  svg: string;
}) {
  return (
    <figure>
      <figcaption>{title}</figcaption>
      {keys.length > 1 && (
        <ul class="keys">
          {keys.map((label, i) => (
            <li key={label}>
              <span style={`background:${SERIES_COLOURS[i % SERIES_COLOURS.length]}`} aria-hidden="true" />
              {label}
            </li>
          ))}
        </ul>
      )}
      <div role="img" aria-label={`${title}. ${words}`} dangerouslySetInnerHTML={{ __html: svg }} />
    </figure>
  );
}

function* allPictures(data: ReportData): Generator<ReportPicture> {
  for (const query of data.queries) {
    yield query.picture;
    for (const row of query.rows) for (const hit of row.hits) yield hit.picture;
  }
  for (const failure of data.failures) {
    yield failure.picture;
    if (failure.expected !== undefined) yield failure.expected;
    yield* failure.hits;
  }
}
