/** The catalogue as a map: alike is near. Points have the colour of a column's value; those of the open query are ringed. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { MapResponse } from '../../../src/client/index.js';
import { isAbort, RequestError } from '../../api.js';
import { navigate, page, searchWith } from '../../state/page.js';
import { api, catalog, hits } from '../../state/search.js';
import { colourScheme } from '../../state/theme.js';
import { strings as t } from '../../strings.js';
import { Failure, forgetFailures, Message } from '../../ui/states.js';
import { ExampleThumbnail, exampleLabel } from '../example-picture.js';
import { GranularitySlider } from '../slider.js';
import { MapCanvas } from './canvas.js';
import { colouring, cssColour, type LegendEntry } from './colours.js';
import { makeField, pointsIn } from './field.js';
import { projection, WHOLE } from './paint.js';
import './map.css';

/** Pictures in the list beside the map, and by how many it grows. */
const LISTED = 24;
/** A column of more values than this tells nothing by colour. */
const MOST_DISTINCT = 400;

export function CatalogMap() {
  const columns = (catalog.value?.attributes ?? []).filter(
    ({ distinct, numeric }) => distinct > 1 && (numeric !== null || distinct <= MOST_DISTINCT),
  );
  const { colour } = page.value;
  // The coarsest column that was learned says most.
  const usual = [...columns]
    .filter(({ numeric }) => numeric === null)
    .sort((a, b) => Number(b.kind !== null) - Number(a.kind !== null) || a.distinct - b.distinct)[0]?.name;
  const column =
    colour === ''
      ? null
      : colour !== null && columns.some(({ name }) => name === colour)
        ? colour
        : (usual ?? null);
  const isKnown = catalog.value !== null;
  const hasMap = catalog.value?.capabilities.map === true;
  const [answer, setAnswer] = useState<MapResponse | null>(null);
  const [error, setError] = useState<RequestError | null>(null);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (!isKnown || !hasMap) return;
    const controller = new AbortController();
    api.map(column, controller.signal).then(
      (map) => {
        forgetFailures();
        setError(null);
        setAnswer(map);
      },
      (failed) => {
        if (!isAbort(failed))
          setError(failed instanceof RequestError ? failed : new RequestError('problem', String(failed)));
      },
    );
    return () => controller.abort();
  }, [isKnown, hasMap, column, attempt]);

  if (isKnown && !hasMap)
    return (
      <Message icon="search" title={t.map.none}>
        <p>{t.map.noneDetail}</p>
        <code>{t.map.command}</code>
      </Message>
    );
  if (error !== null) return <Failure error={error} retry={() => setAttempt(attempt + 1)} />;
  return <Drawn answer={answer} column={column} columns={columns.map(({ name }) => name)} />;
}

// --- internal ---

interface DrawnProps {
  readonly answer: MapResponse | null;
  readonly column: string | null;
  readonly columns: readonly string[];
}

