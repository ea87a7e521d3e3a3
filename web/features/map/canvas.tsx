/**
 * The map itself: a canvas that is moved by pointer, wheel, pinch and keys. The camera lives outside the page's state while
 * it moves, and goes into the address when it rests.
 */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { api } from '../../state/search.js';
import { strings as t } from '../../strings.js';
import { announce } from '../../ui/announce.js';
import { Icon } from '../../ui/icon.js';
import { MapCard } from './card.js';
import { groundOf, paletteOf, type Scheme } from './colours.js';
import { type Field, nearest, pointsIn, towards } from './field.js';
import { type Camera, MOST_ZOOM, paintPoints, projection, WHOLE } from './paint.js';

interface Props {
  readonly field: Field;
  readonly ids: readonly string[];
  readonly colours: Uint8Array;
  readonly scheme: Scheme;
  /** The index of the value that is picked in the legend. */
  readonly picked: number | null;
  /** Points of the results, best first, and those of the query's own pictures. */
  readonly hits: readonly number[];
  readonly queries: readonly number[];
  readonly camera: Camera;
  readonly labelOf: (point: number) => string;
  readonly onRest: (camera: Camera) => void;
  readonly onOpen: (point: number) => void;
}

const REST_MS = 250;
const STEP = 1.6;
const PICK_PX = 14;
/** So few points are shown as the pictures that they are. */
const AS_PICTURES = 80;
const GLIDE_MS = 180;
const still = window.matchMedia('(prefers-reduced-motion: reduce)');

