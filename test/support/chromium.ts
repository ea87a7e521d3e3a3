/**
 * Where this machine's Chromium is, for tests and scripts that need a real browser: what the environment's CHROMIUM names, or the
 * first of the usual places. `.ci/run` installs Debian's package where it can.
 */
import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const USUAL = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/**
 * @returns the path of the executable, or undefined where there is none.
 * @throws Error when CHROMIUM names a file that does not exist: what was asked for is not replaced in silence.
 */
export function findChromium(): string | undefined {
  const named = process.env.CHROMIUM;
  if (named === undefined || named === '') return USUAL.find((path) => existsSync(path));
  if (!existsSync(named))
    throw new Error(
      `CHROMIUM: must be the path of an executable, got ${JSON.stringify(named)}. Mend it or unset it.`,
    );
  return named;
}

/** Why browser tests are skipped, for the test's name; empty where they are not. */
export function whyNoChromium(): string {
  return findChromium() === undefined
    ? ' (skipped: no Chromium here. Install Debian’s package chromium, or set CHROMIUM to its path)'
    : '';
}

/**
 * Starts it without a window.
 * @param flags Chromium's own, beside `--no-sandbox` (containers have no sandbox to give).
 * @throws Error when there is none.
 */
export function launchChromium(flags: readonly string[] = []): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === undefined)
    throw new Error(
      `a Chromium is needed, found none of ${USUAL.join(', ')}. Install one, or set CHROMIUM to its path.`,
    );
  return chromium.launch({ executablePath, args: ['--no-sandbox', ...flags] });
}