function Drawn({ answer, column, columns }: DrawnProps) {
  const { mark, examples, at } = page.value;
  const scheme = colourScheme.value;
  const ids = answer?.ids ?? NOTHING;
  const field = useMemo(() => makeField(decodePositions(answer?.positions ?? '')), [answer?.positions]);
  const isNumeric = catalog.value?.attributes.find(({ name }) => name === column)?.numeric != null;
  const coloured = useMemo(
    () =>
      colouring(answer !== null && answer.values.length > 0 ? answer.values : ids.map(() => ''), isNumeric),
    [answer, isNumeric],
  );
  const places = useMemo(() => new Map(ids.map((id, i) => [id, i])), [ids]);
  const found = hits.value;
  const hitPoints = useMemo(
    () =>
      pointsOf(
        found.map(({ id }) => id),
        places,
      ),
    [found, places],
  );
  const queryKey = examples.map((example) => (example.kind === 'id' ? example.id : '')).join('\n');
  const queryPoints = useMemo(() => pointsOf(queryKey.split('\n'), places), [queryKey, places]);
  const camera = useMemo(() => at ?? WHOLE, [at?.x, at?.y, at?.zoom]);
  const picked =
    mark === null ? null : (coloured.legend.find((entry) => keyOf(entry) === mark)?.index ?? null);
  const rankOf = useMemo(() => new Map(found.map(({ id, rank }) => [id, rank])), [found]);
  const labelOf = (point: number) => {
    const id = ids[point]!;
    const rank = rankOf.get(id);
    const value = answer?.values[point];
    return [
      ...(rank === undefined ? [] : [t.results.rank(rank)]),
      ...(column === null
        ? []
        : [`${column}: ${value === undefined || value === '' ? t.map.unknown : value}`]),
      id,
    ].join(' · ');
  };
  const open = (point: number) => searchWith({ kind: 'id', id: ids[point]!, weight: 1 });
  const main = examples.find(({ weight }) => weight === 1);
  return (
    <>
      {main !== undefined && <GranularitySlider />}
      <div class="map-layout">
        {answer === null ? (
          <div class="map-block">
            <div class="map-frame map-wait" aria-busy="true">
              <span class="visually-hidden">{t.loading}</span>
            </div>
          </div>
        ) : (
          <MapCanvas
            field={field}
            ids={ids}
            colours={coloured.indexes}
            scheme={scheme}
            picked={picked}
            hits={hitPoints}
            queries={queryPoints}
            camera={camera}
            labelOf={labelOf}
            onRest={(next) => navigate({ at: next.zoom === 1 ? null : next }, 'replace')}
            onOpen={open}
          />
        )}
        <section class="legend" aria-labelledby="legend-title">
          <h2 id="legend-title" class="visually-hidden">
            {t.map.legend}
          </h2>
          <label class="field">
            <span>{t.map.colour}</span>
            <select
              value={column ?? ''}
              onChange={(event) => navigate({ colour: event.currentTarget.value, mark: null }, 'replace')}
            >
              {columns.map((name) => (
                <option key={name} value={name}>
                  {name}
                </option>
              ))}
              <option value="">{t.map.noColour}</option>
            </select>
          </label>
          <ul>
            {coloured.legend.map((entry) => (
              <li key={keyOf(entry)}>
                <button
                  type="button"
                  class="legend-entry"
                  aria-pressed={mark === keyOf(entry)}
                  onClick={() => navigate({ mark: mark === keyOf(entry) ? null : keyOf(entry) }, 'replace')}
                >
                  <span class="swatch" style={{ background: cssColour(entry.index, scheme) }} />
                  <span class="legend-name">{nameOf(entry)}</span>
                  <span class="facet-count">{t.number(entry.count)}</span>
                </button>
              </li>
            ))}
          </ul>
          {main !== undefined && (
            <ul class="legend-query">
              <li>
                <ExampleThumbnail example={main} size={40} />
                <span class="ring ring-query" /> {exampleLabel(main)}
              </li>
              <li>
                <span class="ring" /> {t.map.results(hitPoints.length)}
              </li>
            </ul>
          )}
        </section>
      </div>
      {answer?.stale === true && (
        <p class="map-stale">
          {t.map.stale} <code>{t.map.command}</code>
        </p>
      )}
      {answer !== null && (
        <InView answer={answer} camera={camera} field={field} labelOf={labelOf} onOpen={open} />
      )}
    </>
  );
}

/** The same in text: what is in view, and the pictures nearest to its middle. */
function InView({
  answer,
  camera,
  field,
  labelOf,
  onOpen,
}: {
  answer: MapResponse;
  camera: { x: number; y: number; zoom: number };
  field: ReturnType<typeof makeField>;
  labelOf: (point: number) => string;
  onOpen: (point: number) => void;
}) {
  const [most, setMost] = useState(LISTED);
  useEffect(() => setMost(LISTED), [camera]);
  const { points, total } = useMemo(
    () => pointsIn(field, projection(camera, 1, 1).box, most),
    [field, camera, most],
  );
  return (
    <section class="in-view" aria-labelledby="in-view-title">
      <div class="section-head">
        <h2 id="in-view-title">{t.map.inView(total)}</h2>
        <span class="muted">{t.map.inViewOrder}</span>
      </div>
      <ul class="in-view-list">
        {points.map((point) => (
          <li key={answer.ids[point]}>
            <button
              type="button"
              class="in-view-picture"
              title={labelOf(point)}
              onClick={() => onOpen(point)}
            >
              <img
                src={api.imageUrl(answer.ids[point]!, 160)}
                alt={`${labelOf(point)}. ${t.results.searchWith}`}
                width="96"
                height="96"
                loading="lazy"
                decoding="async"
              />
            </button>
          </li>
        ))}
      </ul>
      {total > points.length && (
        <button type="button" class="button" onClick={() => setMost(most + 2 * LISTED)}>
          {t.results.more}
        </button>
      )}
    </section>
  );
}

const NOTHING: readonly string[] = [];

function pointsOf(ids: readonly string[], places: ReadonlyMap<string, number>): number[] {
  return ids.map((id) => places.get(id)).filter((point) => point !== undefined);
}

function keyOf({ kind, value }: LegendEntry): string {
  return kind === 'value' || kind === 'range' ? `${value}` : `(${kind})`;
}

function nameOf({ kind, value }: LegendEntry): string {
  return kind === 'other' ? t.map.other : kind === 'unknown' ? t.map.unknown : value;
}

function decodePositions(base64: string): Float32Array {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  return new Float32Array(bytes.buffer, 0, bytes.length >> 2);
}
