/** A heat map on a picture: drawn cell by cell on a small canvas that the browser smooths as it enlarges it. */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ExplainResponse } from '../../src/client/index.js';

type HeatMap = NonNullable<ExplainResponse['heatMaps']>['query'];

interface Props {
  readonly address: string | null | undefined;
  readonly label: string;
  readonly heat: HeatMap | undefined;
  /** The value drawn strongest, the same on both pictures. */
  readonly most: number;
  /** 0 to 1. */
  readonly strength: number;
}

export function HeatPicture({ address, label, heat, most, strength }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [ratio, setRatio] = useState<number | null>(null);
  useEffect(() => {
    if (canvas.current !== null && heat !== undefined) draw(canvas.current, heat, most);
  }, [heat, most, ratio]);
  const percent = (value: number) => `${value * 100}%`;
  return (
    <div class="stage">
      {typeof address === 'string' ? (
        <div
          class="stage-frame"
          style={ratio === null ? { visibility: 'hidden' } : { aspectRatio: String(ratio), '--ratio': ratio }}
        >
          <img
            src={address}
            alt={label}
            referrerpolicy="no-referrer"
            onLoad={(event) => {
              const { naturalWidth, naturalHeight } = event.currentTarget;
              setRatio((naturalWidth || 1) / (naturalHeight || 1));
            }}
            onError={() => setRatio(1)}
          />
          {heat !== undefined && (
            <canvas
              ref={canvas}
              class="heat"
              width={heat.width}
              height={heat.height}
              style={{
                left: percent(heat.area.left),
                top: percent(heat.area.top),
                width: percent(heat.area.right - heat.area.left),
                height: percent(heat.area.bottom - heat.area.top),
                opacity: strength,
              }}
            />
          )}
        </div>
      ) : (
        <div class="stage-wait" />
      )}
    </div>
  );
}

// --- internal ---

/** What does not add to the likeness stays clear; what adds most is opaque. */
function draw(canvas: HTMLCanvasElement, heat: HeatMap, most: number): void {
  const context = canvas.getContext('2d');
  if (context === null) return;
  const image = context.createImageData(heat.width, heat.height);
  heat.values.forEach((value, i) => {
    const share = most > 0 ? Math.min(Math.max(value / most, 0), 1) : 0;
    // From deep red over orange to a light yellow, so that strength shows as lightness too.
    image.data[4 * i] = 200 + 55 * share;
    image.data[4 * i + 1] = 20 + 205 * share * share;
    image.data[4 * i + 2] = 30 + 40 * share * share;
    image.data[4 * i + 3] = 235 * share ** 0.8;
  });
  context.putImageData(image, 0, 0);
}
