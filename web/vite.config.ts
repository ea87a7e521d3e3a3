/** The page's build: `web/` to `dist/web`. Addresses are relative, so that it works under any path of a host. */
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/v1': process.env.SEMBLANCE_SERVER ?? 'http://127.0.0.1:8080' } },
});
