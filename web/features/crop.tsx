/**
 * The query picture with the part of it that is searched with. Handles on corners and sides and the box itself move by
 * pointer or by arrow keys; parts that stand out are offered as spots. The search runs when the hand rests.
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { Region } from '../../src/client/index.js';
import { strings as t } from '../strings.js';
import { Icon } from '../ui/icon.js';

interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

const WHOLE: Box = { left: 0, top: 0, right: 1, bottom: 1 };
/** The least side of a box, a fraction of the picture's. */
const LEAST = 0.05;
const KEY_STEP = 0.01;
const KEY_LEAP = 0.1;
const REST_MS = 500;

/** Which sides of the box each handle moves. */
const HANDLES = {
  move: ['left', 'top', 'right', 'bottom'],
  topLeft: ['left', 'top'],
  top: ['top'],
  topRight: ['right', 'top'],
  right: ['right'],
  bottomRight: ['right', 'bottom'],
  bottom: ['bottom'],
  bottomLeft: ['left', 'bottom'],
  left: ['left'],
} as const satisfies Record<string, readonly (keyof Box)[]>;
type Handle = keyof typeof HANDLES;

interface Props {
  readonly address: string | undefined;
  readonly label: string;
  readonly region: Region | undefined;
  readonly subjects: readonly Region[];
  /** null: the whole picture. */
  readonly onRegion: (region: Region | null) => void;
}

export function CropStage({ address, label, region, subjects, onRegion }: Props) {
  const [box, setBox] = useState<Box>(region ?? WHOLE);
  const [size, setSize] = useState<{ width: number; height: number } | null>(null);
  const frame = useRef<HTMLDivElement>(null);
  const grip = useRef<{ handle: Handle; x: number; y: number; box: Box } | null>(null);
  const resting = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const key = region === undefined ? '' : `${region.left},${region.top},${region.right},${region.bottom}`;
  useEffect(() => {
    clearTimeout(resting.current);
    setBox(region ?? WHOLE);
  }, [key, address]);
  useEffect(() => () => clearTimeout(resting.current), []);

  const settle = (next: Box) => {
    clearTimeout(resting.current);
    const isWhole = next.left < 0.005 && next.top < 0.005 && next.right > 0.995 && next.bottom > 0.995;
    if (isWhole) {
      if (region !== undefined) onRegion(null);
      else setBox(WHOLE);
    } else onRegion({ ...rounded(next), unit: 'fraction' });
  };
  const isWhole = box.left === 0 && box.top === 0 && box.right === 1 && box.bottom === 1;

  const pointerDown = (handle: Handle) => (event: PointerEvent) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const target = event.currentTarget as HTMLElement;
    target.focus({ preventScroll: true });
    target.setPointerCapture(event.pointerId);
    grip.current = { handle, x: event.clientX, y: event.clientY, box };
  };
  const pointerMove = (event: PointerEvent) => {
    const held = grip.current;
    const bounds = frame.current?.getBoundingClientRect();
    if (held === null || bounds === undefined) return;
    const dx = (event.clientX - held.x) / bounds.width;
    const dy = (event.clientY - held.y) / bounds.height;
    setBox(moved(held.box, held.handle, dx, dy));
  };
  const pointerUp = () => {
    if (grip.current === null) return;
    const before = grip.current.box;
    grip.current = null;
    if (before !== box) settle(box);
  };
  const keyDown = (handle: Handle) => (event: KeyboardEvent) => {
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    if (direction === undefined) return;
    event.preventDefault();
    const step = event.shiftKey ? KEY_LEAP : KEY_STEP;
    const next = moved(box, handle, direction[0]! * step, direction[1]! * step);
    setBox(next);
    clearTimeout(resting.current);
    resting.current = setTimeout(() => settle(next), REST_MS);
  };
  const percent = (value: number) => `${value * 100}%`;

  return (
    <div class="stage-block">
      <div class="stage">
        {address === undefined ? (
          <div class="stage-wait" />
        ) : (
          <div
            ref={frame}
            class="stage-frame"
            style={
              size === null
                ? { visibility: 'hidden' }
                : { aspectRatio: `${size.width} / ${size.height}`, '--ratio': size.width / size.height }
            }
          >
            <img
              src={address}
              alt={label}
              draggable={false}
              referrerpolicy="no-referrer"
              onLoad={(event) => {
                const { naturalWidth, naturalHeight } = event.currentTarget;
                setSize({ width: naturalWidth || 1, height: naturalHeight || 1 });
              }}
              onError={() => setSize({ width: 1, height: 1 })}
            />
            <fieldset
              class={isWhole ? 'crop crop-whole' : 'crop'}
              style={{
                left: percent(box.left),
                top: percent(box.top),
                width: percent(box.right - box.left),
                height: percent(box.bottom - box.top),
              }}
            >
              <legend class="visually-hidden">
                {t.query.crop}: {t.query.cropHint}
              </legend>
              {(Object.keys(HANDLES) as Handle[]).map((handle) => (
                <button
                  key={handle}
                  type="button"
                  class={`crop-handle crop-${handle}`}
                  aria-label={t.query.cropHandle[handle]}
                  aria-describedby="crop-value"
                  onPointerDown={pointerDown(handle)}
                  onPointerMove={pointerMove}
                  onPointerUp={pointerUp}
                  onPointerCancel={pointerUp}
                  onKeyDown={keyDown(handle)}
                />
              ))}
            </fieldset>
            {isWhole &&
              subjects.map((subject, i) => (
                <button
                  key={`${subject.left},${subject.top},${subject.right},${subject.bottom}`}
                  type="button"
                  class="hotspot"
                  style={{
                    left: percent((subject.left + subject.right) / 2),
                    top: percent((subject.top + subject.bottom) / 2),
                  }}
                  aria-label={t.query.subject(i + 1)}
                  title={t.query.subject(i + 1)}
                  onClick={() => settle(subject)}
                />
              ))}
          </div>
        )}
      </div>
      <div class="stage-foot">
        <span id="crop-value" class="muted" aria-live="polite">
          {isWhole
            ? t.query.cropWhole
            : `${t.query.crop}: ${t.query.cropValue(...([box.left, box.top, box.right, box.bottom].map((side) => Math.round(side * 100)) as [number, number, number, number]))}`}
        </span>
        {!isWhole && (
          <button type="button" class="link-button" onClick={() => settle(WHOLE)}>
            <Icon name="crop" size={16} />
            {t.query.cropWhole}
          </button>
        )}
      </div>
    </div>
  );
}

// --- internal ---

function moved(box: Box, handle: Handle, dx: number, dy: number): Box {
  if (handle === 'move') {
    const x = clamp(dx, -box.left, 1 - box.right);
    const y = clamp(dy, -box.top, 1 - box.bottom);
    return { left: box.left + x, right: box.right + x, top: box.top + y, bottom: box.bottom + y };
  }
  const next = { ...box };
  for (const side of HANDLES[handle]) {
    if (side === 'left') next.left = clamp(box.left + dx, 0, box.right - LEAST);
    else if (side === 'right') next.right = clamp(box.right + dx, box.left + LEAST, 1);
    else if (side === 'top') next.top = clamp(box.top + dy, 0, box.bottom - LEAST);
    else next.bottom = clamp(box.bottom + dy, box.top + LEAST, 1);
  }
  return next;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

function rounded({ left, top, right, bottom }: Box): Box {
  const round = (value: number) => Math.round(value * 1e4) / 1e4;
  return { left: round(left), top: round(top), right: round(right), bottom: round(bottom) };
}
