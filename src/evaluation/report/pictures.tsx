/** The report's pictures: queries with their neighbours, and failures. Right and wrong differ in colour, sign and line. */
import type { ReportFailure, ReportHit, ReportPicture, ReportQuery } from './data.js';

/** What the marks mean. */
export function MarkLegend() {
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

/** A query on the left, and a row of neighbours for each granularity. */
export function QueryCard({ query }: { query: ReportQuery }) {
  return (
    <article class="query">
      <figure>
        <img src={query.picture.dataUri} alt={`Query: ${query.picture.caption}`} />
        <figcaption>{query.picture.caption}</figcaption>
      </figure>
      <div>
        {query.rows.map(({ granularity, hits }) => (
          <section class="row" key={granularity}>
            <h4>
              {granularity}
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

/** A query, what it should have found, and what it found. */
export function FailureCard({ failure }: { failure: ReportFailure }) {
  return (
    <article class="failure">
      <p>
        First right picture at rank <strong>{failure.firstRank}</strong>
      </p>
      <div>
        <LabelledPicture label="Query" picture={failure.picture} kind="" />
        {failure.expected !== undefined && (
          <LabelledPicture label="Looked for" picture={failure.expected} kind="right" />
        )}
        <div>
          <h4>Found instead</h4>
          <ol class="hits">
            {failure.hits.map((picture, i) => (
              <Hit hit={{ picture, isRight: false }} key={i} />
            ))}
          </ol>
        </div>
      </div>
    </article>
  );
}

// --- internal ---

function Mark({ isRight }: { isRight: boolean }) {
  return (
    <span class="mark" aria-hidden="true">
      {isRight ? '✓' : '✗'}
    </span>
  );
}

function Hit({ hit: { picture, isRight } }: { hit: ReportHit }) {
  return (
    <li class={isRight ? 'right' : 'wrong'} title={picture.caption}>
      <img class="hit" src={picture.dataUri} alt={`${isRight ? 'Right' : 'Wrong'}: ${picture.caption}`} />
      <Mark isRight={isRight} />
      <span class="name" aria-hidden="true">
        {picture.caption}
      </span>
    </li>
  );
}

function LabelledPicture({
  label,
  picture,
  kind,
}: {
  label: string;
  picture: ReportPicture;
  kind: '' | 'right';
}) {
  return (
    <figure class={kind}>
      <h4>{label}</h4>
      <div class="framed">
        <img class="hit" src={picture.dataUri} alt={`${label}: ${picture.caption}`} />
        {kind === 'right' && <Mark isRight={true} />}
      </div>
      <span class="name" aria-hidden="true">
        {picture.caption}
      </span>
    </figure>
  );
}
