import { setTimeout as wait } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { ModelQueue } from './model-queue.js';

/** Work that ends when it is told. */
function gate() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { work: () => opened, open };
}

it('takes a burst up, and shortens when it does not end', async () => {
  const queue = new ModelQueue({ concurrent: 2, waiting: 10, burstMs: 40 });
  const gates = Array.from({ length: 12 }, gate);
  const works = gates.map(({ work }) => queue.run(work));
  expect(queue.length).toBe(12);
  await expect(queue.run(async () => {})).rejects.toMatchObject({
    code: 'too-busy',
    headers: { 'retry-after': '2' },
  });
  await wait(60);
  expect(queue.isOverloaded).toBe(true);
  for (const { open } of gates.slice(0, 8)) open();
  await Promise.all(works.slice(0, 8));
  // Two run and two wait: as many as are worked on, so the next is refused.
  expect(queue.length).toBe(4);
  await expect(queue.run(async () => {})).rejects.toMatchObject({ code: 'too-busy' });
  const patient = queue.run(async () => 'done', undefined, { isPatient: true });
  for (const { open } of gates) open();
  expect(await patient).toBe('done');
  await Promise.all(works);
  // Empty again: a burst is taken up again.
  expect(queue.isOverloaded).toBe(false);
  const next = Array.from({ length: 12 }, gate);
  const later = next.map(({ work }) => queue.run(work));
  for (const { open } of next) open();
  await Promise.all(later);
  expect(queue.refused).toBe(2);
});

it('does not begin what nobody waits for', async () => {
  const queue = new ModelQueue({ concurrent: 1, waiting: 1 });
  const first = gate();
  const running = queue.run(first.work);
  const controller = new AbortController();
  let isBegun = false;
  const given = queue.run(async () => {
    isBegun = true;
  }, controller.signal);
  controller.abort(new Error('gone'));
  first.open();
  await running;
  await expect(given).rejects.toThrow('gone');
  expect(isBegun).toBe(false);
});
