/** How it was made: provenance and configuration, a column a run, what differs between runs first. */
import type { ReportMaking } from './data.js';

/** Provenance and configuration of one run as lists, of several as tables. */
export function Making({ makings }: { makings: readonly ReportMaking[] }) {
  return (
    <>
      <h3>Provenance</h3>
      <Entries
        columns={makings.map(({ label, provenance }) => ({ label, entries: flattened(provenance) }))}
      />
      <h3>Configuration</h3>
      <Entries
        columns={makings.map(({ label, configuration }) => ({ label, entries: flattened(configuration) }))}
      />
    </>
  );
}

/** `{ optimizer: { learningRate: 0.004 } }` → `['optimizer.learningRate', '0.004']`; lists stay on one line. */
export function flattened(value: unknown, prefix = ''): [string, string][] {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return Object.entries(value).flatMap(([key, part]) =>
      flattened(part, prefix === '' ? key : `${prefix}.${key}`),
    );
  }
  if (value === undefined) return [];
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
  return [[prefix, isPlain ? String(value) : JSON.stringify(value)]];
}

// --- internal ---

interface Column {
  label: string;
  entries: readonly (readonly [string, string])[];
}

function Entries({ columns }: { columns: readonly Column[] }) {
  if (columns.length === 1) return <NameValues entries={columns[0]!.entries} />;
  const values = columns.map(({ entries }) => new Map(entries));
  const names = [...new Set(values.flatMap((column) => [...column.keys()]))];
  const isSame = (name: string) => values.every((column) => column.get(name) === values[0]!.get(name));
  const different = names.filter((name) => !isSame(name));
  const same = names.filter(isSame);
  return (
    <>
      {different.length > 0 && (
        <div class="scroll">
          <table class="differing">
            <caption>
              <span>What differs</span>
            </caption>
            <thead>
              <tr>
                <td />
                {columns.map(({ label }) => (
                  <th scope="col" key={label}>
                    {label}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {different.map((name) => (
                <tr key={name}>
                  <th scope="row">{name}</th>
                  {values.map((column, i) => (
                    <td key={i}>{column.get(name) ?? '–'}</td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {same.length > 0 && (
        <details open={different.length === 0}>
          <summary>What is the same ({same.length})</summary>
          <NameValues entries={same.map((name) => [name, values[0]!.get(name)!] as const)} />
        </details>
      )}
    </>
  );
}

function NameValues({ entries }: { entries: readonly (readonly [string, string])[] }) {
  return (
    <dl class="pairs-of">
      {entries.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
