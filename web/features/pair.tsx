/** Two pictures side by side and all that is known of their likeness: where, how sure, of what, in words. */
import { useEffect, useMemo, useState } from 'preact/hooks';
import type { Edit, Example, ExplainResponse, Hit, Picture } from '../../src/client/index.js';
import { isAbort, RequestError } from '../api.js';
import { api } from '../state/search.js';
import { strings as t } from '../strings.js';
import { LevelMark } from '../ui/level-mark.js';
import { Failure } from '../ui/states.js';
import { HeatPicture } from './heat.js';

export interface Side {
  readonly title: string;
  readonly label: string;
  readonly address: string | null | undefined;
  readonly picture?: Picture | undefined;
}

interface Props {
  readonly left: Side;
  readonly right: Side;
  /** What to explain by: undefined while it is looked up, null when there is no picture to explain with. */
  readonly sent: { example: Example; picture?: Blob } | null | undefined;
  readonly id: string;
  readonly granularity: number;
  /** The query's, so that the reasons are those of the score. */
  readonly edits?: readonly Edit[];
  /** What is known without asking. */
  readonly hit?: Hit | undefined;
}

const NO_EDITS: readonly Edit[] = [];

export function Pair({ left, right, sent, id, granularity, edits = NO_EDITS, hit }: Props) {
  const [answer, setAnswer] = useState<ExplainResponse | null>(null);
  const [error, setError] = useState<RequestError | null>(null);
  const [isShown, setShown] = useState(true);
  const [strength, setStrength] = useState(0.75);
  const [attempt, setAttempt] = useState(0);
  useEffect(() => {
    if (sent === undefined || sent === null) return;
    const controller = new AbortController();
    setError(null);
    api
      .explain({ example: sent.example, id, granularity, edits: [...edits] }, controller.signal, sent.picture)
      .then(setAnswer, (failed) => {
        if (!isAbort(failed))
          setError(failed instanceof RequestError ? failed : new RequestError('problem', String(failed)));
      });
    return () => controller.abort();
  }, [sent, id, granularity, edits, attempt]);
  const maps = answer?.heatMaps;
  const most = useMemo(
    () => (maps === undefined ? 0 : Math.max(...maps.query.values, ...maps.hit.values)),
    [maps],
  );
  const probabilities = answer?.probabilities ?? hit?.probabilities;
  const parts = answer?.parts ?? hit?.parts;
  const score = answer?.score ?? hit?.score;
  const drawn = isShown ? strength : 0;
  return (
    <div class="pair">
      <div class="pair-pictures">
        {[left, right].map((side, i) => (
          <figure key={side.title}>
            <HeatPicture
              address={side.address}
              label={`${side.title}: ${side.label}`}
              heat={i === 0 ? maps?.query : maps?.hit}
              most={most}
              strength={drawn}
            />
            <figcaption>
              <b>{side.title}</b> <span class="muted">{side.label}</span>
            </figcaption>
          </figure>
        ))}
      </div>
      {maps !== undefined && (
        <div class="heat-tools">
          <label class="check">
            <input
              type="checkbox"
              checked={isShown}
              onChange={(event) => setShown(event.currentTarget.checked)}
            />
            {t.why.where}
          </label>
          <input
            type="range"
            class="plain-range"
            min="10"
            max="100"
            value={strength * 100}
            disabled={!isShown}
            aria-label={t.why.strength}
            onInput={(event) => setStrength(Number(event.currentTarget.value) / 100)}
          />
          <span class="heat-scale" aria-hidden="true" />
          <p class="muted small">
            {maps.method === 'exact'
              ? t.why.exact(maps.cosine.toFixed(2), Math.abs(maps.remainder).toFixed(2))
              : t.why.occlusion}
          </p>
        </div>
      )}
      {sent === null && <p class="muted">{t.why.noPicture}</p>}
      {answer !== null && maps === undefined && <p class="muted">{t.why.noHeat}</p>}
      {error !== null && <Failure error={error} retry={() => setAttempt(attempt + 1)} />}
      {answer === null && error === null && sent !== null && (
        <p class="muted" role="status">
          {t.loading}
        </p>
      )}
      <div class="pair-facts">
        {answer !== null && answer.words.length > 0 && (
          <section>
            <h3>{t.why.words}</h3>
            <ul class="words">
              {answer.words.map((sentence) => (
                <li key={sentence}>{sentence}</li>
              ))}
            </ul>
          </section>
        )}
        <section>
          <h3>{t.why.probabilities}</h3>
          {probabilities === undefined ? (
            <p class="muted">{t.why.notCalibrated}</p>
          ) : (
            <ul class="bars">
              {(['item', 'look', 'category'] as const).map((level) => (
                <Bar key={level} share={probabilities[level]} value={t.percent(probabilities[level])}>
                  <LevelMark level={level} /> {t.level[level]}
                </Bar>
              ))}
            </ul>
          )}
        </section>
        {parts !== undefined && score !== undefined && (
          <section>
            <h3>{t.why.parts}</h3>
            <ul class="bars">
              {Object.entries(parts).map(([name, share]) => (
                <Bar key={name} share={share / Math.max(Math.abs(score), 1e-6)} value={share.toFixed(3)}>
                  {t.why.part(name)}
                </Bar>
              ))}
              <li class="bar bar-sum">
                <span>{t.why.score}</span>
                <b>{score.toFixed(3)}</b>
              </li>
            </ul>
          </section>
        )}
        {answer !== null && <Attributes answer={answer} />}
        {left.picture !== undefined && right.picture !== undefined && (
          <Known left={left.picture} right={right.picture} />
        )}
      </div>
    </div>
  );
}