export function MapCanvas(props: Props) {
  const { field, ids } = props;
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const latest = useRef(props);
  latest.current = props;
  const [active, setActive] = useState<{ point: number; x: number; y: number } | null>(null);
  const activePoint = useRef<number | null>(null);
  const camera = useRef(props.camera);
  const view = useMemo(() => makeView(canvas, camera, activePoint, () => latest.current), []);

  useEffect(() => {
    const element = frame.current!;
    const observer = new ResizeObserver(() => view.resize(element));
    observer.observe(element);
    view.resize(element);
    return () => {
      observer.disconnect();
      view.stop();
    };
  }, []);
  useEffect(() => {
    camera.current = props.camera;
    view.draw();
  }, [props.camera]);
  useEffect(view.draw, [field, props.colours, props.scheme, props.picked, props.hits, props.queries]);

  const resting = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  useEffect(() => () => clearTimeout(resting.current), []);
  const moveTo = (next: Camera, isGlide = false) => {
    const target = bounded(next);
    if (isGlide && !still.matches) view.glide(target);
    else {
      view.halt();
      camera.current = target;
      view.draw();
    }
    clearTimeout(resting.current);
    resting.current = setTimeout(() => latest.current.onRest(target), REST_MS + (isGlide ? GLIDE_MS : 0));
  };
  /** The place under a pixel (CSS) stays there. */
  const zoomBy = (factor: number, x: number, y: number, isGlide = false) => {
    const now = isGlide ? view.target() : camera.current;
    const { width, height } = frame.current!.getBoundingClientRect();
    const zoom = Math.min(Math.max(now.zoom * factor, 1), MOST_ZOOM);
    const before = projection(now, width, height);
    const after = projection({ ...now, zoom }, width, height);
    moveTo(
      { x: now.x + before.fromX(x) - after.fromX(x), y: now.y + before.fromY(y) - after.fromY(y), zoom },
      isGlide,
    );
  };
  const zoomAtMiddle = (factor: number) => {
    const { width, height } = frame.current!.getBoundingClientRect();
    zoomBy(factor, width / 2, height / 2, true);
  };
  const show = (point: number | null) => {
    activePoint.current = point;
    if (point === null) setActive(null);
    else {
      const { width, height } = frame.current!.getBoundingClientRect();
      const at = projection(camera.current, width, height);
      setActive({ point, x: at.toX(field.x[point]!), y: at.toY(field.y[point]!) });
    }
    view.draw();
  };
  const place = (event: { clientX: number; clientY: number }) => {
    const { left, top } = frame.current!.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  const pick = (x: number, y: number): number | null => {
    const { width, height } = frame.current!.getBoundingClientRect();
    const at = projection(camera.current, width, height);
    const radius = Math.max(PICK_PX, view.reach());
    return nearest(field, at.fromX(x), at.fromY(y), radius / at.scale);
  };

  // Pointers that are down: one drags, two pinch.
  const held = useRef(new Map<number, { x: number; y: number }>());
  const travelled = useRef(0);
  const pointerDown = (event: PointerEvent) => {
    if (event.button !== 0) return;
    frame.current!.setPointerCapture(event.pointerId);
    held.current.set(event.pointerId, place(event));
    if (held.current.size === 1) travelled.current = 0;
  };
  const pointerMove = (event: PointerEvent) => {
    const to = place(event);
    const from = held.current.get(event.pointerId);
    if (from === undefined) {
      if (event.pointerType === 'mouse') {
        const point = pick(to.x, to.y);
        if (point !== activePoint.current) show(point);
      }
      return;
    }
    travelled.current += Math.hypot(to.x - from.x, to.y - from.y);
    const other = [...held.current].find(([id]) => id !== event.pointerId)?.[1];
    held.current.set(event.pointerId, to);
    if (travelled.current < 5) return;
    if (activePoint.current !== null) show(null);
    const { width, height } = frame.current!.getBoundingClientRect();
    const { scale } = projection(camera.current, width, height);
    if (other === undefined) {
      const { x, y, zoom } = camera.current;
      moveTo({ x: x - (to.x - from.x) / scale, y: y - (to.y - from.y) / scale, zoom });
    } else {
      const factor =
        Math.hypot(to.x - other.x, to.y - other.y) /
        Math.max(Math.hypot(from.x - other.x, from.y - other.y), 1);
      zoomBy(factor, (to.x + other.x) / 2, (to.y + other.y) / 2);
    }
  };
  const pointerUp = (event: PointerEvent) => {
    if (!held.current.delete(event.pointerId) || travelled.current >= 5 || event.type === 'pointercancel')
      return;
    const { x, y } = place(event);
    const point = pick(x, y);
    if (point === null) return;
    // A finger has no hover: the first touch shows the picture, the second opens it.
    if (event.pointerType !== 'mouse' && point !== activePoint.current) show(point);
    else props.onOpen(point);
  };
  useEffect(() => {
    // Not passive, so that the page does not scroll below the map.
    const element = frame.current!;
    const wheel = (event: WheelEvent) => {
      event.preventDefault();
      const lines = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 18 : 1;
      const { x, y } = place(event);
      if (activePoint.current !== null) show(null);
      zoomBy(Math.exp(-Math.min(Math.max(event.deltaY * lines, -240), 240) * 0.0025), x, y);
    };
    element.addEventListener('wheel', wheel, { passive: false });
    return () => element.removeEventListener('wheel', wheel);
  }, []);

  const keyDown = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const direction = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ];
    if (direction !== undefined && event.shiftKey) {
      const { x, y, zoom } = view.target();
      moveTo({ x: x + (direction[0]! * 0.25) / zoom, y: y + (direction[1]! * 0.25) / zoom, zoom }, true);
    } else if (direction !== undefined) step(direction[0]!, direction[1]!);
    else if (event.key === '+' || event.key === '=') zoomAtMiddle(STEP);
    else if (event.key === '-') zoomAtMiddle(1 / STEP);
    else if (event.key === '0') moveTo(WHOLE, true);
    else if (event.key === 'Enter' && activePoint.current !== null) props.onOpen(activePoint.current);
    else if (event.key === 'Escape' && activePoint.current !== null) show(null);
    else return;
    event.preventDefault();
  };
  const step = (dx: number, dy: number) => {
    const { width, height } = frame.current!.getBoundingClientRect();
    const at = projection(camera.current, width, height);
    const from = activePoint.current;
    const next =
      from === null ? (pointsIn(field, at.box, 1).points[0] ?? null) : towards(field, from, dx, dy);
    if (next === null) return;
    const [x, y] = [field.x[next]!, field.y[next]!];
    const { left, right, top, bottom } = at.box;
    if (x < left || x > right || y < top || y > bottom) moveTo({ x, y, zoom: camera.current.zoom });
    show(next);
    announce(latest.current.labelOf(next));
  };

  return (
    <div class="map-block">
      <div
        ref={frame}
        class="map-frame"
        // biome-ignore lint/a11y/noNoninteractiveTabindex: an application has keys of its own, said in its description
        tabIndex={0}
        role="application"
        aria-label={t.map.label(field.count)}
        aria-describedby="map-keys"
        onPointerDown={pointerDown}
        onPointerMove={pointerMove}
        onPointerUp={pointerUp}
        onPointerCancel={pointerUp}
        onPointerLeave={(event) => event.pointerType === 'mouse' && held.current.size === 0 && show(null)}
        onBlur={() => show(null)}
        onDblClick={(event) => {
          const { x, y } = place(event);
          zoomBy(STEP * STEP, x, y, true);
        }}
        onKeyDown={keyDown}
      >
        <canvas ref={canvas} />
        {active !== null && (
          <MapCard
            key={active.point}
            id={ids[active.point]!}
            label={props.labelOf(active.point)}
            x={active.x}
            y={active.y}
            frame={frame.current}
          />
        )}
      </div>
      <div class="map-zoom">
        <button
          type="button"
          class="icon-button"
          aria-label={t.map.closer}
          title={t.map.closer}
          onClick={() => zoomAtMiddle(STEP)}
        >
          <Icon name="plus" />
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label={t.map.farther}
          title={t.map.farther}
          onClick={() => zoomAtMiddle(1 / STEP)}
        >
          <Icon name="minus" />
        </button>
        <button
          type="button"
          class="icon-button"
          aria-label={t.map.whole}
          title={t.map.whole}
          onClick={() => moveTo(WHOLE, true)}
        >
          <Icon name="whole" />
        </button>
      </div>
      <p id="map-keys" class="muted small">
        {t.map.keys}
      </p>
    </div>
  );
}

