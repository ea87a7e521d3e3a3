/** The one control that the rest hangs on: how alike, from the same item over the same look to the same kind. */
import { useEffect, useRef } from 'preact/hooks';
import { levelAt } from '../state/location.js';
import { granularity, live, navigate } from '../state/page.js';
import { strings as t } from '../strings.js';

const STOPS = [
  ['item', 0],
  ['look', 0.5],
  ['category', 1],
] as const;
/** Within this of a named stop the slider rests on it. */
const SNAP = 0.02;

export function GranularitySlider() {
  const input = useRef<HTMLInputElement>(null);
  const value = granularity.value;
  const level = levelAt(value);
  useEffect(() => {
    // The browser's own `change`: the slider was let go. Preact's onChange is that event as well, kept by hand for blur.
    const element = input.current;
    if (element === null) return;
    const commit = () => {
      if (live.peek() === null) return;
      const chosen = live.peek()!;
      navigate({ granularity: chosen });
      live.value = null;
    };
    element.addEventListener('change', commit);
    element.addEventListener('blur', commit);
    return () => {
      element.removeEventListener('change', commit);
      element.removeEventListener('blur', commit);
      commit();
    };
  }, []);
  return (
    <div class="slider">
      <label class="slider-label" for="granularity">
        {t.slider.label}
      </label>
      <div class="slider-track">
        <input
          ref={input}
          id="granularity"
          type="range"
          min="0"
          max="100"
          step="1"
          value={Math.round(value * 100)}
          aria-valuetext={t.slider.value(value, t.level[level])}
          style={{ '--at': `${value * 100}%` }}
          onInput={(event) => {
            const chosen = Number(event.currentTarget.value) / 100;
            const stop = STOPS.find(([, at]) => Math.abs(at - chosen) < SNAP);
            live.value = stop !== undefined && !isStep(chosen, value) ? stop[1] : chosen;
          }}
        />
        <div class="slider-stops">
          {STOPS.map(([name, at]) => (
            <button
              key={name}
              type="button"
              aria-pressed={value === at}
              onClick={() => navigate({ granularity: at })}
            >
              <LevelMark level={name} />
              {t.level[name]}
            </button>
          ))}
        </div>
      </div>
    </div>
  );
}

/** A level's sign: one shape a level, so that no colour is needed to tell them apart. */
export function LevelMark({ level }: { level: 'item' | 'look' | 'category' | null }) {
  return (
    <svg class={`mark mark-${level ?? 'none'}`} width="14" height="14" viewBox="0 0 14 14" aria-hidden="true">
      {level === 'item' && <circle cx="7" cy="7" r="5" class="mark-full" />}
      {level === 'look' && (
        <>
          <circle cx="7" cy="7" r="5" class="mark-line" />
          <path d="M7 2a5 5 0 0 1 0 10z" class="mark-full" />
        </>
      )}
      {level === 'category' && <circle cx="7" cy="7" r="5" class="mark-line" />}
      {level === null && <path d="M3 7h8" class="mark-line" />}
    </svg>
  );
}

// --- internal ---

/** Arrow keys go by one: they must be able to leave a stop. */
function isStep(chosen: number, before: number): boolean {
  return Math.abs(chosen - before) < 0.015;
}
