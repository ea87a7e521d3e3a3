import { expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';

it('prints what a catalogue needs, and the same as JSON', async () => {
  const text = await runMain('plan', '--items', '50M', '--qps', '200');
  expect(text.stdout).toMatch(/50,000,000 pictures × 512 numbers/);
  expect(text.stdout).toMatch(/citus ←/);
  expect(text.stdout).toMatch(/memory .*no: 312 GB in memory/);
  const json = await runMain('plan', '--items', '100k', '--pictures-per-item', '3', '--json');
  const plan = JSON.parse(json.stdout);
  expect(plan.demand.pictures).toBe(300_000);
  expect(plan.choice).toBe('memory');
  expect(plan.engines).toHaveLength(4);
});

it('refuses what is no number', async () => {
  const { code, stderr } = await runMain('plan', '--items', 'many');
  expect(code).toBe(2);
  expect(stderr).toMatch(/such as 50000, 300k, 50M or 1B/);
});
