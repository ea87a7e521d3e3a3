/** What is known of a hit in a line: the level that it agrees at, and how likely. */
import type { Hit, LevelName } from '../../src/client/index.js';
import { LevelMark } from './level-mark.js';
import { type Strings, useTexts } from './texts.js';

export function Badge({
  hit,
  level,
}: {
  hit: Pick<Hit, 'level' | 'probabilities' | 'score'>;
  level: LevelName;
}) {
  const t = useTexts();
  if (hit.probabilities === undefined)
    return (
      <span class="badge" part="badge" title={t.why.notCalibrated}>
        {t.why.score} {hit.score.toFixed(2)}
      </span>
    );
  const shown = hit.level;
  const { item, look, category } = hit.probabilities;
  return (
    <span
      class={`badge badge-${shown ?? 'none'}`}
      part="badge"
      title={[
        `${t.level.item} ${t.percent(item)}`,
        `${t.level.look} ${t.percent(look)}`,
        `${t.level.category} ${t.percent(category)}`,
      ].join(' · ')}
    >
      <LevelMark level={shown} />
      {shown === null ? t.results.uncertain : t.level[shown]}
      <b>{t.percent(hit.probabilities[shown ?? level])}</b>
    </span>
  );
}

/** The same for a screen reader. */
export function spokenBadge(t: Strings, hit: Hit, level: LevelName): string {
  if (hit.probabilities === undefined) return `${t.why.score} ${hit.score.toFixed(2)}`;
  const shown = hit.level ?? level;
  return t.results.probability(t.level[shown], t.percent(hit.probabilities[shown]));
}
