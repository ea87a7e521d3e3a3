export * from './bundle.js';
export * from './embedder.js';
export {
  type Explainer,
  type HeatMap,
  type HeatMaps,
  openExplainer,
  type PositionContributions,
  positionPairs,
} from './explainer.js';
export * from './format.js';
export { proposeSubjects, type SubjectProposal } from './subjects.js';
