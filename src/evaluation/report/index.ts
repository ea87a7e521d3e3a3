export * from './data.js';
export { renderReport } from './page.js';
