/** The embedding map: each picture a dot, near what is similar, and the same map drawn with the pictures themselves. */

import { SERIES_COLOURS } from './charts.js';
import type { ReportMap } from './data.js';
import { Keys } from './plots.js';

/** Maps side by side, in the same colours. */
export function EmbeddingMaps({ maps }: { maps: readonly ReportMap[] }) {
  const counts = new Map<string, number>();
  for (const { points } of maps)
    for (const { group } of points) counts.set(group, (counts.get(group) ?? 0) + 1);
  const groups = [...counts.keys()].sort((a, b) => counts.get(b)! - counts.get(a)! || (a < b ? -1 : 1));
  const named = groups.slice(0, SERIES_COLOURS.length);
  const pictured = maps.filter(({ picture }) => picture !== undefined);
  return (
    <>
      <p>
        Every dot is a picture; the map (UMAP) keeps what is similar together. Near means alike, far says
        little, and the axes mean nothing. Colours are the coarsest level; a dot says what it is when the
        pointer rests on it.
      </p>
      {groups.length > 1 && <Keys labels={named} />}
      {groups.length > named.length && (
        <p class="soft">{groups.length - named.length} rarer ones are grey.</p>
      )}
      <div class="plots maps">
        {maps.map(({ label, points }) => (
          <figure key={label}>
            <figcaption>{label}</figcaption>
            <svg
              class="plot"
              viewBox="-0.02 -0.02 1.04 1.04"
              role="img"
              aria-label={`Map of ${points.length} pictures`}
            >
              {points.map(({ x, y, group, caption }, i) => (
                <circle
                  key={i}
                  cx={x.toFixed(3)}
                  cy={y.toFixed(3)}
                  r={points.length > 500 ? '.006' : '.009'}
                  fill={SERIES_COLOURS[named.indexOf(group)] ?? 'var(--line-strong)'}
                >
                  <title>{caption}</title>
                </circle>
              ))}
            </svg>
          </figure>
        ))}
      </div>
      {pictured.map(({ label, picture }) => (
        <figure class="picture-map" key={label}>
          <figcaption>{picture!.caption}</figcaption>
          <img src={picture!.dataUri} alt={picture!.caption} />
        </figure>
      ))}
    </>
  );
}
