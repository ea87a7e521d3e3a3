import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['src/**/*.test.{ts,tsx}', 'web/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'node_modules/**'],
    setupFiles: ['test/support/property-seed.ts'],
    pool: 'forks',
    maxWorkers: 2,
    // A worker keeps what it loaded: a third of the time went into loading the same modules for each file.
    isolate: false,
    testTimeout: 60_000,
    hookTimeout: 120_000,
  },
});