// --- internal ---

function Bar({
  share,
  value,
  children,
}: {
  share: number;
  value: string;
  children: preact.ComponentChildren;
}) {
  return (
    <li class="bar">
      <span>{children}</span>
      <b>{value}</b>
      <span class="bar-track" aria-hidden="true">
        <span class="bar-fill" style={{ width: `${Math.min(Math.max(share, 0), 1) * 100}%` }} />
      </span>
    </li>
  );
}

function Attributes({ answer }: { answer: ExplainResponse }) {
  const rows = answer.attributes.slice(0, 10);
  const most = Math.max(...rows.map(({ contribution }) => Math.abs(contribution)), 1e-9);
  return (
    <section>
      <h3>{t.why.attributes}</h3>
      {rows.length === 0 ? (
        <p class="muted">{t.why.noAttributes}</p>
      ) : (
        <ul class="bars">
          {rows.map(({ name, value, contribution, query, hit }) => (
            <Bar
              key={`${name}:${value}`}
              share={Math.abs(contribution) / most}
              value={contribution.toFixed(3)}
            >
              <span title={t.why.attributeRow(t.percent(query), t.percent(hit))}>
                <span class="muted">{name}</span> {value}
              </span>
            </Bar>
          ))}
        </ul>
      )}
    </section>
  );
}

/** What the catalogue itself says of both, column by column. */
function Known({ left, right }: { left: Picture; right: Picture }) {
  const columns = [...new Set([...Object.keys(left.attributes), ...Object.keys(right.attributes)])];
  const text = (picture: Picture, column: string) =>
    (picture.attributes[column] ?? []).join(', ') || t.why.unknown;
  return (
    <section class="known">
      <h3>{t.why.known}</h3>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="table-scroll" tabIndex={0} aria-label={t.why.known}>
        <table>
          <thead>
            <tr>
              <th scope="col">{t.compare.column}</th>
              <th scope="col">{left.itemId}</th>
              <th scope="col">{right.itemId}</th>
              <th scope="col">
                <span class="visually-hidden">
                  {t.compare.same} / {t.compare.different}
                </span>
              </th>
            </tr>
          </thead>
          <tbody>
            {columns.map((column) => {
              const [a, b] = [text(left, column), text(right, column)];
              return (
                <tr key={column}>
                  <th scope="row">{column}</th>
                  <td>{a}</td>
                  <td>{b}</td>
                  <td class="muted">{a === b ? t.compare.same : t.compare.different}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </section>
    </section>
  );
}
