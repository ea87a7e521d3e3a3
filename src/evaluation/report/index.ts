export * from './data.js';
export { renderReport } from './page.js';
export { standalonePlot } from './standalone-plot.js';
