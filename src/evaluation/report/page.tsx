/**
 * The report: one HTML file with everything in it, readable without JavaScript, in light and dark, on a phone and on
 * paper. Same data, same bytes. The only script sorts tables by a column.
 */
import type { ComponentChildren } from 'preact';
import { renderToString } from 'preact-render-to-string';
import { DataError } from '../../util/index.js';
import { AttributeTables } from './attributes.js';
import type { ReportData, ReportPicture } from './data.js';
import { Making } from './making.js';
import { EmbeddingMaps } from './map.js';
import { Grid, picturesOf } from './pictures.js';
import { Bars, LevelBars, Plots, Scatters } from './plots.js';
import { SORTING } from './sorting.js';
import { STYLE } from './style.js';
import { DifferenceTable, LevelTable, LicenceTable, MethodTable, PairTable, PlainTable } from './tables.js';

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
        <script dangerouslySetInnerHTML={{ __html: SORTING }} />
      </body>
    </html>
  );
}

function sectionsOf(data: ReportData): Section[] {
  const {
    differences = [],
    bars = [],
    scatters = [],
    tables = [],
    grids = [],
    training = [],
    licences = [],
  } = data;
  const { dimensions = [], maps = [], attributes = [], calibration = [] } = data;
  const hasPairs = data.methods.some(({ metrics }) => Object.keys(metrics.pairs).length > 0);
  const sections: (Section | false)[] = [
    { id: 'methods', title: 'How well it finds', body: <Methods data={data} hasPairs={hasPairs} /> },
    bars.length > 0 && {
      id: 'settings',
      title: 'Setting by setting',
      body: <Bars id="settings" bars={bars} />,
    },
    differences.length > 0 && {
      id: 'differences',
      title: 'What differs',
      body: <DifferenceTable differences={differences} />,
    },
    scatters.length > 0 && {
      id: 'cost',
      title: 'What it costs',
      body: <Scatters scatters={scatters} />,
    },
    ...tables.map((table, i) => ({
      id: `table-${i}`,
      title: table.title,
      body: <PlainTable table={table} />,
    })),
    hasPairs && { id: 'pairs', title: 'Every pair of sources', body: <Pairs data={data} /> },
    ...grids.map((grid) => ({ id: grid.id, title: grid.title, body: <Grid grid={grid} /> })),
    training.length > 0 && {
      id: 'training',
      title: 'How it learned',
      body: <Plots id="training" plots={training} />,
    },
    dimensions.length > 0 && {
      id: 'dimensions',
      title: 'How many dimensions it needs',
      body: <Plots id="dimensions" plots={dimensions} />,
    },
    maps.length > 0 && {
      id: 'map',
      title: 'What lies near what',
      body: <EmbeddingMaps maps={maps} />,
    },
    attributes.length > 0 && {
      id: 'attributes',
      title: 'What it says of pictures',
      body: <AttributeTables runs={attributes} />,
    },
    calibration.length > 0 && {
      id: 'calibration',
      title: 'How far its probabilities can be trusted',
      body: <Plots id="calibration" plots={calibration} />,
    },
    data.makings.length > 0 && {
      id: 'making',
      title: 'How it was made',
      body: <Making makings={data.makings} />,
    },
    licences.length > 0 && {
      id: 'licences',
      title: 'Whose pictures these are',
      body: <LicenceTable licences={licences} />,
    },
  ];
  return sections.filter((section) => section !== false);
}

function Methods({ data, hasPairs }: { data: ReportData; hasPairs: boolean }) {
  return (
    <>
      <p>
        Recall@1 is the share of queries whose nearest picture is right
        {hasPairs && '; the main figure is its mean over ordered pairs of sources'}. MAP@R asks more: of the R
        right pictures, how many come among the first R, and how early.
        {hasPairs && ' Only pictures by another source count as found.'} Among equally similar pictures the
        wrong ones are ranked first.
      </p>
      {data.methods.length === 1 ? <LevelTable data={data} /> : <MethodTable data={data} />}
      <LevelBars data={data} />
    </>
  );
}

function Pairs({ data }: { data: ReportData }) {
  const [first, ...others] = data.methods.filter(({ metrics }) => Object.keys(metrics.pairs).length > 0);
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

function* allPictures({ grids = [], maps = [] }: ReportData): Generator<ReportPicture> {
  for (const grid of grids) yield* picturesOf(grid);
  for (const { picture } of maps) if (picture !== undefined) yield picture;
}
