/** How results are shown: one per item, order, variety, and how sure they must be. */
import { levelAt } from '../state/location.js';
import { granularity, navigate, page } from '../state/page.js';
import { catalog } from '../state/search.js';
import { strings as t } from '../strings.js';

const SURENESS = [0.5, 0.75, 0.9, 0.95];
const VARIETY = [
  [0, t.tools.diversityNone],
  [0.3, t.tools.diversitySome],
  [0.7, t.tools.diversityMuch],
] as const;

export function Tools() {
  const { group, sort, diversity, cut } = page.value;
  const numeric = (catalog.value?.attributes ?? []).filter((attribute) => attribute.numeric !== null);
  const isCalibrated = catalog.value?.capabilities.calibrated === true;
  const level = levelAt(granularity.value);
  return (
    <fieldset class="tools">
      <legend class="visually-hidden">{t.tools.label}</legend>
      {isCalibrated && (
        <label class="field">
          <span>{t.level[level]}</span>
          <select
            value={String(cut.probability)}
            onChange={(event) =>
              navigate({ cut: { ...cut, probability: Number(event.currentTarget.value) } })
            }
          >
            {[...new Set([...SURENESS, cut.probability])].sort().map((probability) => (
              <option key={probability} value={String(probability)}>
                {t.tools.atLeast(t.percent(probability))}
              </option>
            ))}
          </select>
        </label>
      )}
      {isCalibrated && (
        <label class="check">
          <input
            type="checkbox"
            checked={cut.hide}
            onChange={(event) => navigate({ cut: { ...cut, hide: event.currentTarget.checked } })}
          />
          {t.tools.hide}
        </label>
      )}
      <label class="check">
        <input
          type="checkbox"
          checked={group}
          onChange={(event) => navigate({ group: event.currentTarget.checked })}
        />
        {t.tools.group}
      </label>
      <label class="field">
        <span>{t.tools.diversity}</span>
        <select
          value={String(diversity)}
          onChange={(event) => {
            // Variety is an order of its own: with it nothing is sorted, and the other way round.
            const chosen = Number(event.currentTarget.value);
            navigate({ diversity: chosen, ...(chosen > 0 ? { sort: null } : {}) });
          }}
        >
          {VARIETY.map(([value, label]) => (
            <option key={value} value={String(value)}>
              {label}
            </option>
          ))}
          {!VARIETY.some(([value]) => value === diversity) && (
            <option value={String(diversity)}>{t.percent(diversity)}</option>
          )}
        </select>
      </label>
      {(numeric.length > 0 || sort !== null) && (
        <label class="field">
          <span>{t.tools.sort}</span>
          <select
            value={sort === null ? '' : JSON.stringify(sort)}
            onChange={(event) => {
              const { value } = event.currentTarget;
              navigate(value === '' ? { sort: null } : { sort: JSON.parse(value), diversity: 0 });
            }}
          >
            <option value="">{t.tools.sortScore}</option>
            {[
              ...new Set([...numeric.map(({ name }) => name), ...(sort === null ? [] : [sort.column])]),
            ].flatMap((column) => [
              <option key={`${column}+`} value={JSON.stringify({ column, direction: 'ascending' })}>
                {t.tools.ascending(column)}
              </option>,
              <option key={`${column}-`} value={JSON.stringify({ column, direction: 'descending' })}>
                {t.tools.descending(column)}
              </option>,
            ])}
          </select>
        </label>
      )}
    </fieldset>
  );
}
