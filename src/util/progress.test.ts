import { describe, expect, it } from 'vitest';
import { formatDuration, silentProgress, streamProgress, streamReport } from './index.js';

/** What is written to a stream that is, or is not, a terminal. */
function recorded(isTTY: boolean) {
  let text = '';
  const methods = [
    'cursorTo',
    'moveCursor',
    'clearLine',
    'clearScreenDown',
    'on',
    'off',
    'once',
    'removeListener',
  ];
  const stream = {
    isTTY,
    columns: 100,
    rows: 30,
    write: (part: string) => {
      text += part;
      return true;
    },
    ...Object.fromEntries(methods.map((name) => [name, () => true])),
  } as unknown as NodeJS.WriteStream;
  return { stream, text: () => text };
}

describe('formatDuration', () => {
  it.each([
    [0, '0s'],
    [59.4, '59s'],
    [59.6, '1m00s'],
    [95, '1m35s'],
    [3599.7, '1h00m'],
    [7384, '2h03m'],
    [-3, '0s'],
    [Number.NaN, '?'],
    [Number.POSITIVE_INFINITY, '?'],
  ])('%d seconds: %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });
});

describe('streamProgress', () => {
  it('without a terminal: lines at intervals and one at the end', () => {
    const { stream, text } = recorded(false);
    const progress = streamProgress(stream, { intervalMs: 0 })('training', 4);
    progress.update(1, 'loss 2.000');
    progress.update(4);
    progress.stop();
    progress.stop();
    expect(text()).toMatch(
      /^training: 1\/4 \(25%\), \d+s left, loss 2\.000\ntraining: 4\/4 \(100%\), in 0s\n$/,
    );
  });

  it.each([
    [0, /left\n$/],
    [900, /training: 900\/1000 \(90%\), \? left\n$/],
  ])('time left is judged by what was done from %d on', (from, line) => {
    const { stream, text } = recorded(false);
    const progress = streamProgress(stream, { intervalMs: 0 })('training', 1000, from);
    progress.update(900);
    expect(text()).toMatch(line);
    if (from === 0) expect(text()).not.toContain('?');
  });

  it('without a terminal: nothing before the interval has passed but the last, once', () => {
    const { stream, text } = recorded(false);
    const progress = streamProgress(stream)('decoding', 0);
    for (let done = 0; done < 50; done++) progress.update(done);
    progress.stop();
    progress.stop();
    expect(text()).toBe('decoding: 49/0 (100%), in 0s\n');
  });

  it('nothing was done: nothing is said', () => {
    const { stream, text } = recorded(false);
    streamProgress(stream)('decoding', 10).stop();
    expect(text()).toBe('');
  });

  it('on a terminal: a bar', () => {
    const { stream, text } = recorded(true);
    const progress = streamProgress(stream)('indexing', 2);
    progress.update(2, 'pictures');
    progress.stop();
    progress.stop();
    expect(text()).toContain('indexing');
    expect(text()).toMatch(/100% \| 2\/2 \| 0s left \| pictures/);
  });

  it('silent: silent', () => {
    const progress = silentProgress('x', 1);
    progress.update(1);
    progress.stop();
  });
});

describe('streamReport', () => {
  it('clears the bar of a terminal, and writes plain lines elsewhere', () => {
    for (const [isTTY, expected] of [
      [true, '\r\x1b[Kstep 5\n'],
      [false, 'step 5\n'],
    ] as const) {
      const { stream, text } = recorded(isTTY);
      streamReport(stream)('step 5');
      expect(text()).toBe(expected);
    }
  });
});
