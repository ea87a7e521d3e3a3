/** The one control that the rest hangs on: how alike, from the same item over the same look to the same kind. */
import { useEffect, useRef } from 'preact/hooks';
import { levelAt } from '../state/location.js';
import { LevelMark } from './level-mark.js';
import { useTexts } from './texts.js';

const STOPS = [
  ['item', 0],
  ['look', 0.5],
  ['category', 1],
] as const;
/** Within this of a named stop the slider rests on it. */
const SNAP = 0.02;

interface Props {
  /** γ, from 0 (same item) to 1 (same kind). */
  readonly value: number;
  /** While it is held, at every step. */
  readonly onMove: (value: number) => void;
  /** It was let go, or is taken away. */
  readonly onRest: () => void;
  /** A named stop was chosen. */
  readonly onChoose: (value: number) => void;
}

export function GranularityRange({ value, onMove, onRest, onChoose }: Props) {
  const t = useTexts();
  const input = useRef<HTMLInputElement>(null);
  const rest = useRef(onRest);
  rest.current = onRest;
  const level = levelAt(value);
  useEffect(() => {
    // The browser's own `change`: the slider was let go. Preact's onChange is that event as well, kept by hand for blur.
    const element = input.current;
    if (element === null) return;
    const commit = () => rest.current();
    element.addEventListener('change', commit);
    element.addEventListener('blur', commit);
    return () => {
      element.removeEventListener('change', commit);
      element.removeEventListener('blur', commit);
      commit();
    };
  }, []);
  return (
    <div class="slider" part="slider">
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
            onMove(stop !== undefined && !isStep(chosen, value) ? stop[1] : chosen);
          }}
        />
        <div class="slider-stops">
          {STOPS.map(([name, at]) => (
            <button key={name} type="button" aria-pressed={value === at} onClick={() => onChoose(at)}>
              <LevelMark level={name} />
              {t.level[name]}
            </button>
          ))}
        </div>
      </div>
    </div>
  );
}

// --- internal ---

/** Arrow keys go by one: they must be able to leave a stop. */
function isStep(chosen: number, before: number): boolean {
  return Math.abs(chosen - before) < 0.015;
}
