/** The React wrapper's build: `dist/react/index.js`. React is the application's, the element a module of its own. */
import { defineConfig } from 'vite';

export default defineConfig({
  root: import.meta.dirname,
  build: {
    outDir: '../../dist/react',
    emptyOutDir: true,
    target: 'es2022',
    copyPublicDir: false,
    lib: { entry: 'index.ts', formats: ['es'], fileName: () => 'index.js' },
    rolldownOptions: {
      external: ['react', 'semblance/element'],
      // Hooks: with React Server Components the module belongs to the client.
      output: { banner: "'use client';" },
    },
  },
});
