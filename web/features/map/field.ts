/**
 * Points of a plane in a grid of cells, so that those of a window and the nearest to a place are found without looking
 * at all of them. Coordinates run from 0 to 1.
 */
export interface Field {
  readonly count: number;
  readonly x: Float32Array;
  readonly y: Float32Array;
  /** Cells a side. */
  readonly side: number;
  /** Points by cell, row after row: those of cell c are `order[starts[c]] … order[starts[c + 1] - 1]`. */
  readonly starts: Uint32Array;
  readonly order: Uint32Array;
}

export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** About this many points a cell. */
const PER_CELL = 12;

/** @param positions x and y in turns, [2 N]. */
export function makeField(positions: Float32Array): Field {
  const count = positions.length >> 1;
  const x = new Float32Array(count);
  const y = new Float32Array(count);
  const side = Math.max(1, Math.ceil(Math.sqrt(count / PER_CELL)));
  const cells = new Uint32Array(count);
  const starts = new Uint32Array(side * side + 1);
  for (let i = 0; i < count; i++) {
    x[i] = positions[2 * i]!;
    y[i] = positions[2 * i + 1]!;
    const cell = cellOf(y[i]!, side) * side + cellOf(x[i]!, side);
    cells[i] = cell;
    starts[cell + 1]!++;
  }
  for (let cell = 0; cell < side * side; cell++) starts[cell + 1]! += starts[cell]!;
  const next = starts.slice(0, -1);
  const order = new Uint32Array(count);
  for (let i = 0; i < count; i++) order[next[cells[i]!]!++] = i;
  return { count, x, y, side, starts, order };
}

/** Calls back with each point of a window; points of cells at its border may lie a little outside. */
export function eachIn(field: Field, box: Box, visit: (point: number) => void): void {
  const { side, starts, order } = field;
  const left = cellOf(box.left, side);
  const right = cellOf(box.right, side);
  for (let row = cellOf(box.top, side); row <= cellOf(box.bottom, side); row++) {
    const end = starts[row * side + right + 1]!;
    for (let at = starts[row * side + left]!; at < end; at++) visit(order[at]!);
  }
}

/** The points of a window, at most `most`, the nearest to its middle first; `total` counts all of them. */
export function pointsIn(field: Field, box: Box, most: number): { points: number[]; total: number } {
  const found: number[] = [];
  eachIn(field, box, (i) => {
    if (
      field.x[i]! >= box.left &&
      field.x[i]! <= box.right &&
      field.y[i]! >= box.top &&
      field.y[i]! <= box.bottom
    )
      found.push(i);
  });
  const [x, y] = [(box.left + box.right) / 2, (box.top + box.bottom) / 2];
  const distance = (i: number) => (field.x[i]! - x) ** 2 + (field.y[i]! - y) ** 2;
  return {
    points: found.sort((a, b) => distance(a) - distance(b) || a - b).slice(0, most),
    total: found.length,
  };
}

/** The point nearest to a place within a radius, or null. */
export function nearest(field: Field, x: number, y: number, radius: number): number | null {
  let best: number | null = null;
  let least = radius * radius;
  eachIn(field, { left: x - radius, right: x + radius, top: y - radius, bottom: y + radius }, (i) => {
    const distance = (field.x[i]! - x) ** 2 + (field.y[i]! - y) ** 2;
    if (distance < least || (distance === least && best !== null && i < best)) {
      least = distance;
      best = i;
    }
  });
  return best;
}

/** The nearest point in a direction (a unit step on one axis), by distance with what is aside counted double; or null. */
export function towards(field: Field, from: number, dx: number, dy: number): number | null {
  const [x, y] = [field.x[from]!, field.y[from]!];
  let best: number | null = null;
  // Wider and wider windows: the next point is mostly close.
  for (let reach = 2 / field.side; best === null && reach < 4; reach *= 3) {
    let least = reach;
    eachIn(field, { left: x - reach, right: x + reach, top: y - reach, bottom: y + reach }, (i) => {
      const along = (field.x[i]! - x) * dx + (field.y[i]! - y) * dy;
      const aside = Math.abs((field.x[i]! - x) * dy) + Math.abs((field.y[i]! - y) * dx);
      if (i === from || along <= 0 || aside > 2 * along) return;
      const cost = along + aside;
      if (cost < least) {
        least = cost;
        best = i;
      }
    });
  }
  return best;
}

// --- internal ---

function cellOf(value: number, side: number): number {
  return Math.min(Math.max(Math.floor(value * side), 0), side - 1);
}
