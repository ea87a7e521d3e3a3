/**
 * The element's build: `web/element` to one file, `dist/web/element.js`, which `semblance/element` is and which
 * `semblance serve` serves beside the page.
 */
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    outDir: '../../dist/web',
    emptyOutDir: false,
    target: 'es2022',
    copyPublicDir: false,
    lib: { entry: 'index.ts', formats: ['es'], fileName: () => 'element.js' },
    // A library keeps its white space where it is not said otherwise; this file is also loaded as it is.
    rolldownOptions: { output: { minify: true } },
  },
});
