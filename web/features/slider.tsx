/** The granularity of the page: what is moved lives in `live`, what is let go goes into the address. */
import { granularity, live, navigate } from '../state/page.js';
import { GranularityRange } from '../ui/granularity-range.js';

export function GranularitySlider() {
  return (
    <GranularityRange
      value={granularity.value}
      onMove={move}
      onRest={rest}
      onChoose={(chosen) => navigate({ granularity: chosen })}
    />
  );
}

// --- internal ---

function move(value: number): void {
  live.value = value;
}

function rest(): void {
  const chosen = live.peek();
  if (chosen === null) return;
  navigate({ granularity: chosen });
  live.value = null;
}
