/** What the model sees in the query, value by value, to ask for more of it, for none of it, or for any. */
import { useState } from 'preact/hooks';
import type { Edit } from '../../src/client/index.js';
import { navigate, page } from '../state/page.js';
import { catalog, response } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Icon } from '../ui/icon.js';
import { predicted } from './query-panel.js';

/** Values less likely than this are no observation. */
const LIKELY = 0.35;
const FEW = 6;

export function Refine() {
  const [isAll, setAll] = useState(false);
  const { edits } = page.value;
  const answered = response.value?.attributes ?? [];
  const seen = answered.length > 0 ? answered : predicted.value;
  const learned = (catalog.value?.attributes ?? []).filter(({ kind }) => kind !== null);
  if (learned.length === 0) return null;
  const groups = learned.map(({ name }) => {
    const predicted = seen.find((attribute) => attribute.name === name)?.values ?? [];
    const likely = predicted
      .filter(({ probability }, i) => probability >= LIKELY || i === 0)
      .slice(0, isAll ? 12 : FEW);
    const edited = edits.filter((edit) => edit.attribute === name);
    const values = [
      ...new Set([
        ...edited.flatMap((edit) => ('value' in edit ? [edit.value] : [])),
        ...likely.map(({ value }) => value),
      ]),
    ];
    return {
      name,
      values,
      isAny: edited.some((edit) => 'any' in edit),
      probabilities: new Map(predicted.map(({ value, probability }) => [value, probability])),
    };
  });
  return (
    <section class="refine" aria-labelledby="refine-title">
      <div class="section-head">
        <h2 id="refine-title">{t.refine.title}</h2>
        {edits.length > 0 && (
          <button type="button" class="link-button" onClick={() => navigate({ edits: [] })}>
            {t.refine.reset}
          </button>
        )}
      </div>
      <p class="muted small">{t.refine.lead}</p>
      {groups.map(({ name, values, isAny, probabilities }) => (
        <div key={name} class="refine-group">
          <h3>{name}</h3>
          <ul class="chips">
            {values.map((value) => (
              <li key={value}>
                <ValueChip name={name} value={value} probability={probabilities.get(value)} isMuted={isAny} />
              </li>
            ))}
            <li>
              <button
                type="button"
                class={isAny ? 'chip chip-on' : 'chip'}
                aria-pressed={isAny}
                aria-label={t.refine.any(name)}
                title={t.refine.any(name)}
                onClick={() => setEdit({ attribute: name, any: true }, isAny)}
              >
                {t.refine.anyShort}
              </button>
            </li>
          </ul>
        </div>
      ))}
      <AddAttribute />
      {seen.some(({ values }) => values.length > FEW) && (
        <button type="button" class="link-button" onClick={() => setAll(!isAll)}>
          {isAll ? t.refine.fewerAttributes : t.refine.moreAttributes}
        </button>
      )}
    </section>
  );
}

// --- internal ---

function ValueChip({
  name,
  value,
  probability,
  isMuted,
}: {
  name: string;
  value: string;
  probability: number | undefined;
  isMuted: boolean;
}) {
  const edit = page.value.edits.find(
    (one): one is Edit & { value: string; want: boolean } =>
      one.attribute === name && 'value' in one && one.value === value,
  );
  const state = edit === undefined ? '' : edit.want ? ' chip-plus' : ' chip-minus';
  const sides = [
    ['plus', true, t.refine.plus(value)],
    ['minus', false, t.refine.minus(value)],
  ] as const;
  return (
    <span
      class={`chip chip-value${state}${isMuted ? ' chip-muted' : ''}`}
      title={probability === undefined ? undefined : t.percent(probability)}
    >
      <span class="chip-text">{value}</span>
      {sides.map(([icon, want, label]) => {
        const isOn = edit?.want === want;
        return (
          <button
            key={icon}
            type="button"
            class="chip-side"
            aria-label={label}
            aria-pressed={isOn}
            onClick={() => setEdit({ attribute: name, value, want }, isOn)}
          >
            <Icon name={icon} size={14} />
          </button>
        );
      })}
    </span>
  );
}

function AddAttribute() {
  const learned = (catalog.value?.attributes ?? []).filter(({ kind }) => kind !== null);
  const choices = learned.flatMap(({ name, values }) => values.map(({ value }) => ({ name, value })));
  return (
    <div class="add-attribute">
      <input
        list="attribute-values"
        aria-label={t.refine.add}
        placeholder={t.refine.add}
        onChange={(event) => {
          const input = event.currentTarget;
          const wanted = input.value.trim().toLowerCase();
          const found =
            choices.find(({ name, value }) => `${name}: ${value}`.toLowerCase() === wanted) ??
            choices.find(({ value }) => value.toLowerCase() === wanted);
          if (found === undefined) return;
          input.value = '';
          setEdit({ attribute: found.name, value: found.value, want: true }, false);
        }}
      />
      <datalist id="attribute-values">
        {choices.slice(0, 2000).map(({ name, value }) => (
          <option key={`${name}: ${value}`} value={`${name}: ${value}`} />
        ))}
      </datalist>
    </div>
  );
}

/** One edit a value; asking for any value of an attribute and for one of them exclude each other. */
function setEdit(edit: Edit, isOff: boolean): void {
  const others = page.peek().edits.filter((one) => {
    if (one.attribute !== edit.attribute) return true;
    if ('any' in edit || 'any' in one) return false;
    return one.value !== edit.value;
  });
  navigate({ edits: isOff ? others : [...others, edit] });
}
