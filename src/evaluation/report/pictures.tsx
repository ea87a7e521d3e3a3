/**
 * The report's pictures: queries with their neighbours. Right and wrong differ in colour, sign and line. The filter of a
 * grid is a row of radio buttons and a style sheet: no script.
 */
import type { ReportGrid, ReportHit, ReportPicture, ReportQuery } from './data.js';

/** Queries with their neighbours, under their filter. */
export function Grid({ grid: { id, intro, filters = [], queries } }: { grid: ReportGrid }) {
  const classOf = (key: string) => `${id}-${filters.findIndex((filter) => filter.key === key)}`;
  const shown = (key: string) => queries.filter((query) => query.filters?.includes(key)).length;
  const rules = filters.map(
    ({ key }) => `section:has(#${classOf(key)}:checked) .query:not(.${classOf(key)}){display:none}`,
  );
  return (
    <>
      {intro.map((paragraph) => (
        <p key={paragraph}>{paragraph}</p>
      ))}
      <MarkLegend />
      {filters.length > 0 && (
        <>
          <style dangerouslySetInnerHTML={{ __html: `@media screen{${rules.join('')}}` }} />
          <fieldset class="filter">
            <legend>Show</legend>
            <label>
              <input type="radio" name={`${id}-filter`} checked /> all ({queries.length})
            </label>
            {filters.map(({ key, label }) => (
              <label key={key}>
                <input type="radio" name={`${id}-filter`} id={classOf(key)} /> {label} ({shown(key)})
              </label>
            ))}
          </fieldset>
        </>
      )}
      <div class={queries.every(({ rows }) => rows.length === 1) ? 'queries compact' : 'queries'}>
        {queries.map((query, i) => (
          <QueryCard query={query} classes={(query.filters ?? []).map(classOf)} key={i} />
        ))}
      </div>
    </>
  );
}

/** All pictures of a grid. */
export function* picturesOf({ queries }: ReportGrid): Generator<ReportPicture> {
  for (const query of queries) {
    yield query.picture;
    if (query.expected !== undefined) yield query.expected;
    for (const row of query.rows) for (const hit of row.hits) yield hit.picture;
  }
}

// --- internal ---

function MarkLegend() {
  return (
    <ul class="legend">
      <li class="right">
        <Mark isRight={true} /> right: it is what was asked for
      </li>
      <li class="wrong">
        <Mark isRight={false} /> wrong
      </li>
    </ul>
  );
}

/** A query on the left, with what it should have found, and a row of neighbours for each granularity or model. */
function QueryCard({ query, classes }: { query: ReportQuery; classes: readonly string[] }) {
  return (
    <article class={['query', ...classes].join(' ')}>
      <div class="asked">
        <figure>
          <img src={query.picture.dataUri} alt={`Query: ${query.picture.caption}`} />
          <figcaption>
            {query.picture.caption}
            {query.note !== undefined && <strong>{query.note}</strong>}
          </figcaption>
        </figure>
        {query.expected !== undefined && (
          <figure class="right expected">
            <div class="framed">
              <img class="hit" src={query.expected.dataUri} alt={`Looked for: ${query.expected.caption}`} />
              <Mark isRight={true} />
            </div>
            <figcaption>looked for: {query.expected.caption}</figcaption>
          </figure>
        )}
      </div>
      <div>
        {query.rows.map(({ label, hits }) => (
          <section class="row" key={label}>
            <h4>
              {label}
              <small>
                {hits.filter((hit) => hit.isRight).length} of {hits.length}
              </small>
            </h4>
            <ol class="hits">
              {hits.map((hit, i) => (
                <Hit hit={hit} key={i} />
              ))}
            </ol>
          </section>
        ))}
      </div>
    </article>
  );
}

function Mark({ isRight }: { isRight: boolean }) {
  return (
    <span class="mark" aria-hidden="true">
      {isRight ? '✓' : '✗'}
    </span>
  );
}

function Hit({ hit: { picture, isRight, common } }: { hit: ReportHit }) {
  const judgement = `${isRight ? 'Right' : 'Wrong'}${common === undefined ? '' : `, but ${common}`}`;
  return (
    <li class={isRight ? 'right' : 'wrong'} title={`${judgement}: ${picture.caption}`}>
      <img class="hit" src={picture.dataUri} alt={`${judgement}: ${picture.caption}`} />
      <Mark isRight={isRight} />
      <span class="name" aria-hidden="true">
        {picture.caption}
      </span>
      {common !== undefined && (
        <span class="common" aria-hidden="true">
          {common}
        </span>
      )}
    </li>
  );
}
