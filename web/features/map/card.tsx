/** The picture of the point that is hovered or reached by keys, beside it. */
import { useEffect, useState } from 'preact/hooks';
import { api } from '../../state/search.js';
import { usePicture } from '../why.js';

const WIDTH = 168;
const GAP = 14;
/** A pointer that only passes asks for nothing. */
const WAIT_MS = 70;

interface Props {
  readonly id: string;
  readonly label: string;
  /** Of the point, CSS pixels in the frame. */
  readonly x: number;
  readonly y: number;
  readonly frame: HTMLElement | null;
}

export function MapCard({ id, label, x, y, frame }: Props) {
  const [isWanted, setWanted] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setWanted(true), WAIT_MS);
    return () => clearTimeout(timer);
  }, []);
  const picture = usePicture(isWanted ? id : null);
  const width = frame?.clientWidth ?? 0;
  const height = frame?.clientHeight ?? 0;
  const left = x + GAP + WIDTH > width ? Math.max(x - GAP - WIDTH, 0) : x + GAP;
  return (
    <div
      class="map-card"
      style={{
        left: `${left}px`,
        ...(y < height / 2
          ? { top: `${Math.max(y - 20, 4)}px` }
          : { bottom: `${Math.max(height - y - 20, 4)}px` }),
        width: `${WIDTH}px`,
      }}
    >
      <span class="map-card-picture">
        {isWanted && <img src={api.imageUrl(id, 400)} alt="" width={WIDTH} height={WIDTH} />}
      </span>
      <b>{picture?.itemId ?? '\u00a0'}</b>
      <span class="muted">{label}</span>
    </div>
  );
}
