/** Attributes: what is taken for what, and how well each value is found. */
import type { ReportAttribute, ReportValue } from './data.js';
import { percent } from './tables.js';

/** For each run its attributes; of several runs all but the first are folded. */
export function AttributeTables({
  runs,
}: {
  runs: readonly { label: string; attributes: readonly ReportAttribute[] }[];
}) {
  return (
    <>
      <p>
        The model gives a probability to each value of each attribute. Pictures whose value is unknown do not
        count.
      </p>
      {runs.map(({ label, attributes }, i) => {
        const body = attributes.map((attribute) => <Attribute attribute={attribute} key={attribute.name} />);
        return i === 0 ? (
          <div key={label}>
            {runs.length > 1 && <h3>{label}</h3>}
            {body}
          </div>
        ) : (
          <details key={label}>
            <summary>{label}</summary>
            {body}
          </details>
        );
      })}
    </>
  );
}

// --- internal ---

function Attribute({ attribute }: { attribute: ReportAttribute }) {
  const { name, kind, pictures, confusion, values, omitted, meanAveragePrecision } = attribute;
  return (
    <>
      <h3>{name}</h3>
      <p>
        {kind === 'single' ? 'One value a picture' : 'Any number of values a picture'}, {pictures} pictures
        judged.
        {confusion !== undefined && ` The most probable value is right for ${percent(confusion.accuracy)} %.`}{' '}
        Mean average precision of the values: {percent(meanAveragePrecision)} %.
      </p>
      {confusion !== undefined && <Confusion name={name} confusion={confusion} />}
      <details open={confusion === undefined}>
        <summary>Each value of {name}</summary>
        <Values values={values} omitted={omitted} kind={kind} />
      </details>
    </>
  );
}

function Confusion({
  name,
  confusion,
}: {
  name: string;
  confusion: NonNullable<ReportAttribute['confusion']>;
}) {
  const { classes, counts } = confusion;
  return (
    <div class="scroll">
      <table class="confusion">
        <caption>
          <span>
            Rows are the truth, columns what the model says, in pictures; the shade is the share of the row.
          </span>
        </caption>
        <thead>
          <tr>
            <th scope="col">{name}</th>
            {classes.map((label) => (
              <th scope="col" key={label}>
                <span>{label}</span>
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {classes.map((truth, i) => {
            const row = counts[i]!;
            const total = row.reduce((sum, count) => sum + count, 0);
            return (
              <tr key={truth}>
                <th scope="row">{truth}</th>
                {row.map((count, j) => (
                  <td
                    key={j}
                    class={i === j ? 'own' : ''}
                    style={count === 0 ? undefined : `--heat:${(count / total).toFixed(2)}`}
                    title={count === 0 ? undefined : `${truth} taken for ${classes[j]}: ${count} of ${total}`}
                  >
                    {count === 0 ? '' : count}
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Values({
  values,
  omitted,
  kind,
}: {
  values: readonly ReportValue[];
  omitted: number;
  kind: ReportAttribute['kind'];
}) {
  return (
    <div class="scroll">
      <table class="numbers narrow sortable">
        <caption>
          <span>
            In percent; a value counts as said{' '}
            {kind === 'single' ? 'when it is the most probable' : 'from a probability of 50 % on'}.
            {omitted > 0 && ` ${omitted} rarer values are not listed.`}
          </span>
        </caption>
        <thead>
          <tr>
            <th scope="col">value</th>
            <th scope="col">pictures</th>
            <th scope="col">precision</th>
            <th scope="col">recall</th>
            <th scope="col">average precision</th>
          </tr>
        </thead>
        <tbody>
          {values.map(({ value, positives, precision, recall, averagePrecision }) => (
            <tr key={value}>
              <th scope="row">{value}</th>
              <td>{positives}</td>
              <td>{percent(precision)}</td>
              <td>{percent(recall)}</td>
              <td>{percent(averagePrecision)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