// --- internal ---

function bounded({ x, y, zoom }: Camera): Camera {
  const inside = (value: number) => Math.min(Math.max(value, 0), 1);
  return zoom <= 1 ? WHOLE : { x: inside(x), y: inside(y), zoom: Math.min(zoom, MOST_ZOOM) };
}

/** What draws, once a frame at most, and glides. */
function makeView(
  canvas: { readonly current: HTMLCanvasElement | null },
  camera: { current: Camera },
  active: { readonly current: number | null },
  props: () => Props,
) {
  let scheduled = 0;
  let gliding: { from: Camera; to: Camera; start: number } | null = null;
  let [width, height, ratio] = [0, 0, 1];
  let pixels: { image: ImageData; words: Uint32Array } | null = null;
  let thumbnailPx = 0;
  const pictures = new Map<string, HTMLImageElement>();

  const draw = () => {
    scheduled ||= requestAnimationFrame(paint);
  };
  function paint(now: number): void {
    cancelAnimationFrame(scheduled);
    scheduled = 0;
    const context = canvas.current?.getContext('2d');
    if (context == null || pixels === null) return;
    if (gliding !== null) {
      const share = Math.min((now - gliding.start) / GLIDE_MS, 1);
      const eased = 1 - (1 - share) ** 3;
      const between = (a: number, b: number) => a + (b - a) * eased;
      const { from, to } = gliding;
      camera.current =
        share >= 1
          ? to
          : {
              x: between(from.x, to.x),
              y: between(from.y, to.y),
              zoom: from.zoom * (to.zoom / from.zoom) ** eased,
            };
      if (share >= 1) gliding = null;
      else draw();
    }
    const { field, colours, scheme, picked, hits, queries } = props();
    const painted = paintPoints(field, camera.current, {
      pixels: pixels.words,
      width,
      height,
      ratio,
      colours,
      palette: paletteOf(scheme, picked),
      ground: groundOf(scheme),
    });
    context.putImageData(pixels.image, 0, 0);
    const at = projection(camera.current, width, height);
    const isNear = painted <= AS_PICTURES * 4;
    const seen = isNear ? pointsIn(field, at.box, AS_PICTURES + 1).points : [];
    thumbnailPx = seen.length === 0 || seen.length > AS_PICTURES ? 0 : thumbnailSide(seen.length);
    if (thumbnailPx > 0) drawPictures(context, seen.reverse());
    const style = getComputedStyle(canvas.current!);
    const ink = style.getPropertyValue('--ink');
    const ring = (point: number, radius: number, colour: string, line: number) => {
      context.beginPath();
      const grown = thumbnailPx > 0 ? (thumbnailPx * ratio) / 1.6 : radius * ratio;
      context.arc(at.toX(field.x[point]!), at.toY(field.y[point]!), grown, 0, 2 * Math.PI);
      context.strokeStyle = style.getPropertyValue('--surface');
      context.lineWidth = (line + 2.5) * ratio;
      context.stroke();
      context.strokeStyle = colour;
      context.lineWidth = line * ratio;
      context.stroke();
    };
    for (let i = hits.length - 1; i >= 0; i--) ring(hits[i]!, 5, ink, 2);
    for (const point of queries) ring(point, 9, style.getPropertyValue('--accent'), 3.5);
    if (active.current !== null) ring(active.current, 8, style.getPropertyValue('--accent'), 2.5);
  }
  function thumbnailSide(count: number): number {
    return Math.min(Math.max(Math.sqrt((width * height) / count) / ratio / 2.4, 26), 72);
  }
  function drawPictures(context: CanvasRenderingContext2D, points: readonly number[]): void {
    const { field, ids } = props();
    const at = projection(camera.current, width, height);
    const side = thumbnailPx * ratio;
    context.fillStyle = getComputedStyle(canvas.current!).getPropertyValue('--plate');
    for (const point of points) {
      const id = ids[point]!;
      let picture = pictures.get(id);
      if (picture === undefined) {
        if (pictures.size > 600) pictures.delete(pictures.keys().next().value!);
        picture = new Image();
        picture.onload = draw;
        picture.src = api.imageUrl(id, 160);
        pictures.set(id, picture);
      }
      if (!picture.complete || picture.naturalWidth === 0) continue;
      const fit = side / Math.max(picture.naturalWidth, picture.naturalHeight);
      const [w, h] = [picture.naturalWidth * fit, picture.naturalHeight * fit];
      context.beginPath();
      context.roundRect(at.toX(field.x[point]!) - w / 2, at.toY(field.y[point]!) - h / 2, w, h, 4 * ratio);
      context.fill();
      context.drawImage(picture, at.toX(field.x[point]!) - w / 2, at.toY(field.y[point]!) - h / 2, w, h);
    }
  }

  return {
    draw,
    resize(frame: HTMLElement): void {
      const element = canvas.current;
      const bounds = frame.getBoundingClientRect();
      if (element === null || bounds.width === 0) return;
      ratio = Math.min(window.devicePixelRatio || 1, 2);
      width = Math.round(bounds.width * ratio);
      height = Math.round(bounds.height * ratio);
      element.width = width;
      element.height = height;
      const image = new ImageData(width, height);
      pixels = { image, words: new Uint32Array(image.data.buffer) };
      // At once: a canvas that was given a size is empty.
      paint(performance.now());
    },
    glide(to: Camera): void {
      gliding = { from: camera.current, to, start: performance.now() };
      draw();
    },
    halt(): void {
      gliding = null;
    },
    /** Where a glide under way ends. */
    target: (): Camera => gliding?.to ?? camera.current,
    /** Half a picture's side, where points are pictures, CSS pixels. */
    reach: (): number => thumbnailPx / 2,
    stop(): void {
      cancelAnimationFrame(scheduled);
    },
  };
}
